//! How workers start, rest and leave: a clean stop re-reads nothing, an idle pipeline writes nothing, partitions come and
//! signals end.
#![cfg(feature = "lab")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lab::kafka::{Isolation, Kafka};
use lab::oracle::SourceRecord;
use lab::oracle::corpus::recent_records;
use lab::pipeline::{Pipeline, positions};
use lab::redis::{Options, Redis};
use lab::wait_for;
use lab::worker::{Worker, number};
use serde_json::Value;

#[test]
fn after_a_clean_stop_nothing_is_read_again() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(1, 2, 2000))?;
    let mut worker = pipeline.worker("w", &[])?;
    worker.wait_for_line("partition loaded", DEADLINE)?;
    // In the middle of the work.
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    let printed = pipeline.run_until_end("w", &[])?.stderr;
    assert!(!printed.contains("below a gate"), "{printed}");
    for line in printed.lines().filter(|line| line.contains("partition loaded")) {
        let (read, committed, counted) =
            (number(line, "read_from"), number(line, "committed"), number(line, "counted"));
        // One record early, to recognise the last one.
        let last = committed.map(|next| (next - 1).max(0));
        assert!(read.is_some() && read == last && committed == counted, "{line}");
    }
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

/// Logins of many days: each day's counts are read from Redis when its first login comes.
#[test]
fn a_stop_while_parts_of_a_state_are_read_is_clean() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&logins_of_many_days()?)?;
    pipeline.run_until_end("w", &[])?;
    for _ in 0..3 {
        let before = positions(&pipeline.document()?.context("something is published")?);
        pipeline.feed(&logins_of_many_days()?)?;
        let mut worker = pipeline.worker("w", &[])?;
        wait_for("the work to be under way", DEADLINE, || {
            let now = positions(&pipeline.document()?.context("something is published")?);
            ensure!(now != before, "nothing new is published");
            Ok(())
        })?;
        worker.terminate()?;
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    }
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

/// The group refuses the commits of a generation that is over: what was read is read and committed again before the worker leaves.
#[test]
fn a_stop_amid_a_rebalance_is_clean() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 4)?;
    let feeder = pipeline.feeder()?;
    let mut seed = 0;
    let mut feed_until = |what: &str, done: &mut dyn FnMut() -> Result<bool>| {
        let end = Instant::now() + DEADLINE;
        while !done()? {
            ensure!(Instant::now() < end, "waiting for {what} takes too long");
            seed += 1;
            feeder.feed(&recent_records(seed, 4, 20))?;
        }
        Ok(())
    };
    let mut former = pipeline.worker("w0", &[])?;
    for round in 1..=6 {
        // Only one that holds all has something to give up: a partition that nobody holds goes to the next one as it comes.
        feed_until("all partitions to be held", &mut || Ok(loaded(&former.stderr()).len() == 4))
            .with_context(|| format!("round {round}:\n{}", former.stderr()))?;
        let next = pipeline.worker(&format!("w{round}"), &[])?;
        feed_until("partitions to be moved", &mut || Ok(former.stderr().contains("partitions revoked")))
            .with_context(|| format!("round {round}:\n{}\n{}", former.stderr(), next.stderr()))?;
        former.terminate()?;
        feed_until("the end of a worker", &mut || Ok(!former.is_running()?))
            .with_context(|| format!("round {round}:\n{}\n{}", former.stderr(), next.stderr()))?;
        assert_eq!(former.wait_exit(DEADLINE)?, 0, "round {round}:\n{}", former.stderr());
        former = next;
    }
    pipeline.wait_until_published()?;
    former.terminate()?;
    assert_eq!(former.wait_exit(DEADLINE)?, 0, "{}", former.stderr());
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn an_idle_pipeline_writes_nothing_but_its_reports() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(2, 2, 100))?;
    let _worker = pipeline.worker("w", &[])?;
    pipeline.wait_until_published()?;
    // The first report after the last record may come with one more publication, the two after it do not.
    let mut report = wait_for_another_report(&pipeline, &redis, None)?;
    report = wait_for_another_report(&pipeline, &redis, Some(&report))?;
    let before = everything(&pipeline, &redis)?;
    for _ in 0..2 {
        report = wait_for_another_report(&pipeline, &redis, Some(&report))?;
    }
    assert_eq!(everything(&pipeline, &redis)?, before);
    Ok(())
}

