//! Owns the audit of both topics against the source: every record once, in order, to the byte, and nothing
//! else. Never says that something is right which it has not looked at.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::deliveries::{Delivery, Target, dead_letter, output};
use super::judge::{Verdict, judge};
use super::settings::{Settings, SourceRecord};

/// What both topics hold, as `read_committed` readers see it, each partition in its order.
#[derive(Debug, Clone, Copy)]
pub struct Sinks<'a> {
    /// The output topic's records.
    pub output: &'a [SourceRecord],
    /// Its number of partitions.
    pub output_partitions: i32,
    /// The dead-letter topic's records.
    pub dead_letters: &'a [SourceRecord],
    /// Its number of partitions.
    pub dead_letter_partitions: i32,
    /// The incarnations that they name.
    pub incarnations: &'a Incarnations,
    /// Whether topics may have refused records for good: then a processed login may be a dead letter with the
    /// reason `output_refused`, and a dead letter may lack what its topic refuses.
    pub may_refuse: bool,
}

/// Each source partition's incarnation. They differ where Redis was emptied before all partitions had begun, and after a repair.
pub type Incarnations = BTreeMap<i32, String>;

/// What a document says of them.
pub fn incarnations(document: &Value) -> Incarnations {
    let all = document.pointer("/incarnations").and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(partition, name)| Some((partition.parse().ok()?, name.as_str()?.to_owned()))).collect()
}

/// What is wrong in both topics, for the stretch of the source that the workers have committed; nothing when
/// all is right.
pub fn audit_output(settings: &Settings, source: &[SourceRecord], sinks: &Sinks<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let outputs = by_source("output", sinks.output, sinks.incarnations, &mut found);
    let dead_letters = by_source("dead letters", sinks.dead_letters, sinks.incarnations, &mut found);
    for record in source {
        let place = (record.partition, record.offset);
        let mut wanted = Wanted::of(settings, record, sinks);
        if sinks.may_refuse && wanted.output.is_some() && !outputs.contains_key(&place) {
            wanted = Wanted {
                output: None,
                dead_letter: Some(dead_letter(
                    settings,
                    record,
                    "output_refused",
                    None,
                    sinks.dead_letter_target(record.partition),
                )),
            };
        }
        check("output", place, wanted.output.as_ref(), outputs.get(&place), false, &mut found);
        let may_refuse = sinks.may_refuse;
        check(
            "dead letters",
            place,
            wanted.dead_letter.as_ref(),
            dead_letters.get(&place),
            may_refuse,
            &mut found,
        );
    }
    let known: HashSet<(i32, i64)> = source.iter().map(|record| (record.partition, record.offset)).collect();
    for (topic, records) in [("output", &outputs), ("dead letters", &dead_letters)] {
        let mut strangers: Vec<_> = records.keys().filter(|place| !known.contains(place)).collect();
        strangers.sort_unstable();
        found.extend(strangers.iter().map(|place| format!("{topic}: {place:?} is not in the source")));
    }
    let more = found.len().saturating_sub(FOUND_MAX);
    found.truncate(FOUND_MAX);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

/// The differences of one record from the expected one; its partition included, its offset not.
pub fn compare_delivery(expected: &Delivery, actual: &SourceRecord) -> Vec<String> {
    let mut differences = Vec::new();
    if actual.partition != expected.partition {
        differences.push(format!("partition {} instead of {}", actual.partition, expected.partition));
    }
    // A producer cannot write a record without a timestamp: it gets the time now.
    if expected.timestamp_ms != -1 && actual.timestamp_ms != expected.timestamp_ms {
        differences.push(format!("timestamp {} instead of {}", actual.timestamp_ms, expected.timestamp_ms));
    }
    if actual.key != expected.key {
        differences.push(format!("key {}", show_difference(expected.key.as_deref(), actual.key.as_deref())));
    }
    if actual.value != expected.value {
        differences
            .push(format!("value {}", show_difference(expected.value.as_deref(), actual.value.as_deref())));
    }
    compare_headers(expected, actual, &mut differences);
    differences
}

struct Wanted {
    output: Option<Delivery>,
    dead_letter: Option<Delivery>,
}

impl Wanted {
    fn of(settings: &Settings, record: &SourceRecord, sinks: &Sinks<'_>) -> Self {
        let incarnation = sinks.incarnation(record.partition);
        let target = Target { partitions: sinks.output_partitions, incarnation };
        match judge(settings, record).verdict {
            Verdict::Output { key, value } => {
                Self { output: Some(output(record, key, value, target)), dead_letter: None }
            }
            Verdict::Filtered => Self { output: None, dead_letter: None },
            Verdict::DeadLetter { reason, field } => {
                let target = sinks.dead_letter_target(record.partition);
                let letter = dead_letter(settings, record, reason, field.as_deref(), target);
                Self { output: None, dead_letter: Some(letter) }
            }
        }
    }
}

impl<'a> Sinks<'a> {
    fn dead_letter_target(&self, source: i32) -> Target<'a> {
        Target { partitions: self.dead_letter_partitions, incarnation: self.incarnation(source) }
    }

    fn incarnation(&self, source: i32) -> &'a str {
        self.incarnations.get(&source).map_or("", String::as_str)
    }
}

