//! Bounded runs: exactly so many records, up to the log's end, and insights as they go; alone and together.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::{Context, Result};
use lab::kafka::{Isolation, Kafka};
use lab::oracle::SourceRecord;
use lab::oracle::corpus::passing_logins;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::{Worker, WorkerOptions};
use serde_json::Value;

#[test]
fn ten_messages_are_exactly_ten_and_the_next_run_goes_on() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 3)?;
    pipeline.feed(&logins(3, 20))?;
    for run in 1..=2_u64 {
        let finished = run_worker(&pipeline, &["--max-messages", "10", "--output", "json"])?;
        let document = last_document(&finished)?;
        assert_eq!(document.pointer("/records/read"), Some(&Value::from(run * 10)));
        assert_eq!(committed(&pipeline)?, i64::try_from(run * 10)?);
    }
    assert_eq!(pipeline.read(&pipeline.output)?.len(), 20);
    Ok(())
}

#[test]
fn an_empty_log_ends_at_once_and_prints_null() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    assert_eq!(run_worker(&pipeline, &["--until-end", "--output", "json"])?, "null\n");
    let keys: Vec<String> = redis.command(&["KEYS", &pipeline.key("*")])?;
    assert_eq!(keys, Vec::<String>::new(), "nothing is published before the first record");
    Ok(())
}

#[test]
fn three_workers_share_the_log_and_all_leave_at_its_end() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&logins(2, 500))?;
    let mut workers: Vec<Worker> = (0..3)
        .map(|number| pipeline.worker(&format!("w{number}"), &["--until-end"]))
        .collect::<Result<_>>()?;
    for worker in &mut workers {
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    }
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    assert_eq!(committed(&pipeline)?, 1000);
    Ok(())
}

#[test]
fn three_workers_count_exactly_their_own_number() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 3)?;
    pipeline.feed(&logins(3, 400))?;
    let bounds = ["--max-messages", "100", "--insights-every", "40", "--until-end", "--output", "json"];
    let mut workers: Vec<Worker> =
        (0..3).map(|number| pipeline.worker(&format!("w{number}"), &bounds)).collect::<Result<_>>()?;
    for worker in &mut workers {
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
        let last = last_document(&worker.stdout())?;
        assert!(last.pointer("/records/read").and_then(Value::as_u64) >= Some(100), "{last}");
    }
    assert_eq!(committed(&pipeline)?, 300);
    assert_eq!(pipeline.read(&pipeline.output)?.len(), 300);
    Ok(())
}

#[test]
fn insights_are_printed_as_it_goes_and_cover_what_was_read() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&logins(1, 950))?;
    let printed = run_worker(&pipeline, &["--insights-every", "100", "--until-end", "--output", "json"])?;
    let documents: Vec<Value> = printed
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("every line is a document")?;
    let read: Vec<u64> =
        documents.iter().filter_map(|document| document.pointer("/records/read")?.as_u64()).collect();
    assert_eq!(read, [100, 200, 300, 400, 500, 600, 700, 800, 900, 950]);
    Ok(())
}

#[test]
fn whichever_bound_comes_first_ends_the_run() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&logins(1, 30))?;
    run_worker(&pipeline, &["--max-messages", "20", "--until-end"])?;
    assert_eq!(committed(&pipeline)?, 20);
    run_worker(&pipeline, &["--max-messages", "20", "--until-end"])?;
    assert_eq!(pipeline.read(&pipeline.output)?.len(), 30);
    Ok(())
}

#[test]
fn an_absent_source_topic_is_named_and_given_up() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    Kafka::shared().delete_topic(&pipeline.source)?;
    let options = WorkerOptions::new(&pipeline.config()).args(&["--until-end", "--wait", "1s"]);
    let finished = Worker::run(options, DEADLINE)?;
    assert_eq!(finished.code, 1, "{}", finished.stderr);
    assert!(finished.stderr.contains(&format!("the source topic `{}` does not exist", pipeline.source)));
    Ok(())
}

fn run_worker(pipeline: &Pipeline<'_>, arguments: &[&str]) -> Result<String> {
    let options = WorkerOptions::new(&pipeline.config()).args(&["--log-format", "text"]).args(arguments);
    let finished = Worker::run(options, DEADLINE)?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    Ok(finished.stdout)
}

fn last_document(printed: &str) -> Result<Value> {
    serde_json::from_str(printed.lines().last().context("something was printed")?).context("it is a document")
}

/// The sum of the committed offsets; markers of the lab's plain producer do not exist, so offsets are records.
fn committed(pipeline: &Pipeline<'_>) -> Result<i64> {
    let group = format!("rollcall.{}", pipeline.settings.pipeline);
    let committed = Kafka::shared().committed(&group, &pipeline.source)?;
    let ends = Kafka::shared().client().log_ends(&pipeline.source, Isolation::Committed)?;
    assert!(
        committed
            .iter()
            .all(|(partition, commit)| ends.get(partition).is_some_and(|e| commit.offset <= e.end))
    );
    Ok(committed.values().map(|commit| commit.offset).sum())
}

/// Logins that all pass the filter, so many for each partition.
fn logins(partitions: i32, count: i64) -> Vec<SourceRecord> {
    (0..partitions).flat_map(|partition| passing_logins(partition, 0, count)).collect()
}

const DEADLINE: Duration = Duration::from_mins(1);
