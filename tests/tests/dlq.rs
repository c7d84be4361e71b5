//! Dead letters are listed without a piece of them, and go back to the source topic once.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::{Context, Result};
use lab::kafka::Kafka;
use lab::oracle::SourceRecord;
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::{Worker, WorkerOptions};
use serde_json::Value;

#[test]
fn letters_are_listed_by_reason_and_never_quoted() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let mut source = recent_records(41, 2, 200);
    source.push(broken(0, b"{\"user_id\": \"kanarie\""));
    pipeline.feed(&source)?;
    pipeline.run_until_end("w", &[])?;
    let letters = pipeline.read(&pipeline.dead_letters)?;
    let printed = dlq(&pipeline, &["list", "--output", "json", "--limit", "1000"])?;
    let lines: Vec<Value> = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), letters.len());
    for (line, letter) in lines.iter().zip(&letters) {
        assert_eq!(line.get("partition"), Some(&Value::from(letter.partition)));
        assert_eq!(line.get("offset"), Some(&Value::from(letter.offset)));
        let reason = letter.headers.iter().rfind(|(name, _)| name == "rollcall-reason");
        let reason = reason.and_then(|(_, value)| value.clone()).context("a reason")?;
        assert_eq!(line.get("reason"), Some(&Value::from(String::from_utf8(reason)?)));
    }
    assert!(!printed.contains("kanarie"), "{printed}");
    let one = dlq(&pipeline, &["list", "--reason", "not_json", "--limit", "1"])?;
    assert_eq!(one.lines().count(), 2, "{one}");
    assert!(one.contains("not_json") && !one.contains("missing_field"), "{one}");
    Ok(())
}

#[test]
fn letters_go_back_once_as_they_were() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    let mut source = recent_records(42, 2, 100);
    source.push(broken(1, b"not json"));
    pipeline.feed(&source)?;
    pipeline.run_until_end("w", &[])?;
    let before = pipeline.source_records()?;
    let letters = pipeline.read(&pipeline.dead_letters)?;
    let dry = dlq(&pipeline, &["replay", "--dry-run"])?;
    assert!(dry.contains(&format!("{} dead letters would be replayed", letters.len())), "{dry}");
    assert_eq!(pipeline.source_records()?.len(), before.len());

    let not_json = letters.iter().filter(|letter| reason_of(letter) == b"not_json").count();
    let some = dlq(&pipeline, &["replay", "--reason", "not_json"])?;
    assert!(some.contains(&format!("{not_json} dead letters replayed")), "{some}");
    let rest = dlq(&pipeline, &["replay"])?;
    assert!(rest.contains(&format!("{} dead letters replayed", letters.len() - not_json)), "{rest}");
    assert!(rest.contains(&format!("{not_json} were replayed before")), "{rest}");
    let again = dlq(&pipeline, &["replay"])?;
    assert!(again.contains("0 dead letters replayed"), "{again}");

    let after = pipeline.source_records()?;
    assert_eq!(after.len(), before.len() + letters.len());
    let places: Vec<(i32, i64)> = before.iter().map(|record| (record.partition, record.offset)).collect();
    let mut replayed: Vec<_> = after
        .iter()
        .filter(|record| !places.contains(&(record.partition, record.offset)))
        .map(content)
        .collect();
    let mut expected: Vec<_> =
        letters.iter().map(|letter| original_of(letter, &before)).collect::<Result<_>>()?;
    replayed.sort();
    expected.sort();
    assert_eq!(replayed, expected);
    // They are no logins still: each is a dead letter again, and everything is exact, markers included.
    pipeline.run_until_end("w", &[])?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    Ok(())
}

type Content = (i32, Option<Vec<u8>>, Option<Vec<u8>>, i64, Vec<(String, Option<Vec<u8>>)>);

fn content(record: &SourceRecord) -> Content {
    (record.partition, record.key.clone(), record.value.clone(), record.timestamp_ms, record.headers.clone())
}

fn original_of(letter: &SourceRecord, source: &[SourceRecord]) -> Result<Content> {
    let mark = letter.headers.iter().rfind(|(name, _)| name == "rollcall-source");
    let mark = String::from_utf8(mark.and_then(|(_, value)| value.clone()).context("a mark")?)?;
    let mut parts = mark.split(':').skip(1);
    let partition: i32 = parts.next().context("a partition")?.parse()?;
    let offset: i64 = parts.next().context("an offset")?.parse()?;
    let found = source.iter().find(|record| record.partition == partition && record.offset == offset);
    found.map(content).with_context(|| format!("the source of {mark}"))
}

fn reason_of(letter: &SourceRecord) -> &[u8] {
    let reason = letter.headers.iter().rfind(|(name, _)| name == "rollcall-reason");
    reason.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
}

fn broken(partition: i32, value: &[u8]) -> SourceRecord {
    SourceRecord {
        partition,
        offset: 0,
        timestamp_ms: 1_790_000_000_000,
        key: Some(b"key".to_vec()),
        value: Some(value.to_vec()),
        headers: vec![("trace".to_owned(), Some(b"1".to_vec()))],
    }
}

fn dlq(pipeline: &Pipeline<'_>, arguments: &[&str]) -> Result<String> {
    let options = WorkerOptions::command(&["dlq"]).args(arguments).config(&pipeline.config());
    let finished = Worker::run(options, DEADLINE)?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    Ok(finished.stdout)
}

const DEADLINE: Duration = Duration::from_mins(1);
