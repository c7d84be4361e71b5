//! The simulator: the operator's own scaling function and its rivals' on the same loads.
//!
//! Owns traces, plant, rivals and scoreboard. It needs no service, and the same seeds give the same numbers.

mod laws;
mod plant;
mod plot;
mod score;
mod table;
mod trace;

pub use laws::{CONTENDERS, Contender, ECONOMY, ROLLCALL};
pub use plant::TARGET_S;
pub use plot::plot;
pub use score::{Curve, Point, Score};
pub use table::{losses, print};
pub use trace::{CAPACITY, TRACES, Trace};

use trace::Arrivals;

/// What all contenders cost on one trace.
pub struct Board {
    /// The trace.
    pub trace: Trace,
    /// The topic's partitions.
    pub partitions: usize,
    /// One for each contender, in their order.
    pub results: Vec<Outcome>,
}

/// What one contender cost.
pub struct Outcome {
    /// The law and its setting.
    pub contender: Contender,
    /// One for each seed.
    pub runs: Vec<Score>,
    /// The median over the seeds.
    pub median: Score,
    /// The worst over the seeds.
    pub worst: Score,
    /// How the first seed's run went.
    pub curve: Curve,
}

/// Runs these contenders through a trace, with the seeds 1 to `seeds`.
pub fn board(trace: &Trace, partitions: usize, seeds: u64, contenders: &[Contender]) -> Board {
    let mut results: Vec<Outcome> = contenders
        .iter()
        .map(|contender| Outcome {
            contender: *contender,
            runs: Vec::new(),
            median: Score::default(),
            worst: Score::default(),
            curve: Curve::default(),
        })
        .collect();
    for seed in 1..=seeds {
        let arrivals = Arrivals::draw(trace, partitions, seed);
        for result in &mut results {
            let (score, curve) = plant::run(trace, &arrivals, result.contender.start().as_mut(), seed);
            result.runs.push(score);
            if seed == 1 {
                result.curve = curve;
            }
        }
    }
    for result in &mut results {
        result.median = Score::median(&result.runs);
        result.worst = Score::worst(&result.runs);
    }
    Board { trace: *trace, partitions, results }
}

impl Board {
    /// A contender's outcome, by its name.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.results.iter().find(|result| result.contender.name() == name)
    }

    /// Each law at the setting that is best for it on this trace, in hindsight.
    pub fn best(&self) -> Vec<&Outcome> {
        let mut best: Vec<&Outcome> = Vec::new();
        for result in &self.results {
            match best.iter_mut().find(|other| other.contender.family == result.contender.family) {
                Some(other) if result.median.order(&other.median).is_lt() => *other = result,
                Some(_) => {}
                None => best.push(result),
            }
        }
        best
    }

    /// Who is nowhere worse than this one and somewhere better.
    pub fn dominating(&self, outcome: &Outcome) -> Vec<String> {
        let better = self.results.iter().filter(|other| other.median.dominates(&outcome.median));
        better.map(|other| other.contender.name()).collect()
    }
}
