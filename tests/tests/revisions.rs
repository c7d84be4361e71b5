//! A changed specification, rolled through the workers under load: each partition changes at one offset, the same for both
//! sinks, and nothing takes that back.
#![cfg(feature = "lab")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::kafka::Kafka;
use lab::oracle::corpus::Corpus;
use lab::oracle::{
    Dimension, Fold, PartitionTruth, Settings, Sinks, SourceRecord, audit_output, compare_document,
    compare_keys, expected, incarnations, named_source,
};
use lab::pipeline::{Feeder, Pipeline, positions};
use lab::redis::{self, Redis};
use lab::wait_for;
use lab::worker::Worker;
use serde_json::Value;

/// Another filter, and one dimension more.
const CHANGED: &str = "\
revision: 2
filter:
- {field: device_type, operator: NotIn, values: [android]}
insights:
  dimensions:
  - {field: device_type, fold: Lower}
  - {field: app_version}
  - {field: locale, fold: Upper}
  - {field: device_id}
";

#[test]
fn a_change_that_is_rolled_out_under_load_holds_from_one_offset_on_in_both_sinks() -> Result<()> {
    let mut redis = Redis::start(redis::Options::new())?;
    let settings = Pipeline::new(Kafka::shared(), &redis, PARTITIONS)?.settings;
    let feeder = Pipeline::adopt(Kafka::shared(), &redis, settings.clone(), PARTITIONS).feeder()?;
    let is_over = AtomicBool::new(false);
    let (mut workers, logs) = thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&feeder, &is_over));
        let rolled = roll_out(&mut redis, &settings);
        is_over.store(true, Ordering::Relaxed);
        feeding.join().expect("the feeder does not panic")?;
        rolled
    })?;
    let pipeline = Pipeline::adopt(Kafka::shared(), &redis, settings, PARTITIONS);
    let document = pipeline.wait_until_published().with_context(|| logs.clone())?;
    for worker in &mut workers {
        worker.terminate()?;
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
    }
    assert!(logs.contains("revision takes effect"), "{logs}");
    assert_eq!(document.get("rebuilt_with_revision"), None);
    let changes = changes(&pipeline)?.context("a partition that never changed")?;
    let source = pipeline.source_records()?;
    for (partition, first) in &changes {
        let is_between = source.iter().any(|record| record.partition == *partition && record.offset < *first)
            && source.iter().any(|record| record.partition == *partition && record.offset >= *first);
        assert!(is_between, "partition {partition} changed at {first}, beside all its records");
    }
    for is_new in [false, true] {
        let found = delivery_differences(&pipeline, &document, &changes, is_new)?;
        assert_eq!(
            found,
            Vec::<String>::new(),
            "delivered under the {} one",
            if is_new { "new" } else { "old" }
        );
    }
    let document = pipeline.document()?.context("something is published")?;
    assert_eq!(insight_differences(&pipeline, &document, &source, &changes)?, Vec::<String>::new());
    Ok(())
}

/// Two workers get the new specification, one after the other; then Redis forgets all about it. Returns the workers, and
/// what all of them said.
fn roll_out(redis: &mut Redis, settings: &Settings) -> Result<(Vec<Worker>, String)> {
    let start = |redis: &Redis, name: &str, more: &str| {
        let mut pipeline = Pipeline::adopt(Kafka::shared(), redis, settings.clone(), PARTITIONS);
        more.clone_into(&mut pipeline.more);
        pipeline.worker(name, &[])
    };
    let mut workers = vec![start(redis, "w0", "revision: 1\n")?, start(redis, "w1", "revision: 1\n")?];
    let mut logs = String::new();
    records_reach(redis, settings, 1000)?;
    let snapshot = redis.snapshot()?;
    records_reach(redis, settings, 2000)?;
    // The second may find everything changed: the first had all partitions while it was away.
    let steps = [("w0", "revision takes effect"), ("w1", "partition loaded")];
    for (number, (name, words)) in steps.into_iter().enumerate() {
        let fresh = {
            let worker = workers.get_mut(number).context("there are two")?;
            worker.terminate()?;
            ensure!(worker.wait_exit(DEADLINE)? == 0, "{}", worker.stderr());
            logs.push_str(&worker.stderr());
            start(redis, name, CHANGED)?
        };
        // The other one goes on meanwhile, with partitions that have changed already.
        fresh.wait_for_line(words, DEADLINE)?;
        if let Some(worker) = workers.get_mut(number) {
            *worker = fresh;
        }
        records_reach(redis, settings, 0)?;
    }
    let before = wait_for("every partition to change", DEADLINE, || {
        changes(&Pipeline::adopt(Kafka::shared(), redis, settings.clone(), PARTITIONS))?
            .context("not all yet")
    })?;
    records_reach(redis, settings, 0)?;
    redis.restore(&snapshot)?;
    records_reach(redis, settings, 0)?;
    let pipeline = Pipeline::adopt(Kafka::shared(), redis, settings.clone(), PARTITIONS);
    ensure!(changes(&pipeline)? == Some(before), "a rollback moves no change");
    logs.extend(workers.iter().map(Worker::stderr));
    Ok((workers, logs))
}

