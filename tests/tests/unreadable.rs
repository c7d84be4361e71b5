//! Batches that no client can read: found, passed over up to their end, a gap in the insights; everything else goes on.
#![cfg(feature = "lab")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::kafka::{self, Kafka};
use lab::oracle::Settings;
use lab::oracle::corpus::passing_logins;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::wait_for;
use lab::worker::{Worker, WorkerOptions};
use serde_json::Value;

#[test]
fn a_damaged_batch_is_a_gap_and_the_partition_goes_on() -> Result<()> {
    let mut kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(Options::new())?;
    let settings = feed_three_batches(&kafka, &redis, 2)?;
    kafka.damage(&settings.source_topic, 0, b"\"user_id\":\"u150-")?;
    let pipeline = Pipeline::adopt(&kafka, &redis, settings, 2);
    let started_at = Instant::now();
    let mut worker = pipeline.worker("w", &[])?;
    let gap = wait_for("the gap", DEADLINE, || {
        let document = pipeline.document()?.context("nothing is published")?;
        gap_of(&document).context("no gap yet")
    });
    let gap = gap.with_context(|| worker.stderr())?;
    assert!(started_at.elapsed() < Duration::from_secs(20), "{:?}", started_at.elapsed());
    let (from, to) = gap;
    assert!((100..=150).contains(&from) && (151..=200).contains(&to), "{from} to {to}");
    pipeline.wait_until_published()?;
    // A restart meets the place again, and more records come.
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    pipeline.feed(&passing_logins(0, 300, 50))?;
    pipeline.run_until_end("w", &[])?;
    let document = pipeline.document()?.context("something is published")?;
    assert_eq!(gap_of(&document), Some(gap));
    let total = document.pointer("/logins/total").and_then(Value::as_i64);
    assert_eq!(total, Some(650 - (to - from)));
    let output = pipeline.read(&pipeline.output)?;
    ensure!(i64::try_from(output.len())? == 650 - (to - from), "{} outputs", output.len());
    Ok(())
}

#[test]
fn a_batch_whose_records_make_no_sense_is_a_gap_too() -> Result<()> {
    let mut kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(Options::new())?;
    let settings = feed_three_batches(&kafka, &redis, 1)?;
    kafka.break_record(&settings.source_topic, 0, b"{\"user_id\":\"u150-")?;
    let pipeline = Pipeline::adopt(&kafka, &redis, settings, 1);
    let worker = pipeline.worker("w", &[])?;
    let document = pipeline.wait_until_published().with_context(|| worker.stderr())?;
    let (from, to) = gap_of(&document).with_context(|| worker.stderr())?;
    assert!((100..=150).contains(&from) && (151..=200).contains(&to), "{from} to {to}");
    Ok(())
}

/// Behind a backlog, a partition waits until librdkafka's answers have gone round: looking for the end of what cannot be read
/// takes many clients for each partition, and was the ruin of a worker with hundreds of them.
#[test]
fn a_partition_whose_turn_has_not_come_is_not_taken_for_an_unreadable_one() -> Result<()> {
    let kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(Options::new())?;
    let mut pipeline = Pipeline::new(&kafka, &redis, PARTITIONS)?;
    pipeline.connection = format!("{}, properties: {ONE_BATCH_AT_A_TIME}", pipeline.connection);
    for number in 0..2 {
        let each = (0..PARTITIONS).flat_map(|partition| passing_logins(partition, number, 1));
        pipeline.feed(&each.collect::<Vec<_>>())?;
    }
    let options = WorkerOptions::new(&pipeline.config()).env("RUST_LOG", "info,rollcall::pump=debug");
    let worker = Worker::run(options.args(&["--until-end", "--log-format", "text"]), DEADLINE)?;
    assert_eq!(worker.code, 0, "{}", worker.stderr);
    assert!(!worker.stderr.contains("looks why"), "{}", worker.stderr);
    assert!(worker.stderr.contains("looks whether one can"), "none had to wait:\n{}", worker.stderr);
    assert_eq!(pipeline.differences()?, [""; 0]);
    Ok(())
}

/// A pipeline whose source holds three batches of a hundred logins in each partition, before anybody has read them.
fn feed_three_batches(kafka: &Kafka, redis: &Redis, partitions: i32) -> Result<Settings> {
    let pipeline = Pipeline::new(kafka, redis, partitions)?;
    for first in [0, 100, 200] {
        for partition in 0..partitions {
            pipeline.feed(&passing_logins(partition, first, 100))?;
        }
    }
    Ok(pipeline.settings)
}

/// The one gap of partition 0, which must be `unreadable`.
fn gap_of(document: &Value) -> Option<(i64, i64)> {
    let gap = document.pointer("/gaps/0")?;
    assert_eq!(gap.get("reason"), Some(&Value::from("unreadable")));
    assert_eq!(gap.get("partition"), Some(&Value::from(0)));
    assert_eq!(document.pointer("/gaps/1"), None);
    Some((gap.get("from")?.as_i64()?, gap.get("to")?.as_i64()?))
}

const DEADLINE: Duration = Duration::from_mins(1);

/// Nothing is asked for while a record waits, and an answer brings one batch: five batches a second.
const ONE_BATCH_AT_A_TIME: &str = "{queued.min.messages: 1, fetch.queue.backoff.ms: 200, message.max.bytes: 1000, \
                                   fetch.max.bytes: 1000, max.partition.fetch.bytes: 1}";

/// So many that the last one's turn comes after eight seconds.
const PARTITIONS: i32 = 40;
