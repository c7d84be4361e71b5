//! Restarts from the state at hand: whatever one sink or the log lost while nobody ran, missing is not zero, nothing is
//! delivered twice, and what cannot be explained halts and names its remedy.
#![cfg(feature = "lab")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::kafka::{Committed, Isolation, Kafka, Record, Resource};
use lab::oracle::corpus::{passing_logins, recent_records};
use lab::oracle::{
    Sinks, SourceRecord, audit_output, compare_document, document, incarnations, named_source,
};
use lab::pipeline::{Pipeline, positions};
use lab::redis::{self, Redis};
use lab::wait_for;
use lab::worker::{Finished, Worker, WorkerOptions, number};
use serde_json::{Value, json};

#[test]
fn without_its_offsets_the_group_goes_on_from_redis_and_the_outputs_tail() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    // Dies with commits that Redis does not know of.
    let options = WorkerOptions::new(&pipeline.config()).args(&["--name", "w", "--log-format", "text"]);
    let mut worker = Worker::start(options.env("ROLLCALL_CRASH_POINT", "FlushMade:6"))?;
    let feeder = pipeline.feeder()?;
    let mut seed = 100;
    while worker.is_running()? {
        seed += 1;
        ensure!(seed < 400, "it does not die:\n{}", worker.stderr());
        feeder.feed(&recent_records(seed, 2, 20))?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let committed = pipeline.committed()?;
    Kafka::shared().delete_group(&pipeline.group())?;
    let said = pipeline.run_until_end("w", &[])?.stderr;
    let tails: Vec<&str> =
        said.lines().filter(|line| line.contains("going on from the output's tail")).collect();
    assert_eq!(tails.len(), 2, "{said}");
    let ahead = tails.iter().filter(|line| number(line, "next") > number(line, "mirrored")).count();
    assert!(ahead > 0, "the output was never ahead of Redis; committed were {committed:?}:\n{tails:?}");
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn without_its_offsets_and_the_right_to_read_the_output_it_halts_and_names_the_right() -> Result<()> {
    let kafka = Pipeline::guarded_kafka()?;
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::with_rights(&kafka, &redis, 1)?;
    pipeline.feed(&recent_records(1, 1, 200))?;
    pipeline.run_until_end("w", &[])?;
    kafka.delete_group(&pipeline.group())?;
    pipeline.feed(&recent_records(2, 1, 200))?;
    let mut worker = pipeline.worker("w", &[])?;
    let line = worker.wait_for_line("partition halted", DEADLINE)?;
    assert!(line.contains("grant this worker Read on the output and dead-letter topics"), "{line}");
    // The remedy is enough: nobody starts it again.
    kafka.allow("worker", &["Read"], Resource::Topic(&pipeline.output))?;
    kafka.allow("worker", &["Read"], Resource::Topic(&pipeline.dead_letters))?;
    pipeline.wait_until_published().with_context(|| worker.stderr())?;
    pipeline.is_whole(&mut worker)
}

#[test]
fn a_redis_that_was_emptied_or_rolled_back_while_nobody_ran_is_counted_up_again() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    let settings = {
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
        pipeline.feed(&recent_records(1, 2, 300))?;
        pipeline.run_until_end("w", &[])?;
        pipeline.settings
    };
    let snapshot = redis.snapshot()?;
    {
        let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2);
        pipeline.feed(&recent_records(2, 2, 300))?;
        pipeline.run_until_end("w", &[])?;
    }
    redis.restore(&snapshot)?;
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings, 2);
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new(), "rolled back");
    redis.command::<String>(&["FLUSHALL"])?;
    pipeline.feed(&recent_records(3, 2, 300))?;
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new(), "emptied");
    Ok(())
}

