//! A worker that dies at each point of its protocol, by SIGKILL to itself: the next one loses nothing and doubles nothing.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::{Context, Result};
use lab::kafka::Kafka;
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::{Worker, WorkerOptions};

#[test]
fn a_worker_may_die_before_it_commits() -> Result<()> {
    dies_at_each(60, &["Assigned", "Loaded:2", "Begun:2", "Produced:20"])
}

#[test]
fn a_worker_may_die_around_the_commit() -> Result<()> {
    dies_at_each(70, &["BeforeOffsets:2", "AfterOffsets:2", "Committing:2", "Committed:2"])
}

#[test]
fn a_worker_may_die_around_its_writes_to_redis() -> Result<()> {
    dies_at_each(80, &["FlushMade:2", "FlushSending:2", "FlushStored:2", "Publishing", "Published"])
}

/// Where a number stands behind a point, it is passed so often: there is something to lose by then.
fn dies_at_each(first_seed: u64, points: &[&str]) -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let feeder = pipeline.feeder()?;
    for (seed, point) in (first_seed..).zip(points) {
        let mut worker = doomed(&pipeline, "w", point)?;
        // More than one transaction's worth, one after the other.
        for part in 0..2 {
            feeder.feed(&recent_records(seed * 2 + part, 2, 60))?;
        }
        let mut more = 0;
        while worker.is_running()? {
            more += 1;
            assert!(more < MORE_MAX, "{point} is never passed:\n{}", worker.stderr());
            feeder.feed(&recent_records(1000 * seed + more, 2, 5))?;
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(worker.wait_exit(DEADLINE)?, KILLED, "{point}:\n{}", worker.stderr());
        pipeline.run_until_end("w", &[]).with_context(|| format!("after {point}"))?;
        assert_eq!(pipeline.differences()?, Vec::<String>::new(), "after {point}");
    }
    Ok(())
}

#[test]
fn a_worker_may_die_while_it_gives_partitions_up() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let feeder = pipeline.feeder()?;
    for (seed, point) in (80..).zip(["Revoked", "RevokedDrained"]) {
        let mut worker = doomed(&pipeline, "w", point)?;
        worker.wait_for_line("partition loaded", DEADLINE)?;
        feeder.feed(&recent_records(seed, 2, 100))?;
        // Another member takes one of the partitions.
        let mut other = pipeline.worker("other", &[])?;
        feeder.feed(&recent_records(seed + 100, 2, 100))?;
        assert_eq!(worker.wait_exit(DEADLINE)?, KILLED, "{point}:\n{}", worker.stderr());
        pipeline.wait_until_published().with_context(|| format!("after {point}:\n{}", other.stderr()))?;
        other.terminate()?;
        assert_eq!(other.wait_exit(DEADLINE)?, 0, "{}", other.stderr());
        assert_eq!(pipeline.differences()?, Vec::<String>::new(), "after {point}");
    }
    Ok(())
}

#[test]
fn a_bounded_worker_waits_for_partitions_that_are_on_their_way() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(86, 2, 100))?;
    let mut worker = doomed(&pipeline, "w", "Revoked")?;
    worker.wait_for_line("partition loaded", DEADLINE)?;
    // The group is stable with a member that has nothing, until the dead one's session is over.
    let mut other = pipeline.worker("other", &["--until-end"])?;
    assert_eq!(worker.wait_exit(DEADLINE)?, KILLED, "{}", worker.stderr());
    pipeline.feed(&recent_records(87, 2, 100))?;
    assert_eq!(other.wait_exit(DEADLINE)?, 0, "{}", other.stderr());
    assert_eq!(pipeline.differences()?, Vec::<String>::new(), "{}", other.stderr());
    Ok(())
}

#[test]
fn a_worker_may_die_when_it_has_drained() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(90, 2, 200))?;
    let mut worker = doomed(&pipeline, "w", "Drained")?;
    worker.wait_for_line("partition loaded", DEADLINE)?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, KILLED, "{}", worker.stderr());
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

/// A worker that ends itself at a point.
fn doomed(pipeline: &Pipeline<'_>, name: &str, point: &str) -> Result<Worker> {
    let options = WorkerOptions::new(&pipeline.config()).args(&["--name", name, "--log-format", "text"]);
    Worker::start(options.env("ROLLCALL_CRASH_POINT", point))
}

/// SIGKILL, as shells say it.
const KILLED: i32 = 128 + 9;
const MORE_MAX: u64 = 200;
const DEADLINE: Duration = Duration::from_mins(1);
