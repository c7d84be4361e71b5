//! A commit takes as long as the broker does. Alone in its program: neighbours on a busy machine slow a commit by as much as
//! what it is told from.
#![cfg(feature = "lab")]

use anyhow::{Context, Result};
use lab::kafka::Kafka;
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::number;

#[test]
fn a_commit_takes_less_than_the_crates_own() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let worker = pipeline.worker("w", &["--log", "debug"])?;
    let feeder = pipeline.feeder()?;
    for seed in 0..COMMITS {
        feeder.feed(&recent_records(seed, 2, 50))?;
        pipeline.wait_until_published()?;
    }
    let said = worker.stderr();
    let committed = said.lines().filter(|line| line.contains("transaction committed"));
    let mut took: Vec<i64> = committed.filter_map(|line| number(line, "took_ms")).collect();
    took.sort_unstable();
    assert!(took.len() >= 9, "{took:?}");
    let median = took.get(took.len() / 2).context("nothing was committed")?;
    // The crate's `commit_transaction` adds 100 ms to each.
    assert!(*median < 90, "{took:?}");
    Ok(())
}

const COMMITS: u64 = 10;