#[test]
fn partitions_that_are_added_are_taken_up() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    pipeline.feed(&recent_records(3, 2, 100))?;
    let mut worker = pipeline.worker("w", &[])?;
    pipeline.wait_until_published()?;
    let added_at = Instant::now();
    Kafka::shared().add_partitions(&pipeline.source, 4)?;
    pipeline.feed(&recent_records(4, 4, 100))?;
    pipeline.wait_until_published()?;
    assert!(added_at.elapsed() < Duration::from_secs(30), "{:?}", added_at.elapsed());
    worker.terminate()?;
    assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_worker_is_gone_within_ten_seconds_and_within_twenty_five_without_its_services() -> Result<()> {
    let mut redis = Redis::start(Options::new())?;
    let settings = {
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
        pipeline.feed(&recent_records(5, 2, 3000))?;
        pipeline.settings
    };
    let start = |redis: &Redis| Pipeline::adopt(Kafka::shared(), redis, settings.clone(), 2).worker("w", &[]);
    let mut worker = start(&redis)?;
    worker.wait_for_line("partition loaded", DEADLINE)?;
    assert_eq!(leaves(&mut worker)?, (0, true), "{}", worker.stderr());

    let mut worker = start(&redis)?;
    worker.wait_for_line("partition loaded", DEADLINE)?;
    Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2).wait_until_published()?;
    redis.pause()?;
    Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), 2).feed(&recent_records(6, 2, 3000))?;
    let asked_at = Instant::now();
    worker.terminate()?;
    let code = worker.wait_exit(DEADLINE)?;
    assert!(asked_at.elapsed() < Duration::from_secs(25), "{:?}", asked_at.elapsed());
    redis.resume()?;
    assert!(code == 1 || code == 0, "{code}: {}", worker.stderr());
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings, 2);
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_second_signal_ends_a_worker_at_once() -> Result<()> {
    let mut redis = Redis::start(Options::new())?;
    let (mut worker, id) = {
        let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
        pipeline.feed(&recent_records(7, 2, 500))?;
        let worker = pipeline.worker("w", &[])?;
        pipeline.wait_until_published()?;
        pipeline.feed(&recent_records(8, 2, 500))?;
        (worker, pipeline.settings.pipeline)
    };
    redis.pause()?;
    worker.terminate()?;
    worker.wait_for_line("draining", DEADLINE)?;
    let asked_at = Instant::now();
    worker.terminate()?;
    let code = worker.wait_exit(DEADLINE)?;
    assert!(asked_at.elapsed() < Duration::from_secs(2), "{id}: {:?}", asked_at.elapsed());
    assert_eq!(code, 1, "{}", worker.stderr());
    redis.resume()?;
    Ok(())
}

fn logins_of_many_days() -> Result<Vec<SourceRecord>> {
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let mut records = Vec::new();
    for (offset, day) in (0..60).flat_map(|day| [day; 4]).enumerate() {
        let timestamp = now_ms / 1000 - day * 86_400;
        let value = format!(
            r#"{{"user_id":"u{day}","app_version":"4.0","device_type":"android","timestamp":{timestamp}}}"#
        );
        for partition in 0..2 {
            records.push(SourceRecord {
                partition,
                offset: i64::try_from(offset)?,
                timestamp_ms: now_ms,
                key: None,
                value: Some(value.clone().into_bytes()),
                headers: Vec::new(),
            });
        }
    }
    Ok(records)
}

/// Asks a worker to leave; its exit code, and whether it took less than ten seconds.
fn leaves(worker: &mut Worker) -> Result<(i32, bool)> {
    let asked_at = Instant::now();
    worker.terminate()?;
    let code = worker.wait_exit(DEADLINE)?;
    Ok((code, asked_at.elapsed() < Duration::from_secs(10)))
}

/// Waits for a report with another time than `last`, and returns it.
fn wait_for_another_report(pipeline: &Pipeline<'_>, redis: &Redis, last: Option<&str>) -> Result<String> {
    wait_for("the next report", DEADLINE, || {
        let reports: BTreeMap<String, String> = redis.command(&["HGETALL", &pipeline.key("workers")])?;
        let report: Value = serde_json::from_str(reports.get("w").context("no report")?)?;
        let time = report.get("time").context("a report without its time")?.to_string();
        ensure!(last != Some(time.as_str()), "it is still the same");
        Ok(time)
    })
}

/// All that a pipeline can write, but for its reports: each key's content, and the ends of all logs, markers included.
fn everything(pipeline: &Pipeline<'_>, redis: &Redis) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut names: Vec<String> = redis.command(&["KEYS", "*"])?;
    names.retain(|name| *name != pipeline.key("workers"));
    for name in names {
        let dump: Vec<u8> = redis.command(&["DUMP", &name])?;
        all.insert(name, format!("{dump:?}"));
    }
    for topic in [&pipeline.output, &pipeline.dead_letters] {
        let ends = Kafka::shared().client().log_ends(topic, Isolation::Uncommitted)?;
        all.insert(topic.clone(), format!("{ends:?}"));
    }
    Ok(all)
}

/// The partitions that a worker has loaded.
fn loaded(stderr: &str) -> BTreeSet<i64> {
    let lines = stderr.lines().filter(|line| line.contains("partition loaded"));
    lines.filter_map(|line| number(line, "partition")).collect()
}

const DEADLINE: Duration = Duration::from_mins(1);
