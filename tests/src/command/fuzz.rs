//! Owns `cargo lab fuzz`: all targets at once, each on a thread of its own.
//! It never goes on after a failure: what failed is in the corpus, and comes first in the next run.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab::fuzz::{self, Limit, Outcome, Target};

/// Fuzzes for so long, from a seed that is printed.
pub(crate) fn run(seconds: u64, seed: Option<u64>) -> Result<ExitCode> {
    let seed = seed.unwrap_or_else(rand::random);
    eprintln!("lab: fuzzing for {seconds} s; again with `cargo lab fuzz --seconds {seconds} --seed {seed}`");
    let limit = Limit::Time(Duration::from_secs(seconds));
    let outcomes: Vec<(Target, Result<Outcome>)> = thread::scope(|scope| {
        let running: Vec<_> = Target::ALL
            .map(|target| (target, scope.spawn(move || fuzz::run(target, seed, limit))))
            .into_iter()
            .collect();
        let joined =
            |run: thread::ScopedJoinHandle<'_, Result<Outcome>>| run.join().expect("panics are caught");
        running.into_iter().map(|(target, run)| (target, joined(run))).collect()
    });
    let mut code = ExitCode::SUCCESS;
    for (target, outcome) in outcomes {
        let outcome = outcome?;
        let Some(found) = outcome.found else {
            println!("{}: {} inputs, nothing found", target.name(), outcome.inputs);
            continue;
        };
        let path = fuzz::save(target, &found)?;
        println!(
            "{}: input {} fails, saved as {}: {}",
            target.name(),
            outcome.inputs,
            path.display(),
            found.why
        );
        code = ExitCode::FAILURE;
    }
    Ok(code)
}
