//! Owns the records that both topics must hold for a stretch of the source. Never looks at what they do hold.

use super::judge::{Verdict, judge};
use super::settings::{Headers, Settings, SourceRecord};

/// A record that must be in the output or the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The source record's partition and offset.
    pub source: (i32, i64),
    /// The partition of the topic that it goes to.
    pub partition: i32,
    /// Its Kafka timestamp in milliseconds, the source's.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// The source's headers, which come first and in order.
    pub source_headers: Headers,
    /// Further headers, each once, with exactly these values. An output record has no others, and this order.
    pub added_headers: Headers,
    /// Names of further headers of a dead letter, each once, whose text is free.
    pub free_headers: &'static [&'static str],
}

/// Where the records go.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The topic's number of partitions.
    pub partitions: i32,
    /// The incarnation that the `rollcall-source` headers name.
    pub incarnation: &'a str,
}

/// The records of the output topic, in the source's order.
pub fn expected_output(settings: &Settings, source: &[SourceRecord], target: Target<'_>) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for record in source {
        if let Verdict::Output { key, value } = judge(settings, record).verdict {
            deliveries.push(output(record, key, value, target));
        }
    }
    deliveries
}

/// The records of the dead-letter topic, in the source's order.
pub fn expected_dead_letters(
    settings: &Settings,
    source: &[SourceRecord],
    target: Target<'_>,
) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for record in source {
        if let Verdict::DeadLetter { reason, field } = judge(settings, record).verdict {
            deliveries.push(dead_letter(settings, record, reason, field.as_deref(), target));
        }
    }
    deliveries
}

pub(super) fn output(
    record: &SourceRecord,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    target: Target<'_>,
) -> Delivery {
    Delivery {
        source: (record.partition, record.offset),
        partition: record.partition % target.partitions,
        timestamp_ms: record.timestamp_ms,
        key,
        value: Some(value),
        source_headers: record.headers.clone(),
        added_headers: vec![source_header(record, target)],
        free_headers: &[],
    }
}

pub(super) fn dead_letter(
    settings: &Settings,
    record: &SourceRecord,
    reason: &str,
    field: Option<&str>,
    target: Target<'_>,
) -> Delivery {
    let mut added_headers = vec![header("rollcall-reason", reason)];
    added_headers.extend(field.map(|field| header("rollcall-field", field)));
    added_headers.push(source_header(record, target));
    for family in ["__connect.errors", "__streams.errors"] {
        added_headers.push(header(&format!("{family}.topic"), &settings.source_topic));
        added_headers.push(header(&format!("{family}.partition"), &record.partition.to_string()));
        added_headers.push(header(&format!("{family}.offset"), &record.offset.to_string()));
    }
    Delivery {
        source: (record.partition, record.offset),
        partition: record.partition % target.partitions,
        timestamp_ms: record.timestamp_ms,
        key: record.key.clone(),
        value: record.value.clone(),
        source_headers: record.headers.clone(),
        added_headers,
        free_headers: FREE_HEADERS,
    }
}

fn source_header(record: &SourceRecord, target: Target<'_>) -> (String, Option<Vec<u8>>) {
    header("rollcall-source", &format!("{}:{}:{}", target.incarnation, record.partition, record.offset))
}

fn header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}

const FREE_HEADERS: &[&str] = &[
    "__connect.errors.stage",
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
    "__streams.errors.exception",
    "__streams.errors.message",
];
