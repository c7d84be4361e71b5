//! Owns the published insights that a log must lead to, for any positions in it. Never estimates: what is an
//! estimate in the document is an exact number here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::civil;
use super::merge::{Merged, largest, last_local_day, merge};
use super::partition::{Counts, PartitionTruth};
use super::settings::{Settings, SourceRecord};

/// Names (of values, hours, days, totals) and their counts.
pub type NamedCounts = BTreeMap<String, u64>;

/// What must be published for one vector of positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Those members of the document that the log decides, but for `unique` and `days_from`. Counts of zero are
    /// left out of tables. `gaps` is empty and `records.output_refused` is 0: set them where a test has some.
    pub document: Value,
    /// The fields or members of the public keys, by the key's whole name, without the document and the workers.
    pub keys: BTreeMap<String, NamedCounts>,
    /// More of them which may be there or not.
    pub optional_keys: BTreeMap<String, NamedCounts>,
    /// The exact number of distinct values, by unique field and by local date; without the days of which
    /// values were let go.
    pub unique: BTreeMap<String, NamedCounts>,
    /// The newest local date of which distinct values were let go.
    pub unique_let_go: Option<String>,
    /// The earliest and the latest right `days_from`; `None` while no day was let go.
    pub days_from: Option<(String, String)>,
    /// `insights.maxValues`.
    pub max_values: usize,
}

/// The insights at the positions (the next offset of each partition), from scratch.
pub fn document(
    settings: &Settings,
    logs: &BTreeMap<i32, Vec<SourceRecord>>,
    positions: &BTreeMap<i32, i64>,
) -> Expected {
    let mut truths = Vec::new();
    for (partition, records) in logs {
        let mut truth = PartitionTruth::default();
        let position = positions.get(partition).copied().unwrap_or(0);
        for record in records.iter().filter(|record| record.offset < position) {
            truth.fold(settings, record);
        }
        truths.push(truth);
    }
    expected(settings, &truths.iter().collect::<Vec<_>>(), positions)
}

/// A log that grows, and the insights at positions that grow in it.
#[derive(Debug)]
pub struct Truth {
    settings: Settings,
    partitions: BTreeMap<i32, Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    records: Vec<SourceRecord>,
    folded: usize,
    position: i64,
    truth: PartitionTruth,
}

impl Truth {
    /// Starts with an empty log.
    pub fn new(settings: Settings) -> Self {
        Self { settings, partitions: BTreeMap::new() }
    }

    /// Adds the next record of its partition's log; offsets must rise.
    pub fn append(&mut self, record: SourceRecord) {
        let progress = self.partitions.entry(record.partition).or_default();
        let last = progress.records.last().map_or(-1, |last| last.offset);
        assert!(record.offset > last, "offset {} comes after {last}", record.offset);
        assert!(record.offset >= progress.position, "offset {} was passed already", record.offset);
        progress.records.push(record);
    }

    /// The insights at the positions, which may not fall from call to call; an error says which one did.
    pub fn advance_to(&mut self, positions: &BTreeMap<i32, i64>) -> Result<Expected, String> {
        for partition in positions.keys() {
            self.partitions.entry(*partition).or_default();
        }
        for (partition, progress) in &mut self.partitions {
            let position = positions.get(partition).copied().unwrap_or(0);
            if position < progress.position {
                return Err(format!("partition {partition} fell from {} to {position}", progress.position));
            }
            progress.position = position;
            while let Some(record) =
                progress.records.get(progress.folded).filter(|next| next.offset < position)
            {
                progress.truth.fold(&self.settings, record);
                progress.folded += 1;
            }
        }
        let truths: Vec<&PartitionTruth> = self.partitions.values().map(|progress| &progress.truth).collect();
        Ok(expected(&self.settings, &truths, positions))
    }
}

/// The insights of partitions that were counted already, at the positions.
pub fn expected(settings: &Settings, truths: &[&PartitionTruth], positions: &BTreeMap<i32, i64>) -> Expected {
    let merged = merge(settings, truths);
    let tables = |count| -> BTreeMap<&str, NamedCounts> {
        let fields = settings.dimensions.iter().map(|dimension| dimension.field.as_str());
        fields
            .zip(&merged.tables)
            .map(|(field, table)| (field, largest(table, settings.max_values, count)))
            .collect()
    };
    let (by, processed_by) = (tables(logins), tables(processed));
    let (keys, optional_keys) = keys(settings, &merged, &by, &processed_by);
    let mut unique: BTreeMap<String, NamedCounts> =
        settings.unique.iter().map(|field| (field.clone(), NamedCounts::new())).collect();
    for (day, counts) in merged.unique.iter().filter(|(day, _)| Some(**day) > merged.unique_let_go) {
        for (field, count) in settings.unique.iter().zip(counts) {
            unique.entry(field.clone()).or_default().insert(civil::date(*day), *count);
        }
    }
    let day_after = |day| civil::date(last_local_day(settings, day) + 1);
    Expected {
        document: json!({
            "schema": 1,
            "pipeline": settings.pipeline,
            "positions": positions.iter().map(|(key, value)| (key.to_string(), json!(value))).collect::<Map<_, _>>(),
            "gaps": [],
            "records": records(&merged),
            "logins": side(&merged, &by, logins),
            "processed": side(&merged, &processed_by, processed),
            "most_popular": by.iter().map(|(field, by)| ((*field).to_owned(), most_popular(by))).collect::<Map<_, _>>(),
        }),
        keys,
        optional_keys,
        unique,
        unique_let_go: merged.unique_let_go.map(civil::date),
        days_from: merged
            .let_go
            .zip(merged.before_kept)
            .map(|(first, last)| (day_after(first), day_after(last))),
        max_values: settings.max_values,
    }
}

