//! Owns how long a partition stands still when it moves: workers join and leave under load, and a reader watches.
//! It never counts partitions that stay where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::site::{Site, quantile};
use super::tail::{Seen, Tail, now_ms};
use crate::worker::{Worker, field};

/// What happened, and which partitions moved.
struct Change {
    from_ms: i64,
    to_ms: i64,
    moved: BTreeSet<i32>,
}

/// Lets workers come and go, and measures.
pub(super) fn run(site: &Site<'_>) -> Result<String> {
    let source = site.kafka.create_topic("moved", PARTITIONS, &[])?;
    let job = site.job("moved-job", &source, PARTITIONS)?;
    let mut workers = vec![site.worker(&job, "w0")?];
    workers.iter().try_for_each(|worker| worker.wait_for_line("partition loaded", PATIENCE).map(drop))?;
    let tail = Tail::start(&site.kafka, &job.output)?;
    let time = SETTLE * u32::try_from(2 * CHANGES + 4).context("few changes")?;
    let _generator = site.feed(&source, RATE, time)?;
    thread::sleep(SETTLE * 2);
    let mut changes = Vec::new();
    for number in 1..=CHANGES {
        let before = moves(&workers);
        let from_ms = now_ms();
        workers.push(site.worker(&job, &format!("w{number}"))?);
        thread::sleep(SETTLE);
        changes.push(change(from_ms, &before, &workers)?);
        let before = moves(&workers);
        let from_ms = now_ms();
        let leaving = workers.iter_mut().rev().nth(1).context("one was there before")?;
        leaving.terminate()?;
        ensure!(leaving.wait_exit(PATIENCE)? == 0, "a worker did not leave in good order");
        thread::sleep(SETTLE);
        changes.push(change(from_ms, &before, &workers)?);
    }
    let mut pauses = pauses(&tail.finish()?, &changes);
    ensure!(!pauses.is_empty(), "nothing moved");
    pauses.sort_unstable();
    Ok(format!(
        "{RATE} logins a second, {PARTITIONS} partitions; {CHANGES} times a worker joins and the other leaves\n\n\
         | partitions moved | longest time without an output, p50 | p99 | most |\n|---|---|---|---|\n\
         | {} | {} ms | {} ms | {} ms |\n",
        pauses.len(),
        quantile(&pauses, 500),
        quantile(&pauses, 990),
        quantile(&pauses, 1000),
    ))
}

/// How often each partition was begun by some worker.
fn moves(workers: &[Worker]) -> BTreeMap<i32, usize> {
    let mut moves = BTreeMap::new();
    for worker in workers {
        for line in worker.stderr().lines().filter(|line| line.contains("partition loaded")) {
            if let Some(partition) = field(line, "partition").and_then(|partition| partition.parse().ok()) {
                *moves.entry(partition).or_default() += 1;
            }
        }
    }
    moves
}

fn change(from_ms: i64, before: &BTreeMap<i32, usize>, workers: &[Worker]) -> Result<Change> {
    let after = moves(workers);
    ensure!(!after.is_empty(), "no partition was ever loaded");
    let moved = after.into_iter().filter(|(partition, count)| before.get(partition) != Some(count));
    Ok(Change { from_ms, to_ms: now_ms(), moved: moved.map(|(partition, _)| partition).collect() })
}

/// The longest time between two outputs of each partition that moved, from the change on.
fn pauses(seen: &[Seen], changes: &[Change]) -> Vec<i64> {
    let mut arrivals: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for seen in seen {
        arrivals.entry(seen.partition).or_default().push(seen.came_ms);
    }
    let mut pauses = Vec::new();
    for change in changes {
        for partition in &change.moved {
            let arrivals = arrivals.get(partition).map(Vec::as_slice).unwrap_or_default();
            let gaps = arrivals.iter().zip(arrivals.iter().skip(1));
            let gaps = gaps.filter(|(from, to)| **to >= change.from_ms && **from <= change.to_ms);
            // What never came again stood still to the end.
            pauses.push(gaps.map(|(from, to)| to - from).max().unwrap_or(change.to_ms - change.from_ms));
        }
    }
    pauses
}

const PARTITIONS: i32 = 16;
const RATE: u32 = 5_000;
const CHANGES: usize = 6;
/// Between one change and the next.
const SETTLE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);
