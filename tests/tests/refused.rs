//! Records that topics refuse for good, and floods of made-up values: nothing stops a worker, and totals stay exact.
#![cfg(feature = "lab")]

use std::time::Duration;

use anyhow::{Context, Result};
use lab::kafka::{Kafka, Record};
use lab::oracle::{Sinks, SourceRecord, audit_output, incarnations};
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::{Worker, WorkerOptions};
use serde_json::Value;

#[test]
fn what_the_output_topic_refuses_is_a_dead_letter_and_stays_counted() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 2)?;
    Kafka::shared().alter_topic(&pipeline.output, "max.message.bytes", "600")?;
    let mut source = Vec::new();
    for offset in 0..60 {
        let padding = if offset % 20 == 7 { 1000 } else { 0 };
        source.push(login(0, offset, "3.1", padding));
        source.push(login(1, offset, "3.1", 0));
    }
    pipeline.feed(&source)?;
    pipeline.run_until_end("w", &[])?;
    let document = pipeline.document()?.context("something is published")?;
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_u64);
    assert_eq!(number("/records/processed"), Some(120));
    assert_eq!(number("/records/output_refused"), Some(3));
    assert_eq!(number("/records/dead_letters/total"), Some(0));
    let (output, dead_letters) = (pipeline.read(&pipeline.output)?, pipeline.read(&pipeline.dead_letters)?);
    assert_eq!((output.len(), dead_letters.len()), (117, 3));
    for letter in &dead_letters {
        assert_eq!(letter.header("rollcall-reason"), Some(b"output_refused".as_slice()));
    }
    let sinks = Sinks {
        output: &output,
        output_partitions: 2,
        dead_letters: &dead_letters,
        dead_letter_partitions: 2,
        incarnations: &incarnations(&document),
        may_refuse: true,
    };
    assert_eq!(audit_output(&pipeline.settings, &pipeline.source_records()?, &sinks), Vec::<String>::new());
    Ok(())
}

#[test]
fn what_both_topics_refuse_loses_its_value_first_and_is_a_gap_at_last() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    Kafka::shared().alter_topic(&pipeline.output, "max.message.bytes", "600")?;
    Kafka::shared().alter_topic(&pipeline.dead_letters, "max.message.bytes", "1500")?;
    let mut source: Vec<SourceRecord> = (0..10).map(|offset| login(0, offset, "3.1", 0)).collect();
    source.push(login(0, 10, "3.1", 3000));
    source.extend((11..20).map(|offset| login(0, offset, "3.1", 0)));
    pipeline.feed(&source)?;
    pipeline.run_until_end("w", &[])?;
    let dead_letters = pipeline.read(&pipeline.dead_letters)?;
    let [letter] = dead_letters.as_slice() else { panic!("one dead letter, not {}", dead_letters.len()) };
    assert_eq!(letter.value, None);
    let length = source[10].value.as_ref().map_or(0, Vec::len).to_string();
    assert_eq!(letter.header("rollcall-value-omitted"), Some(length.as_bytes()));
    assert_eq!(pipeline.read(&pipeline.output)?.len(), 19);

    Kafka::shared().alter_topic(&pipeline.dead_letters, "max.message.bytes", "100")?;
    pipeline.feed(&[login(0, 20, "3.1", 3000), login(0, 21, "3.1", 0)])?;
    pipeline.run_until_end("w", &[])?;
    let document = pipeline.document()?.context("something is published")?;
    let gaps = serde_json::json!([{"partition": 0, "from": 20, "to": 21, "reason": "undeliverable"}]);
    assert_eq!(document.pointer("/gaps"), Some(&gaps));
    assert_eq!(document.pointer("/records/processed"), Some(&Value::from(22)));
    Ok(())
}

/// Packed, such a record costs its sender nothing; the client's queue is 32 MB.
#[test]
fn what_is_longer_than_the_clients_queue_loses_its_value() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    let client = Kafka::shared().client().property("compression.type", "gzip");
    let client = client.property("message.max.bytes", "100000000");
    let records = [Record::new(vec![b'x'; 40_000_000]), Record::new(vec![b'y'; 50_000_000])];
    for record in records {
        client.produce(&pipeline.source, &[record])?;
    }
    pipeline.feed(&[login(0, 2, "3.1", 0)])?;
    pipeline.run_until_end("w", &[])?;
    let letters = pipeline.read(&pipeline.dead_letters)?;
    let lengths: Vec<_> = letters.iter().map(|letter| letter.header("rollcall-value-omitted")).collect();
    assert_eq!(lengths, [Some(b"40000000".as_slice()), Some(b"50000000".as_slice())]);
    assert_eq!(pipeline.read(&pipeline.output)?.len(), 1);
    Ok(())
}

#[test]
fn a_flood_of_made_up_versions_keeps_the_totals_and_the_bound() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 1)?;
    let records: Vec<SourceRecord> =
        (0..FLOOD).map(|number| login(0, number, &format!("9.{number}.7"), 0)).collect();
    for chunk in records.chunks(50_000) {
        pipeline.feed(chunk)?;
    }
    let options = WorkerOptions::new(&pipeline.config()).args(&["--until-end"]);
    let finished = Worker::run(options, Duration::from_mins(3))?;
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let document = pipeline.document()?.context("something is published")?;
    let total = document.pointer("/logins/total").and_then(Value::as_i64);
    assert_eq!(total, Some(FLOOD));
    let versions =
        document.pointer("/logins/by/app_version").and_then(Value::as_object).context("versions")?;
    assert!(versions.len() <= 1001, "{} values", versions.len());
    assert_eq!(versions.values().filter_map(Value::as_i64).sum::<i64>(), FLOOD);
    let names: Vec<String> = redis.command(&["KEYS", "*"])?;
    let mut bytes = 0;
    for name in &names {
        bytes += redis.command::<i64>(&["MEMORY", "USAGE", name, "SAMPLES", "0"])?;
    }
    // The README's bound: partitions × (days + 1) × dimensions × maxValues × 280 bytes, and as much for what is public.
    assert!(bytes <= 2 * 2 * 3 * 1000 * 280, "{bytes} bytes");
    Ok(())
}

fn login(partition: i32, offset: i64, version: &str, padding: usize) -> SourceRecord {
    let value = format!(
        "{{\"user_id\":\"u{offset}\",\"app_version\":\"{version}\",\"device_type\":\"android\",\"locale\":\"DE\",\
         \"timestamp\":1790000000,\"padding\":\"{}\"}}",
        padding_text(offset, padding)
    );
    SourceRecord {
        partition,
        offset,
        timestamp_ms: 1_790_000_000_000,
        key: None,
        value: Some(value.into_bytes()),
        headers: Vec::new(),
    }
}

/// Text that does not compress.
fn padding_text(seed: i64, length: usize) -> String {
    let mut state = seed.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(char::from(b'a' + u8::try_from(state % 26).unwrap_or(0)));
    }
    text
}

const FLOOD: i64 = 1_000_000;