#[test]
fn a_redis_that_is_rolled_back_or_emptied_while_nothing_flows_is_right_within_thirty_seconds() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    let (settings, mut worker) = {
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
        pipeline.feed(&recent_records(1, 2, 300))?;
        let worker = pipeline.worker("w", &[])?;
        pipeline.wait_until_published()?;
        (pipeline.settings, worker)
    };
    let snapshot = redis.snapshot()?;
    {
        let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2);
        // Only one of the two goes on: the other has nothing to do but to be right.
        let more = recent_records(2, 2, 300);
        pipeline.feed(&more.into_iter().filter(|record| record.partition == 0).collect::<Vec<_>>())?;
        pipeline.wait_until_published()?;
    }
    let lost_at = Instant::now();
    redis.restore(&snapshot)?;
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings, 2);
    pipeline.wait_until_published()?;
    assert!(lost_at.elapsed() < Duration::from_secs(30), "rolled back: {:?}", lost_at.elapsed());
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    let lost_at = Instant::now();
    redis.command::<String>(&["FLUSHALL"])?;
    pipeline.wait_until_published()?;
    assert!(lost_at.elapsed() < Duration::from_secs(30), "emptied: {:?}", lost_at.elapsed());
    pipeline.is_whole(&mut worker)
}

#[test]
fn offsets_that_a_tool_committed_halt_and_deleting_them_is_enough() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&recent_records(1, 1, 200))?;
    pipeline.run_until_end("w", &[])?;
    pipeline.feed(&recent_records(2, 1, 200))?;
    Kafka::shared().reset_offset(
        &pipeline.group(),
        &pipeline.source,
        0,
        &Committed { offset: 50, metadata: String::new() },
    )?;
    let halted = until_end(&pipeline)?;
    assert_eq!(halted.code, 1, "{}", halted.stderr);
    for words in
        ["committed offset 50 was not written by Rollcall", "delete the group's offsets", "rollcall repair"]
    {
        assert!(halted.stderr.contains(words), "{words} in {}", halted.stderr);
    }
    Kafka::shared().delete_group(&pipeline.group())?;
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_topic_that_was_made_anew_halts_until_it_is_repaired() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    pipeline.feed(&recent_records(1, 1, 200))?;
    pipeline.run_until_end("w", &[])?;
    let before = pipeline.read(&pipeline.output)?;
    pipeline.rewrite(&pipeline.source, &recent_records(2, 1, 300))?;
    let mut worker = pipeline.worker("w", &[])?;
    let line = worker.wait_for_line("partition halted", DEADLINE)?;
    assert!(line.contains("is another one than was counted") && line.contains("rollcall repair"), "{line}");
    let shown = repair(&pipeline, &[])?;
    assert!(shown.contains("partition 0: the source topic is another one"), "{shown}");
    assert_eq!(pipeline.read(&pipeline.output)?, before, "nothing is delivered while it is halted");
    let renewed = repair(&pipeline, &["--new-incarnation"])?;
    assert!(renewed.contains("partition 0: a new incarnation starts at offset 0"), "{renewed}");
    pipeline.wait_until_published().with_context(|| worker.stderr())?;
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    let published = pipeline.document()?.context("something is published")?;
    let incarnation =
        published.pointer("/incarnations/0").and_then(Value::as_str).context("an incarnation")?;
    assert!(incarnation.starts_with("2-"), "{incarnation}");
    is_exact_in(&pipeline, &published)?;
    assert!(repair(&pipeline, &[])?.contains("nothing diverged"));
    Ok(())
}

