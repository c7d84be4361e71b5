//! The scoreboard as text.
//!
//! Owns its columns and the list of what Rollcall loses. It judges by the scores alone.

use std::fmt::Write as _;

use super::score::Score;
use super::{Board, ECONOMY, Outcome, ROLLCALL};

/// A trace's table: each law at its best setting, median and (worst) over the seeds, and what Rollcall loses.
pub fn print(board: &Board) -> String {
    let mut text =
        format!("\n{} ({} partitions): {}\n", board.trace.name, board.partitions, board.trace.about);
    line(&mut text, ["law and setting", "s beyond target", "hours", "moves", "rebalances", "largest lag"]);
    for outcome in board.best() {
        let (median, worst) = (outcome.median, outcome.worst);
        let both = |value: fn(&Score) -> f64, digits: usize| {
            format!("{:.digits$} ({:.digits$})", value(&median), value(&worst))
        };
        let cells = [
            &outcome.contender.name(),
            &both(|score| score.seconds, 0),
            &both(|score| score.hours, 1),
            &both(|score| score.moves, 0),
            &both(|score| score.rebalances, 0),
            &both(|score| score.lag / 1000.0, 0).replace(" (", "k (").replace(')', "k)"),
        ];
        line(&mut text, cells.map(String::as_str));
    }
    for name in [ROLLCALL, ECONOMY] {
        let Some(outcome) = board.outcome(name) else { continue };
        let losses = losses(board, outcome);
        let front = match board.dominating(outcome).as_slice() {
            [] => "on the front".to_owned(),
            others => format!("NOT on the front, beaten by {}", others.join(", ")),
        };
        let losses = if losses.is_empty() { "nothing".to_owned() } else { losses.join("; ") };
        let _infallible = writeln!(text, "  {name} is {front}; loses {losses}");
    }
    text
}

/// What others do better than this one: in seconds, and in hours and moves where they are not later.
pub fn losses(board: &Board, outcome: &Outcome) -> Vec<String> {
    let mine = outcome.median;
    let rivals = || board.results.iter().filter(|other| !other.contender.family.starts_with(ROLLCALL));
    let mut losses = Vec::new();
    let mut compare = |what: &str, value: fn(&Score) -> f64, among: &dyn Fn(&Score) -> bool| {
        let candidates = rivals().filter(|other| among(&other.median));
        let best = candidates.min_by(|left, right| value(&left.median).total_cmp(&value(&right.median)));
        if let Some(best) = best.filter(|best| value(&best.median) < value(&mine)) {
            let (theirs, mine) = (value(&best.median), value(&mine));
            losses.push(format!("{what} to {} ({theirs:.1} against {mine:.1})", best.contender.name()));
        }
    };
    compare("seconds", |score| score.seconds, &|_| true);
    compare("hours", |score| score.hours, &|score| score.seconds <= mine.seconds);
    compare("moves", |score| score.moves, &|score| score.seconds <= mine.seconds);
    losses
}

fn line(text: &mut String, cells: [&str; 6]) {
    let [name, seconds, hours, moves, rebalances, lag] = cells;
    let _infallible =
        writeln!(text, "  {name:<24}{seconds:>17}{hours:>16}{moves:>16}{rebalances:>14}{lag:>18}");
}
