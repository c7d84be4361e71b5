//! Services that refuse while records flow: the log says what is wrong, nothing is lost, and work goes on by itself once it is
//! mended.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::Result;
use lab::kafka::{Kafka, Resource};
use lab::oracle::SourceRecord;
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::worker::Worker;

#[test]
fn a_right_that_is_taken_away_is_named_and_waited_for() -> Result<()> {
    let kafka = Pipeline::guarded_kafka()?;
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::with_rights(&kafka, &redis, 2)?;
    let mut worker = flowing(&pipeline)?;
    let rights = [
        ("waiting for", &pipeline.output, "Write"),
        ("waiting for the source topic", &pipeline.source, "Read"),
    ];
    for (seed, (words, topic, operation)) in (2..).zip(rights) {
        kafka.disallow("worker", &[operation], Resource::Topic(topic))?;
        pipeline.feed(&logins(seed))?;
        let line = worker.wait_for_line(&format!("{words} `{topic}`"), DEADLINE)?;
        assert!(line.contains("; nothing is lost") && line.contains("authorization failed"), "{line}");
        kafka.allow("worker", &[operation], Resource::Topic(topic))?;
        pipeline.wait_until_published()?;
    }
    pipeline.is_whole(&mut worker)
}

#[test]
fn a_redis_that_is_full_is_named_and_waited_for() -> Result<()> {
    let full = |redis: &Redis| redis.command::<String>(&["CONFIG", "SET", "maxmemory", "1mb"]).map(drop);
    let mended = |redis: &Redis| redis.command::<String>(&["CONFIG", "SET", "maxmemory", "0"]).map(drop);
    redis_refuses(full, mended, "maxmemory")
}

#[test]
fn a_redis_that_refuses_writes_is_named_and_waited_for() -> Result<()> {
    let replicas =
        |redis: &Redis, count| redis.command::<String>(&["CONFIG", "SET", "min-replicas-to-write", count]);
    redis_refuses(
        |redis| replicas(redis, "1").map(drop),
        |redis| replicas(redis, "0").map(drop),
        "NOREPLICAS",
    )
}

#[test]
fn a_redis_that_became_a_replica_is_named_and_waited_for() -> Result<()> {
    // Of a primary that never answers, so that it keeps its data.
    let replica = |redis: &Redis| redis.command::<String>(&["REPLICAOF", "127.0.0.1", "1"]).map(drop);
    let primary = |redis: &Redis| redis.command::<String>(&["REPLICAOF", "NO", "ONE"]).map(drop);
    redis_refuses(replica, primary, "READONLY")
}

#[test]
fn a_redis_that_was_rolled_back_while_records_flow_is_right_again() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    let settings = {
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
        pipeline.feed(&logins(1))?;
        pipeline.run_until_end("w", &[])?;
        pipeline.settings
    };
    let snapshot = redis.snapshot()?;
    let mut worker = {
        let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2);
        let worker = pipeline.worker("w", &[])?;
        pipeline.feed(&logins(2))?;
        pipeline.wait_until_published()?;
        pipeline.feed(&logins(3))?;
        worker
    };
    redis.restore(&snapshot)?;
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings, 2);
    pipeline.feed(&logins(4))?;
    pipeline.wait_until_published()?;
    pipeline.is_whole(&mut worker)
}

#[test]
fn a_topic_that_must_not_be_created_is_named_with_the_command_that_creates_it() -> Result<()> {
    let kafka = Pipeline::guarded_kafka()?;
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::guarded(&kafka, &redis, 2)?;
    kafka.allow("worker", &["Read"], Resource::Topic(&pipeline.source))?;
    kafka.allow("worker", &["Write"], Resource::Topic(&pipeline.output))?;
    kafka.delete_topic(&pipeline.output)?;
    let mut worker = pipeline.worker("w", &["--until-end"])?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 1, "{}", worker.stderr());
    let said = worker.stderr();
    assert!(said.contains(&format!("kafka-topics.sh --create --topic {}", pipeline.output)), "{said}");
    assert!(said.contains("--partitions 2"), "{said}");
    Ok(())
}

/// Breaks Redis while records flow, and mends it once the worker has said what is wrong.
fn redis_refuses(
    break_it: impl Fn(&Redis) -> Result<()>,
    mend_it: impl Fn(&Redis) -> Result<()>,
    word: &str,
) -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let mut worker = flowing(&pipeline)?;
    break_it(&redis)?;
    pipeline.feed(&logins(2))?;
    let line = worker.wait_for_line("waiting for Redis; nothing is lost", DEADLINE)?;
    assert!(line.contains(word), "{word} in {line}");
    mend_it(&redis)?;
    pipeline.wait_until_published()?;
    pipeline.is_whole(&mut worker)
}

/// A worker that has published something and goes on.
fn flowing(pipeline: &Pipeline<'_>) -> Result<Worker> {
    pipeline.feed(&logins(1))?;
    let worker = pipeline.worker("w", &[])?;
    pipeline.wait_until_published()?;
    Ok(worker)
}

fn logins(seed: u64) -> Vec<SourceRecord> {
    recent_records(seed, 2, 300)
}

const DEADLINE: Duration = Duration::from_mins(1);
