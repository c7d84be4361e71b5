//! The rules of records, each held against hand-written and random documents.
//!
//! Owns what needs a whole decoder; rules of one module are tested there.

mod counted;
mod documents;
mod fields;
mod filter;
mod output;
mod precedence;
mod random;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use secrecy::SecretString;

use super::{Decoder, Key, Reason, Scratch};
use crate::spec::{
    DeadLetter, Dimension, Fields, Fold, Insights, Kafka, Operator, Output, OutputKey, PipelineSpec, Redis,
    Requirement, Source, StartFrom, TimestampUnit,
};

/// The settings of an empty configuration file.
fn spec() -> PipelineSpec {
    let dimension = |field: &str, fold| Dimension { field: field.into(), fold };
    PipelineSpec {
        revision: 1,
        pipeline: "user-login".into(),
        kafka: Kafka {
            brokers: vec!["localhost:29092".into()],
            group: "rollcall.user-login".into(),
            tls: None,
            sasl: None,
            properties: BTreeMap::new(),
        },
        redis: Redis { url: SecretString::from("redis://localhost:6379") },
        source: Source {
            topic: "user-login".into(),
            start_from: StartFrom::Earliest,
            timestamp_unit: TimestampUnit::Seconds,
            max_record_bytes: 65_536,
            fields: Fields {
                user: "user_id".into(),
                timestamp: "timestamp".into(),
                version: "app_version".into(),
            },
            required: strings(&["user_id", "app_version", "device_type", "timestamp"]),
            defaults: BTreeMap::new(),
        },
        filter: vec![
            requirement("device_type", Operator::In, &["android"]),
            requirement("app_version", Operator::Gt, &["3.0"]),
        ],
        output: Output {
            topic: "processed-user-login".into(),
            key: OutputKey::Source,
            drop: Vec::new(),
            mask: Vec::new(),
            hash: Vec::new(),
            hash_key: SecretString::from("key"),
        },
        dead_letter: DeadLetter { topic: "user-login-dlq".into() },
        insights: Insights {
            dimensions: vec![
                dimension("device_type", Fold::Lower),
                dimension("app_version", Fold::None),
                dimension("locale", Fold::Upper),
            ],
            unique: strings(&["user_id"]),
            hash_key: SecretString::from(""),
            time_zone: chrono_tz::Tz::UTC,
            max_values: NonZeroU32::new(1000).unwrap(),
            publish_every: Duration::from_secs(1),
        },
    }
}

/// The same with the timestamp as the only required field, and nothing filtered or counted.
fn bare_spec() -> PipelineSpec {
    let mut spec = spec();
    spec.source.required = strings(&["timestamp"]);
    spec.filter.clear();
    spec.insights.dimensions.clear();
    spec.insights.unique.clear();
    spec
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).into()).collect()
}

fn requirement(field: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement { field: field.into(), operator, values: strings(values) }
}

fn defaults(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// A valid login of [`spec`], followed by more members.
fn login(more: &str) -> String {
    format!(
        r#"{{"user_id":"u1","app_version":"3.1","device_type":"android","locale":"de","timestamp":1700000000{more}}}"#
    )
}

/// The reason and the field of a record's rejection; none for a login.
fn rejection(spec: &PipelineSpec, value: impl AsRef<[u8]>) -> Option<(Reason, Option<String>)> {
    let decoder = Decoder::new(spec).unwrap();
    let mut scratch = Scratch::default();
    let rejection = decoder.decode(&mut scratch, Some(value.as_ref()), -1).err()?;
    Some((rejection.reason, rejection.field.map(str::to_owned)))
}

#[track_caller]
fn assert_rejected(spec: &PipelineSpec, value: impl AsRef<[u8]>, reason: Reason, field: Option<&str>) {
    let value = value.as_ref();
    let expected = Some((reason, field.map(str::to_owned)));
    assert_eq!(rejection(spec, value), expected, "{}", String::from_utf8_lossy(value));
}

#[track_caller]
fn assert_login(spec: &PipelineSpec, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    assert_eq!(rejection(spec, value), None, "{}", String::from_utf8_lossy(value));
}

/// The output's value and key (none for a null key); the key must not be the source's.
fn output_and_key(spec: &PipelineSpec, value: &str) -> (String, Option<Vec<u8>>) {
    let decoder = Decoder::new(spec).unwrap();
    let mut scratch = Scratch::default();
    let login = decoder.decode(&mut scratch, Some(value.as_bytes()), -1).unwrap();
    let (mut out, mut buffer) = (b"before".to_vec(), b"before".to_vec());
    login.write_output(&mut out);
    let key = match login.output_key(&mut buffer) {
        Key::Source => panic!("the key is a field's"),
        Key::Null => None,
        Key::Value(bytes) => Some(bytes.to_vec()),
    };
    let out = String::from_utf8(out).unwrap();
    (out.strip_prefix("before").unwrap().to_owned(), key)
}

fn output(spec: &PipelineSpec, value: &str) -> String {
    let decoder = Decoder::new(spec).unwrap();
    let mut scratch = Scratch::default();
    let login = decoder.decode(&mut scratch, Some(value.as_bytes()), -1).unwrap();
    let mut out = Vec::new();
    login.write_output(&mut out);
    String::from_utf8(out).unwrap()
}
