//! Owns the hand-written expectations: the contract's sentences as cases, with the settings and records that
//! they share. Never computes what it expects.

mod corpus;
mod deliveries;
mod filter;
mod insights;
mod splice;
mod tables;
mod verdicts;

use super::{Condition, Operator, Settings, SourceRecord, Verdict, judge};

/// 2023-11-14T22:13:20Z.
const NOW_MS: i64 = 1_700_000_000_000;

fn record(value: &str) -> SourceRecord {
    SourceRecord {
        partition: 0,
        offset: 0,
        timestamp_ms: NOW_MS,
        key: Some(b"k".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

/// What becomes of a value: `output`, `filtered`, or a reason and its field.
fn fate(settings: &Settings, record: &SourceRecord) -> String {
    match judge(settings, record).verdict {
        Verdict::Output { .. } => "output".to_owned(),
        Verdict::Filtered => "filtered".to_owned(),
        Verdict::DeadLetter { reason, field: None } => reason.to_owned(),
        Verdict::DeadLetter { reason, field: Some(field) } => format!("{reason} {field}"),
    }
}

/// The output record's value, as text.
fn output(settings: &Settings, value: &str) -> String {
    match judge(settings, &record(value)).verdict {
        Verdict::Output { value, .. } => String::from_utf8(value).unwrap(),
        other => panic!("{value} becomes {other:?}"),
    }
}

/// Only the timestamp `t` is required, nothing is filtered or counted.
fn bare() -> Settings {
    Settings {
        timestamp_field: "t".to_owned(),
        version_field: "v".to_owned(),
        user_field: "u".to_owned(),
        required: Some(Vec::new()),
        filter: Vec::new(),
        dimensions: Vec::new(),
        unique: Vec::new(),
        ..Settings::default()
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn condition(field: &str, operator: Operator, values: &[&str]) -> Condition {
    Condition { field: field.to_owned(), operator, values: names(values) }
}
