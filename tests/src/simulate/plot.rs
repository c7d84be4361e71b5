//! A trace's plot: workers over time, and how old the oldest record was.
//!
//! Owns an SVG that any browser shows, in light and in dark.

use std::fmt::Write as _;

use super::score::Point;
use super::trace::CAPACITY;
use super::{Board, Outcome, TARGET_S};

/// The plot of each law at its best setting, from the first seed's run.
pub fn plot(board: &Board) -> String {
    let best = board.best();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<style>text{{fill:#333}}svg{{background:#fff}}line{{stroke:#999}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}svg{{background:#111}}}}</style>\n"
    );
    let title = format!("{} ({} partitions): {}", board.trace.name, board.partitions, board.trace.about);
    text(&mut svg, LEFT, 18.0, &title);
    let points = || best.iter().flat_map(|outcome| &outcome.curve.points);
    let hours = points().map(|point| point.hour).fold(0.1, f64::max);
    let most = points().map(|point| point.workers.max(point.rate / CAPACITY)).fold(1.0, f64::max);
    let workers = Panel { top: 50.0, hours, most };
    let ages = Panel { top: 50.0 + PANEL + GAP, hours, most: SHOWN_AGE_S };
    workers.frame(&mut svg, "workers; dotted: what arrives, in workers");
    ages.frame(&mut svg, "seconds that the oldest record waits (180 and more at the top)");
    let target = ages.y(TARGET_S);
    let _infallible = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{target:.1}\" x2=\"{}\" y2=\"{target:.1}\" stroke-dasharray=\"4 4\"/>",
        LEFT + ACROSS
    );
    text(&mut svg, LEFT + ACROSS + 6.0, target + 4.0, &format!("target: {TARGET_S:.0} s"));
    if let Some(first) = best.first() {
        workers.curve(&mut svg, first, "#888", "stroke-dasharray=\"2 3\"", |point| point.rate / CAPACITY);
    }
    // The first is drawn last, above the others.
    for (index, outcome) in best.iter().enumerate().rev() {
        let color = COLORS.get(index % COLORS.len()).copied().unwrap_or("#000");
        workers.curve(&mut svg, outcome, color, "", |point| point.workers);
        ages.curve(&mut svg, outcome, color, "", |point| point.age.min(SHOWN_AGE_S));
        legend(&mut svg, index, outcome, color);
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, index: usize, outcome: &Outcome, color: &str) {
    let y = 60.0 + 40.0 * super::trace::count(index);
    let (x, score) = (LEFT + ACROSS + 16.0, outcome.median);
    let _infallible =
        writeln!(svg, "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{color}\"/>", y - 6.0);
    text(svg, x + 18.0, y, &outcome.contender.name());
    let numbers = format!("{:.0} s, {:.0} h, {:.0} moves", score.seconds, score.hours, score.moves);
    text(svg, x + 18.0, y + 15.0, &numbers);
}

/// One of the two fields.
struct Panel {
    top: f64,
    hours: f64,
    most: f64,
}

impl Panel {
    fn x(&self, hour: f64) -> f64 {
        LEFT + ACROSS * hour / self.hours
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PANEL * (1.0 - value / self.most)
    }

    fn frame(&self, svg: &mut String, title: &str) {
        let right = LEFT + ACROSS;
        text(svg, LEFT, self.top - 8.0, title);
        for quarter in 0..=4_u8 {
            let share = f64::from(quarter) / 4.0;
            let (value, hour) = (self.most * share, self.hours * share);
            let (x, y) = (self.x(hour), self.y(value));
            let _infallible = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke-width=\"0.3\"/>"
            );
            text(svg, 4.0, y + 4.0, &format!("{value:.0}"));
            text(svg, x - 12.0, self.y(0.0) + 16.0, &format!("{hour:.0} h"));
        }
    }

    fn curve(&self, svg: &mut String, outcome: &Outcome, color: &str, more: &str, value: fn(&Point) -> f64) {
        let _infallible =
            write!(svg, "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.3\" {more} points=\"");
        for point in &outcome.curve.points {
            let _infallible = write!(svg, "{:.1},{:.1} ", self.x(point.hour), self.y(value(point)));
        }
        svg.push_str("\"/>\n");
    }
}

fn text(svg: &mut String, x: f64, y: f64, text: &str) {
    let _infallible = writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{text}</text>");
}

const WIDTH: f64 = 1100.0;
const HEIGHT: f64 = 2.0 * PANEL + GAP + 90.0;
const LEFT: f64 = 40.0;
const ACROSS: f64 = 840.0;
const PANEL: f64 = 220.0;
const GAP: f64 = 50.0;
const SHOWN_AGE_S: f64 = 180.0;
const COLORS: [&str; 6] = ["#d62728", "#ff9896", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b"];
