//! A dozen schedules of random faults in every run, the same ones each time; `cargo lab chaos` runs as many as one likes.
#![cfg(feature = "lab")]

use std::collections::BTreeSet;
use std::thread;

use anyhow::Result;
use lab::chaos::{self, FAULTS, Fault, Outcome};

#[test]
fn a_dozen_schedules_lose_nothing_double_nothing_and_hit_every_kind_of_fault() -> Result<()> {
    // Most of a schedule is waiting.
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let lanes = LANES.map(|seeds| scope.spawn(move || lane(&seeds)));
        lanes.into_iter().map(|lane| lane.join().expect("a lane does not panic")).collect::<Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    let mut hit = BTreeSet::new();
    for outcome in outcomes {
        println!("{outcome}\n{}", outcome.words);
        assert_eq!(outcome.differences, Vec::<String>::new(), "{outcome}");
        hit.extend(outcome.hits.into_keys());
    }
    let missed: Vec<Fault> = FAULTS.into_iter().filter(|fault| !hit.contains(fault)).collect();
    assert_eq!(missed, [], "faults that no schedule brought about");
    Ok(())
}

/// Schedules on one broker, one after the other.
fn lane(seeds: &[u64]) -> Result<Vec<Outcome>> {
    let mut kafka = chaos::broker()?;
    seeds.iter().map(|&seed| chaos::run(&mut kafka, seed)).collect()
}

/// Seeds: between them they draw every fault at least twice.
const LANES: [[u64; 4]; 3] = [[16, 22, 4, 20], [2, 11, 3, 19], [10, 14, 6, 18]];
