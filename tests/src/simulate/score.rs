//! What a run cost, and who is beaten by whom.
//!
//! Owns the numbers of the scoreboard and their comparison. It prints nothing.

use super::trace::count;

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Seconds in which the oldest waiting record was older than the target.
    pub seconds: f64,
    /// Hours of all workers, those that start too.
    pub hours: f64,
    /// Partitions that changed their worker.
    pub moves: f64,
    /// Rebalances.
    pub rebalances: f64,
    /// Changes of the number of workers.
    pub steps: f64,
    /// The most records that waited.
    pub lag: f64,
}

impl Score {
    /// Each number's median over some runs.
    pub fn median(runs: &[Self]) -> Self {
        Self::of(runs, |mut values| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        })
    }

    /// Each number's worst over some runs.
    pub fn worst(runs: &[Self]) -> Self {
        Self::of(runs, |values| values.into_iter().fold(0.0, f64::max))
    }

    fn of(runs: &[Self], summary: impl Fn(Vec<f64>) -> f64) -> Self {
        let each = |value: fn(&Self) -> f64| summary(runs.iter().map(value).collect());
        Self {
            seconds: each(|run| run.seconds),
            hours: each(|run| run.hours),
            moves: each(|run| run.moves),
            rebalances: each(|run| run.rebalances),
            steps: each(|run| run.steps),
            lag: each(|run| run.lag),
        }
    }

    /// Whether this one is nowhere worse than the other and somewhere better, in seconds, hours and moves.
    pub fn dominates(&self, other: &Self) -> bool {
        let pairs = [(self.seconds, other.seconds), (self.hours, other.hours), (self.moves, other.moves)];
        pairs.iter().all(|(mine, others)| mine <= others) && pairs.iter().any(|(mine, others)| mine < others)
    }

    /// What counts first: seconds, then hours, then moves.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        let by_seconds = self.seconds.total_cmp(&other.seconds);
        by_seconds.then(self.hours.total_cmp(&other.hours)).then(self.moves.total_cmp(&other.moves))
    }
}

/// A run as it went, in few points.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Time, records a second, workers, age of the oldest record: the largest of what one point stands for.
    pub points: Vec<Point>,
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, Default)]
pub struct Point {
    /// When, in hours.
    pub hour: f64,
    /// Records a second.
    pub rate: f64,
    /// Workers.
    pub workers: f64,
    /// Age of the oldest waiting record in seconds.
    pub age: f64,
}

impl Curve {
    pub(super) fn add(&mut self, second: usize, seconds: usize, rate: f64, workers: usize, age: f64) {
        if second.is_multiple_of((seconds / POINTS).max(1)) {
            self.points.push(Point { hour: count(second) / 3600.0, ..Point::default() });
        }
        if let Some(point) = self.points.last_mut() {
            point.rate = point.rate.max(rate);
            point.workers = point.workers.max(count(workers));
            point.age = point.age.max(age);
        }
    }
}

const POINTS: usize = 720;