/// Waits until so many records are published, and a publication later than now.
fn records_reach(redis: &Redis, settings: &Settings, count: u64) -> Result<()> {
    let pipeline = Pipeline::adopt(Kafka::shared(), redis, settings.clone(), PARTITIONS);
    let read = || -> Result<u64> {
        let document = pipeline.document()?.context("nothing is published")?;
        document.pointer("/records/read").and_then(Value::as_u64).context("a document without its records")
    };
    let before = read().unwrap_or(0);
    wait_for("more records", DEADLINE, || {
        let now = read()?;
        ensure!(now >= count && now > before + 200, "{now} records, {before} before");
        Ok(())
    })
}

/// The offset from which revision 2 holds, by partition, as it is committed; none while one has not changed.
fn changes(pipeline: &Pipeline<'_>) -> Result<Option<BTreeMap<i32, i64>>> {
    let mut changes = BTreeMap::new();
    for (partition, committed) in pipeline.committed()? {
        let metadata: Value = serde_json::from_str(&committed.metadata)?;
        let revisions = metadata.get("revisions").and_then(Value::as_array).context("no revisions")?;
        let second = revisions.iter().find(|entry| entry.get("revision").and_then(Value::as_u64) == Some(2));
        let first = second.and_then(|entry| entry.get("first_offset")?.as_i64());
        changes.extend(first.map(|first| (partition, first)));
    }
    Ok((i32::try_from(changes.len()) == Ok(PARTITIONS)).then_some(changes))
}

/// What is wrong with the deliveries of one side of the change.
fn delivery_differences(
    pipeline: &Pipeline<'_>,
    document: &Value,
    changes: &BTreeMap<i32, i64>,
    is_new: bool,
) -> Result<Vec<String>> {
    let incarnations = incarnations(document);
    let is_here = |(partition, offset): (i32, i64)| {
        changes.get(&partition).is_some_and(|first| (offset >= *first) == is_new)
    };
    let read = |topic: &str| -> Result<Vec<SourceRecord>> {
        let mut records = pipeline.read(topic)?;
        records.retain(|record| named_source(record, &incarnations).is_none_or(is_here));
        Ok(records)
    };
    let mut source = pipeline.source_records()?;
    source.retain(|record| is_here((record.partition, record.offset)));
    let (output, dead_letters) = (read(&pipeline.output)?, read(&pipeline.dead_letters)?);
    let sinks = Sinks {
        output: &output,
        output_partitions: PARTITIONS,
        dead_letters: &dead_letters,
        dead_letter_partitions: PARTITIONS,
        incarnations: &incarnations,
        may_refuse: false,
    };
    let settings = if is_new { changed(&pipeline.settings) } else { pipeline.settings.clone() };
    Ok(audit_output(&settings, &source, &sinks))
}

/// What is wrong in the document and the public keys.
fn insight_differences(
    pipeline: &Pipeline<'_>,
    document: &Value,
    source: &[SourceRecord],
    changes: &BTreeMap<i32, i64>,
) -> Result<Vec<String>> {
    let new = changed(&pipeline.settings);
    let mut old = pipeline.settings.clone();
    // Earlier logins count as unknown in a dimension that they were not asked about.
    old.dimensions.push(Dimension { field: "a field that none of them has".to_owned(), fold: Fold::Keep });
    let mut truths: BTreeMap<i32, PartitionTruth> = BTreeMap::new();
    for record in source {
        let is_new = changes.get(&record.partition).is_some_and(|first| record.offset >= *first);
        let settings = if is_new { &new } else { &old };
        truths.entry(record.partition).or_default().fold(settings, record);
    }
    let truths: Vec<&PartitionTruth> = truths.values().collect();
    let expected = expected(&new, &truths, &positions(document));
    let mut differences = compare_document(&expected, document);
    differences.extend(compare_keys(&expected, &pipeline.public_keys()?));
    Ok(differences)
}

/// What [`CHANGED`] says, for the oracle.
fn changed(settings: &Settings) -> Settings {
    let mut changed = settings.clone();
    changed.filter.truncate(1);
    for condition in &mut changed.filter {
        condition.operator = lab::oracle::Operator::NotIn;
    }
    changed.dimensions.push(Dimension { field: "device_id".to_owned(), fold: Fold::Keep });
    changed
}

/// Keeps the workers busy until it is over.
fn feed(feeder: &Feeder, is_over: &AtomicBool) -> Result<()> {
    let mut corpus = Corpus::recent(11, 3);
    feeder.feed_until(is_over, &mut corpus, (PARTITIONS, 10), Duration::from_millis(50), FEED_MAX)
}

const PARTITIONS: i32 = 4;
const DEADLINE: Duration = Duration::from_mins(1);
const FEED_MAX: Duration = Duration::from_mins(4);