/// Sorts records by the source record that they name; finds those that name none, and those out of order.
fn by_source<'a>(
    topic: &str,
    records: &'a [SourceRecord],
    incarnations: &Incarnations,
    found: &mut Vec<String>,
) -> HashMap<(i32, i64), Vec<&'a SourceRecord>> {
    let mut by_source: HashMap<(i32, i64), Vec<&SourceRecord>> = HashMap::new();
    let mut newest: HashMap<i32, i64> = HashMap::new();
    for record in records {
        let here = format!("{topic} {}/{}", record.partition, record.offset);
        let Some((partition, offset)) = named_source(record, incarnations) else {
            found.push(format!("{here}: no rollcall-source header of an incarnation in {incarnations:?}"));
            continue;
        };
        if let Some(before) = newest.insert(partition, offset).filter(|before| *before >= offset) {
            found.push(format!("{here}: source {partition}/{offset} comes after {partition}/{before}"));
        }
        by_source.entry((partition, offset)).or_default().push(record);
    }
    by_source
}

/// The source partition and offset in the last `rollcall-source` header; none when it names another incarnation.
pub fn named_source(record: &SourceRecord, incarnations: &Incarnations) -> Option<(i32, i64)> {
    let (_, value) = record.headers.iter().rev().find(|(name, _)| name == "rollcall-source")?;
    let text = std::str::from_utf8(value.as_deref()?).ok()?;
    let (incarnation, place) = text.split_once(':')?;
    let (partition, offset) = place.split_once(':')?;
    let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
    (incarnations.get(&partition)? == incarnation).then_some((partition, offset))
}

fn check(
    topic: &str,
    (partition, offset): (i32, i64),
    wanted: Option<&Delivery>,
    actual: Option<&Vec<&SourceRecord>>,
    may_refuse: bool,
    found: &mut Vec<String>,
) {
    let actual = actual.map_or(&[][..], Vec::as_slice);
    let here = format!("{topic}: source {partition}/{offset}");
    match (wanted, actual) {
        (None, []) => {}
        (None, records) => found.push(format!("{here}: is there {} times, but must not be", records.len())),
        (Some(_), []) => found.push(format!("{here}: is missing")),
        (Some(wanted), records) => {
            if records.len() > 1 {
                found.push(format!("{here}: is there {} times", records.len()));
            }
            for record in records {
                let wanted = if may_refuse { without_refused(wanted, record) } else { wanted.clone() };
                let differences = compare_delivery(&wanted, record);
                found.extend(differences.into_iter().map(|difference| format!("{here}: {difference}")));
            }
        }
    }
}

/// The expected dead letter, without those parts that the record says its topic refused.
fn without_refused(wanted: &Delivery, actual: &SourceRecord) -> Delivery {
    let mut wanted = wanted.clone();
    let header = |name: &str, value: String| (name.to_owned(), Some(value.into_bytes()));
    let everything = header("rollcall-omitted", "value,headers,key".to_owned());
    if actual.headers.contains(&everything) && !wanted.source_headers.contains(&everything) {
        wanted.added_headers.push(everything);
        wanted.source_headers.clear();
        (wanted.key, wanted.value) = (None, None);
        wanted.timestamp_ms = -1;
        return wanted;
    }
    let own_headers = actual.headers.get(wanted.source_headers.len()..).unwrap_or_default();
    let says = |name: &str| own_headers.iter().any(|(other, _)| other == name);
    if says("rollcall-value-omitted") {
        let bytes = wanted.value.take().map_or(0, |value| value.len());
        wanted.added_headers.push(header("rollcall-value-omitted", bytes.to_string()));
    }
    if says("rollcall-timestamp") {
        wanted.added_headers.push(header("rollcall-timestamp", wanted.timestamp_ms.to_string()));
        wanted.timestamp_ms = -1;
    }
    wanted
}

fn compare_headers(expected: &Delivery, actual: &SourceRecord, differences: &mut Vec<String>) {
    let source_count = expected.source_headers.len();
    if actual.headers.get(..source_count) != Some(expected.source_headers.as_slice()) {
        differences.push("the source's headers do not come first and unchanged".to_owned());
        return;
    }
    let added = actual.headers.get(source_count..).unwrap_or_default();
    for (name, value) in &expected.added_headers {
        let same: Vec<_> = added.iter().filter(|(other, _)| other == name).collect();
        match same.as_slice() {
            [(_, is)] if is == value => {}
            [(_, is)] => {
                differences
                    .push(format!("header {name} {}", show_difference(value.as_deref(), is.as_deref())));
            }
            _ => differences.push(format!("header {name} was added {} times", same.len())),
        }
    }
    for name in expected.free_headers {
        let same: Vec<_> = added.iter().filter(|(other, _)| other == name).collect();
        let is_plain = |value: &Option<Vec<u8>>| {
            let text = value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
            text.is_some_and(|text| !text.is_empty() && text.len() <= 1000 && !text.contains('\n'))
        };
        if !matches!(same.as_slice(), [(_, value)] if is_plain(value)) {
            differences.push(format!("header {name} must be added once, as one line of text"));
        }
    }
    let is_known = |name: &str| {
        expected.added_headers.iter().any(|(other, _)| other == name) || expected.free_headers.contains(&name)
    };
    for (name, _) in added.iter().filter(|(name, _)| !is_known(name)) {
        differences.push(format!("header {name} must not be added"));
    }
}

/// The neighbourhood of the first byte that differs.
fn show_difference(expected: Option<&[u8]>, actual: Option<&[u8]>) -> String {
    let (Some(expected), Some(actual)) = (expected, actual) else {
        let show =
            |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), |bytes| format!("{} bytes", bytes.len()));
        return format!("expected {}, is {}", show(expected), show(actual));
    };
    let same = expected.iter().zip(actual).take_while(|(left, right)| left == right).count();
    let from = same.saturating_sub(20);
    let cut = |bytes: &[u8]| {
        let part: Vec<u8> = bytes.iter().skip(from).take(100).copied().collect();
        String::from_utf8_lossy(&part).into_owned()
    };
    format!("differs from byte {same} on: expected {:?}, is {:?}", cut(expected), cut(actual))
}

const FOUND_MAX: usize = 100;
