//! Transactions that a broker ended in part: what is open is ended, and each topic gets what it lacks, once and in order.
//!
//! A killed broker that writes markers for some partitions only is hard to come by. Here, another transactional client holds
//! open what such a broker would have left open, until the worker has found it.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::{Context, Result};
use lab::kafka::{Committed, Kafka, Record, TransactionalProducer};
use lab::oracle::corpus::passing_logins;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::worker::Worker;
use serde_json::Value;

#[test]
fn outputs_that_are_open_though_their_offsets_are_committed_are_delivered_again() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let (pipeline, Committed { metadata, .. }) = twenty_delivered(&redis)?;
    pipeline.feed(&passing_logins(0, 20, 10))?;
    let former = former(Kafka::shared(), &pipeline)?;
    let incarnation = incarnation(&metadata)?;
    let output = |offset: i64| {
        let source = format!("{incarnation}:0:{offset}");
        Record::new("{}").partition(0).header("rollcall-source", source)
    };
    former.begin()?;
    former.produce(&pipeline.output, &(20..25).map(output).collect::<Vec<_>>())?;
    commit(&pipeline, &Committed { offset: 25, metadata })?;
    let mut worker = pipeline.worker("w", &[])?;
    let line = worker.wait_for_line("what was left open is ended", DEADLINE)?;
    assert!(worker.stderr().contains("restarts=[(0, 20)]"), "{line}");
    // Nothing is delivered behind what is open: it would be out of order.
    worker.wait_for_line("a transaction is open in", DEADLINE)?;
    former.abort()?;
    is_whole(&pipeline, &mut worker)
}

#[test]
fn offsets_that_are_open_though_their_outputs_are_seen_deliver_nothing_twice() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let (pipeline, before) = twenty_delivered(&redis)?;
    pipeline.feed(&passing_logins(0, 20, 10))?;
    pipeline.run_until_end("w", &[])?;
    commit(&pipeline, &before)?;
    let former = former(Kafka::shared(), &pipeline)?;
    former.begin()?;
    former.send_offset(&pipeline.group(), &pipeline.source, 0, 30)?;
    pipeline.feed(&passing_logins(0, 30, 10))?;
    let mut worker = pipeline.worker("w", &[])?;
    worker.wait_for_line("what was left open is ended", DEADLINE)?;
    former.abort()?;
    is_whole(&pipeline, &mut worker)?;
    let said = worker.stderr();
    assert!(said.contains("from=20 output=30 dead_letters=20"), "{said}");
    Ok(())
}

#[test]
fn what_is_partly_delivered_stays_so_until_all_of_it_is_passed() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let (pipeline, Committed { metadata, .. }) = twenty_delivered(&redis)?;
    pipeline.feed(&passing_logins(0, 20, 10))?;
    pipeline.run_until_end("w", &[])?;
    let mut marked: Value = serde_json::from_str(&metadata).context("the metadata is no JSON")?;
    marked["partly_delivered"] = Value::Bool(true);
    commit(&pipeline, &Committed { offset: 20, metadata: marked.to_string() })?;
    // It stops in the middle of what the output has already.
    let mut first = pipeline.worker("w", &["--max-messages", "5"])?;
    assert_eq!(first.wait_exit(DEADLINE)?, 1, "Redis is ahead by more:\n{}", first.stderr());
    let Committed { offset, metadata } = committed(&pipeline)?;
    assert!(offset == 25 && metadata.contains("\"partly_delivered\":true"), "{offset}: {metadata}");
    pipeline.feed(&passing_logins(0, 30, 5))?;
    let mut worker = pipeline.worker("w", &[])?;
    is_whole(&pipeline, &mut worker)?;
    let Committed { offset, metadata } = committed(&pipeline)?;
    assert!(offset == 35 && !metadata.contains("partly_delivered"), "{offset}: {metadata}");
    Ok(())
}

#[test]
fn without_the_right_to_read_them_outputs_that_are_open_are_delivered_again_once_they_are_over() -> Result<()>
{
    let kafka = Pipeline::guarded_kafka()?;
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::with_rights(&kafka, &redis, 1)?;
    pipeline.feed(&passing_logins(0, 0, 20))?;
    let former = former(&kafka, &pipeline)?;
    former.begin()?;
    former.produce(&pipeline.output, &[Record::new("{}").partition(0)])?;
    let mut worker = pipeline.worker("w", &[])?;
    let line = worker.wait_for_line("open transactions cannot be read", DEADLINE)?;
    assert!(line.contains("grant this worker Read on the output and dead-letter topics"), "{line}");
    worker.wait_for_line("what was left open is ended", DEADLINE)?;
    former.abort()?;
    is_whole(&pipeline, &mut worker)
}

/// A pipeline of one partition whose first twenty logins are counted and delivered, and what is committed then.
fn twenty_delivered(redis: &Redis) -> Result<(Pipeline<'_>, Committed)> {
    let pipeline = Pipeline::new(Kafka::shared(), redis, 1)?;
    pipeline.feed(&passing_logins(0, 0, 20))?;
    pipeline.run_until_end("w", &[])?;
    let committed = committed(&pipeline)?;
    Ok((pipeline, committed))
}

/// A worker that is gone, as brokers see it.
fn former(kafka: &Kafka, pipeline: &Pipeline<'_>) -> Result<TransactionalProducer> {
    kafka.client().transactional_producer(&format!("{}/former", pipeline.settings.pipeline))
}

fn committed(pipeline: &Pipeline<'_>) -> Result<Committed> {
    pipeline.committed()?.remove(&0).context("nothing is committed")
}

fn commit(pipeline: &Pipeline<'_>, to: &Committed) -> Result<()> {
    Kafka::shared().reset_offset(&pipeline.group(), &pipeline.source, 0, to)
}

fn incarnation(metadata: &str) -> Result<String> {
    let metadata: Value = serde_json::from_str(metadata).context("the metadata is no JSON")?;
    let incarnation = metadata.get("incarnation").and_then(Value::as_str);
    Ok(incarnation.context("the metadata names no incarnation")?.to_owned())
}

/// Everything is counted, delivered once, and in order.
fn is_whole(pipeline: &Pipeline<'_>, worker: &mut Worker) -> Result<()> {
    pipeline.wait_until_published().with_context(|| worker.stderr())?;
    pipeline.is_whole(worker)
}

const DEADLINE: Duration = Duration::from_mins(1);