fn records(merged: &Merged) -> Value {
    let mut dead_letters: NamedCounts =
        merged.dead_letters.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    dead_letters.insert("total".to_owned(), merged.dead_letters.values().sum());
    json!({
        "read": merged.read,
        "logins": merged.total.logins,
        "processed": merged.total.processed,
        "filtered": merged.total.logins - merged.total.processed,
        "dead_letters": dead_letters,
        "output_refused": 0,
    })
}

/// `logins` or `processed`.
fn side(merged: &Merged, by: &BTreeMap<&str, NamedCounts>, count: fn(&Counts) -> u64) -> Value {
    let hours = hour_counts(merged, count);
    let mut peak: Option<(usize, u64)> = None;
    for (hour, logins) in hours.iter().enumerate() {
        if *logins > peak.map_or(0, |(_, most)| most) {
            peak = Some((hour, *logins));
        }
    }
    json!({
        "total": count(&merged.total),
        "by": by,
        "hour_of_day": hours,
        "peak_hour": peak.map(|(hour, logins)| json!({"hour": hour, "logins": logins})),
    })
}

fn hour_counts(merged: &Merged, count: fn(&Counts) -> u64) -> Vec<u64> {
    (0..24).map(|hour| merged.hours.get(&hour).map_or(0, count)).collect()
}

/// The value with the most logins; of several the one that sorts first.
fn most_popular(by: &NamedCounts) -> Value {
    let mut most: Option<(&str, u64)> = None;
    for (value, logins) in by {
        if !value.starts_with('~') && *logins > most.map_or(0, |(_, most)| most) {
            most = Some((value, *logins));
        }
    }
    most.map_or(Value::Null, |(value, logins)| json!({"value": value, "logins": logins}))
}

type Keys = BTreeMap<String, NamedCounts>;

/// What the public keys must hold, and what they may hold besides.
fn keys(
    settings: &Settings,
    merged: &Merged,
    by: &BTreeMap<&str, NamedCounts>,
    processed_by: &BTreeMap<&str, NamedCounts>,
) -> (Keys, Keys) {
    let key = |name: &str| format!("rollcall:{{{}}}:{name}", settings.pipeline);
    let (mut keys, mut optional) = (Keys::new(), Keys::new());
    for (field, counts) in by {
        keys.insert(key(&format!("by:{field}")), counts.clone());
    }
    for (field, counts) in processed_by {
        keys.insert(key(&format!("processed:by:{field}")), counts.clone());
    }
    let by_hour = |count| -> NamedCounts {
        hour_counts(merged, count)
            .into_iter()
            .enumerate()
            .map(|(hour, logins)| (hour.to_string(), logins))
            .collect()
    };
    keys.insert(key("hours"), by_hour(logins));
    keys.insert(key("processed:hours"), by_hour(processed));
    keys.insert(key("totals"), totals(merged));

    let last_of = |day: Option<i64>| day.map(|day| last_local_day(settings, day));
    for (day, logins) in merged.local_days.iter().filter(|(day, _)| Some(**day) > last_of(merged.let_go)) {
        let is_sure = Some(*day) > last_of(merged.before_kept);
        let into = if is_sure { &mut keys } else { &mut optional };
        into.entry(key("days")).or_default().insert(civil::date(*day), *logins);
    }
    let published = merged.quarters.iter().rev().filter(|(day, _)| Some(**day) > merged.let_go);
    for (day, quarters) in published.take(QUARTER_DAYS_MAX) {
        let into = if Some(*day) > merged.before_kept { &mut keys } else { &mut optional };
        let counts =
            quarters.iter().enumerate().map(|(quarter, logins)| (quarter.to_string(), *logins)).collect();
        into.insert(key(&format!("quarters:{}", civil::date(*day))), counts);
    }
    (keys, optional)
}

fn totals(merged: &Merged) -> NamedCounts {
    let mut totals = NamedCounts::from([
        ("read".to_owned(), merged.read),
        ("logins".to_owned(), merged.total.logins),
        ("processed".to_owned(), merged.total.processed),
        ("filtered".to_owned(), merged.total.logins - merged.total.processed),
        ("dead_letters".to_owned(), merged.dead_letters.values().sum()),
        ("output_refused".to_owned(), 0),
    ]);
    for (reason, count) in &merged.dead_letters {
        totals.insert(format!("dead_letters:{reason}"), *count);
    }
    totals
}

fn logins(counts: &Counts) -> u64 {
    counts.logins
}

fn processed(counts: &Counts) -> u64 {
    counts.processed
}

const QUARTER_DAYS_MAX: usize = 40;
