//! What one login costs from its bytes to its output: `cargo bench -p rollcall-insights --bench decode`.
//!
//! Owns the number that the README quotes. It never touches Kafka or Redis.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use insights::record::{Decoder, Scratch};
use insights::spec::{
    DeadLetter, Dimension, Fields, Fold, Insights, Kafka, Operator, Output, OutputKey, PipelineSpec, Redis,
    Requirement, Source, StartFrom, TimestampUnit,
};
use secrecy::SecretString;

fn main() {
    let decoder = Decoder::new(&spec()).expect("the usual specification compiles");
    let records = records();
    let bytes: usize = records.iter().map(String::len).sum();
    let processed = round(&decoder, &records);
    println!("{} logins of {} bytes, {processed} processed", records.len(), bytes / records.len());
    // By turns, so that a busy machine is unfair to neither.
    let (mut decode_ns, mut parse_ns) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        decode_ns = decode_ns.min(nanoseconds_each(|| round(&decoder, &records)));
        parse_ns = parse_ns.min(nanoseconds_each(|| parse(&records)));
    }
    println!("decode, validate, filter, splice: {decode_ns:.0} ns each, best of {ROUNDS} rounds");
    println!("serde_json's parse alone, into borrowed strings: {parse_ns:.0} ns each");
}

fn nanoseconds_each(work: impl FnOnce() -> u32) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(RECORDS)
}

/// A login as `serde_json` reads it fastest, to compare with.
#[derive(serde::Deserialize)]
struct Parsed<'a> {
    user_id: &'a str,
    app_version: &'a str,
    device_type: &'a str,
    locale: &'a str,
    timestamp: i64,
}

/// Parses all records once; how many are of Android.
fn parse(records: &[String]) -> u32 {
    let mut android = 0;
    for record in records {
        let text = std::str::from_utf8(record.as_bytes()).expect("every record is UTF-8");
        let parsed: Parsed = serde_json::from_str(text).expect("every record is a login");
        let Parsed { user_id, app_version, device_type, locale, timestamp } = black_box(parsed);
        let is_whole = !user_id.is_empty() && !app_version.is_empty() && !locale.is_empty() && timestamp > 0;
        android += u32::from(is_whole && device_type == "android");
    }
    android
}

/// Decodes all records once and writes the outputs of those that pass; how many do.
fn round(decoder: &Decoder, records: &[String]) -> u32 {
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let mut processed = 0;
    for record in records {
        let result = decoder.decode(&mut scratch, Some(record.as_bytes()), KAFKA_TIMESTAMP_MS);
        let login = black_box(&result).as_ref().expect("every record is a login");
        if login.counted.processed {
            out.clear();
            login.write_output(&mut out);
            black_box(&out);
            processed += 1;
        }
    }
    processed
}

/// Logins with seven flat fields, of which one in four passes the filter.
fn records() -> Vec<String> {
    let mut records = Vec::new();
    let mut random: u64 = 1;
    for number in 0..u64::from(RECORDS) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = random >> 20;
        let device = if bits & 1 == 0 { "android" } else { "iOS" };
        let version = if bits & 2 == 0 { "2.3.0" } else { "3.1.4" };
        let locale = match bits >> 2 & 3 {
            0 => "RU",
            1 => "de_DE",
            2 => "en-US",
            _ => "fr",
        };
        let mut record = String::new();
        write!(
            record,
            "{{\"user_id\": \"{:08x}-063a-43a7-b91b-{:012x}\", \"app_version\": \"{version}\", \"device_type\": \"{device}\", \
             \"ip\": \"199.172.{}.{}\", \"locale\": \"{locale}\", \"device_id\": \"{}-47-5928\", \"timestamp\": {}}}",
            bits & 0xffff_ffff, random >> 16, bits >> 4 & 255, bits >> 12 & 255, 100 + (bits >> 5) % 900, 1_694_479_551 + number / 50,
        )
        .expect("memory takes every write");
        records.push(record);
    }
    records
}

/// The settings of an empty configuration file.
fn spec() -> PipelineSpec {
    let dimension = |field: &str, fold| Dimension { field: field.to_owned(), fold };
    let requirement = |field: &str, operator, value: &str| Requirement {
        field: field.to_owned(),
        operator,
        values: vec![value.to_owned()],
    };
    PipelineSpec {
        revision: 1,
        pipeline: "user-login".to_owned(),
        kafka: Kafka {
            brokers: Vec::new(),
            group: String::new(),
            tls: None,
            sasl: None,
            properties: BTreeMap::new(),
        },
        redis: Redis { url: SecretString::from("") },
        source: Source {
            topic: "user-login".to_owned(),
            start_from: StartFrom::Earliest,
            timestamp_unit: TimestampUnit::Seconds,
            max_record_bytes: 65_536,
            fields: Fields {
                user: "user_id".to_owned(),
                timestamp: "timestamp".to_owned(),
                version: "app_version".to_owned(),
            },
            required: ["user_id", "app_version", "device_type", "timestamp"].map(str::to_owned).to_vec(),
            defaults: BTreeMap::new(),
        },
        filter: vec![
            requirement("device_type", Operator::In, "android"),
            requirement("app_version", Operator::Gt, "3.0"),
        ],
        output: Output {
            topic: "processed-user-login".to_owned(),
            key: OutputKey::Source,
            drop: Vec::new(),
            mask: Vec::new(),
            hash: Vec::new(),
            hash_key: SecretString::from(""),
        },
        dead_letter: DeadLetter { topic: "user-login-dlq".to_owned() },
        insights: Insights {
            dimensions: vec![
                dimension("device_type", Fold::Lower),
                dimension("app_version", Fold::None),
                dimension("locale", Fold::Upper),
            ],
            unique: vec!["user_id".to_owned()],
            hash_key: SecretString::from(""),
            time_zone: chrono_tz::Tz::UTC,
            max_values: NonZeroU32::MIN,
            publish_every: Duration::from_secs(1),
        },
    }
}

const RECORDS: u32 = 4096;
const ROUNDS: u32 = 400;
const KAFKA_TIMESTAMP_MS: i64 = 1_694_500_000_000;