#[test]
fn what_retention_takes_before_it_is_read_is_a_gap_of_exactly_that() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&logins(0, 300))?;
    pipeline.run_until_end("w", &[])?;
    pipeline.feed(&logins(300, 300))?;
    let mut must = pipeline.source_records()?;
    must.retain(|record| record.partition != 0 || !(300..450).contains(&record.offset));
    Kafka::shared().delete_records(&pipeline.source, 0, 450)?;
    // What was counted and delivered before is lost as well, and no gap.
    Kafka::shared().delete_records(&pipeline.source, 1, 250)?;
    pipeline.run_until_end("w", &[])?;
    let gap = json!([{"partition": 0, "from": 300, "to": 450, "reason": "retention"}]);
    assert_eq!(pipeline.differences_of(must, gap)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_source_of_transactions_is_read_to_its_very_end() -> Result<()> {
    let redis = Redis::start(redis::Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let mut worker = pipeline.worker("w", &[])?;
    let producer = Kafka::shared().client().transactional_producer(&format!("{}-source", pipeline.source))?;
    for round in 0..6 {
        let records: Vec<Record> = logins(round * 20, 20).into_iter().map(plain).collect();
        producer.begin()?;
        producer.produce(&pipeline.source, &records)?;
        // The last one, too, is given up: its marker is the log's end.
        if round % 2 == 0 { producer.commit()? } else { producer.abort()? }
    }
    let published = pipeline.wait_until_published().with_context(|| worker.stderr())?;
    let ends = Kafka::shared().client().log_ends(&pipeline.source, Isolation::Uncommitted)?;
    assert_eq!(ends[&0].end, 6 * 21, "records and markers");
    wait_for("the committed offsets to reach the end", DEADLINE, || {
        let committed = pipeline.committed()?;
        for (partition, ends) in &ends {
            let at = committed.get(partition).map(|committed| committed.offset);
            ensure!(at == Some(ends.end), "partition {partition}: {at:?} of {}", ends.end);
        }
        Ok(())
    })?;
    assert_eq!(published.pointer("/logins/total"), Some(&json!(120)));
    pipeline.is_whole(&mut worker)
}

/// The document and what was delivered under its incarnations, compared with the source as it is now.
fn is_exact_in(pipeline: &Pipeline<'_>, published: &Value) -> Result<()> {
    let incarnations = incarnations(published);
    let source = pipeline.source_records()?;
    let of_it = |topic: &str| -> Result<Vec<SourceRecord>> {
        let mut records = pipeline.read(topic)?;
        records.retain(|record| named_source(record, &incarnations).is_some());
        Ok(records)
    };
    let (output, dead_letters) = (of_it(&pipeline.output)?, of_it(&pipeline.dead_letters)?);
    let sinks = Sinks {
        output: &output,
        output_partitions: 1,
        dead_letters: &dead_letters,
        dead_letter_partitions: 1,
        incarnations: &incarnations,
        may_refuse: false,
    };
    assert_eq!(audit_output(&pipeline.settings, &source, &sinks), Vec::<String>::new());
    let expected = document(&pipeline.settings, &[(0, source)].into(), &positions(published));
    assert_eq!(compare_document(&expected, published), Vec::<String>::new());
    Ok(())
}

fn repair(pipeline: &Pipeline<'_>, arguments: &[&str]) -> Result<String> {
    let options = WorkerOptions::command(&["repair", "--log-format", "text"]).args(arguments);
    let finished = Worker::run(options.config(&pipeline.config()), DEADLINE)?;
    ensure!(finished.code == 0, "exit code {}:\n{}{}", finished.code, finished.stdout, finished.stderr);
    Ok(finished.stdout)
}

fn until_end(pipeline: &Pipeline<'_>) -> Result<Finished> {
    let options = WorkerOptions::new(&pipeline.config()).args(&["--name", "w", "--log-format", "text"]);
    Worker::run(options.args(&["--until-end"]), DEADLINE)
}

/// Logins that all pass the filter, for both partitions.
fn logins(first: i64, count: i64) -> Vec<SourceRecord> {
    (0..2).flat_map(|partition| passing_logins(partition, first, count)).collect()
}

fn plain(record: SourceRecord) -> Record {
    Record::new(record.value.unwrap_or_default()).partition(record.partition).timestamp(record.timestamp_ms)
}

const DEADLINE: Duration = Duration::from_mins(1);
