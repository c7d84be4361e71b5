//! The published document and keys, to the letter.
//!
//! Owns names, order and empty cases. It never merges.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::calendar::{Calendar, MergedDays, peak};
use super::gaps::{self, PublishedGap};
use super::piece::Piece;
use super::ranking::MergedTable;
use super::{Context, Published, Settings};
use crate::record::{OTHER, Reason, UNKNOWN};
use crate::state::{Counts, Quarters, Registers};
use crate::store::PublicValue;
use crate::time::{Day, rfc3339};

/// The document, its fields in their published order.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    pipeline: &'a str,
    revision: u64,
    published_at: String,
    complete_through: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilding: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt_with_revision: Option<u64>,
    positions: Members<i64>,
    incarnations: Members<&'a str>,
    gaps: Vec<PublishedGap>,
    records: Records,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_from: Option<String>,
    logins: Counted,
    processed: Counted,
    most_popular: Members<Option<MostPopular>>,
    unique: Members<Unique>,
    publication: &'a str,
}

#[derive(Serialize)]
struct Records {
    read: u64,
    logins: u64,
    processed: u64,
    filtered: u64,
    dead_letters: Members<u64>,
    output_refused: u64,
}

#[derive(Serialize)]
struct Counted {
    total: u64,
    by: Members<Members<u64>>,
    hour_of_day: Vec<u64>,
    peak_hour: Option<PeakHour>,
}

#[derive(Serialize)]
struct PeakHour {
    hour: usize,
    logins: u64,
}

#[derive(Serialize)]
struct MostPopular {
    value: String,
    logins: u64,
}

#[derive(Serialize)]
struct Unique {
    day: String,
    value: u64,
    low: u64,
    high: u64,
    method: &'static str,
}

/// A JSON object whose members keep their order.
struct Members<V>(Vec<(String, V)>);

impl<V: Serialize> Serialize for Members<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Makes the document and the keys.
pub(super) fn publish(
    settings: &Settings,
    pieces: &BTreeMap<i32, Piece>,
    days: &MergedDays,
    context: &Context,
) -> Published {
    let totals = Totals::of(pieces);
    let floor = pieces.values().filter_map(|piece| piece.manifest.days.floor()).max();
    let calendar = days.in_zone(settings.time_zone, floor);
    let tables = merge_tables(settings, pieces);
    let logins = count(settings, &tables, &calendar, totals.counts, |counts| counts.logins);
    let processed = count(settings, &tables, &calendar, totals.counts, |counts| counts.processed);

    let records = totals.records();
    let keys = keys(&calendar, &logins, &processed, &records, days.newest(QUARTER_DAYS_MAX, floor));

    let progress =
        || pieces.iter().filter_map(|(partition, piece)| Some((*partition, piece.progress.as_ref()?)));
    let document = Document {
        schema: 1,
        pipeline: &settings.pipeline,
        revision: settings.revision,
        published_at: rfc3339(context.published_at_ms),
        complete_through: context.complete_through_ms.map(rfc3339),
        rebuilding: context.rebuilding.map(|_| true),
        rebuilt: context.rebuilding.map(|share| share.clamp(0.0, 1.0)),
        rebuilt_with_revision: context.rebuilt_with_revision,
        positions: Members(progress().map(|(partition, at)| (partition.to_string(), at.position)).collect()),
        incarnations: Members(
            progress().map(|(partition, at)| (partition.to_string(), at.incarnation.as_str())).collect(),
        ),
        gaps: progress().flat_map(|(partition, at)| gaps::publish(partition, &at.gaps)).collect(),
        records,
        days_from: calendar.days_from.map(|day| day.to_string()),
        most_popular: most_popular(&logins),
        logins,
        processed,
        unique: unique(settings, pieces, Day::of_zone(context.published_at_ms, settings.time_zone)),
        publication: &context.nonce,
    };
    let document = serde_json::to_string(&document).expect("texts and numbers are always JSON");
    Published { document, keys }
}

/// The public keys, without those that would be empty: Redis has no empty sets.
fn keys<'a>(
    calendar: &Calendar,
    logins: &Counted,
    processed: &Counted,
    records: &Records,
    newest_days: impl Iterator<Item = (Day, &'a Quarters)>,
) -> BTreeMap<String, PublicValue> {
    let mut keys = BTreeMap::new();
    for (prefix, counted) in [("", logins), ("processed:", processed)] {
        for (dimension, rows) in &counted.by.0 {
            keys.insert(format!("{prefix}by:{dimension}"), PublicValue::SortedSet(rows.0.clone()));
        }
        let hours = counted.hour_of_day.iter().enumerate().map(|(hour, logins)| (hour.to_string(), *logins));
        keys.insert(format!("{prefix}hours"), PublicValue::Hash(hours.collect()));
    }
    let by_day = calendar.days.iter().map(|(day, counts)| (day.to_string(), counts.logins));
    keys.insert("days".into(), PublicValue::Hash(by_day.collect()));
    for (day, quarters) in newest_days {
        let filled = quarters.iter().enumerate().filter(|(_, counts)| counts.logins > 0);
        let filled = filled.map(|(quarter, counts)| (quarter.to_string(), counts.logins));
        keys.insert(format!("quarters:{day}"), PublicValue::Hash(filled.collect()));
    }
    keys.insert("totals".into(), PublicValue::Hash(records.fields()));
    keys.retain(|_, value| match value {
        PublicValue::SortedSet(members) | PublicValue::Hash(members) => !members.is_empty(),
    });
    keys
}

/// Sums over all partitions.
#[derive(Default)]
struct Totals {
    counts: Counts,
    dead_letters: [u64; Reason::ALL.len()],
    output_refused: u64,
}

impl Totals {
    fn of(pieces: &BTreeMap<i32, Piece>) -> Self {
        let mut totals = Self::default();
        for piece in pieces.values() {
            totals.counts.add(piece.manifest.totals);
            for (sum, count) in totals.dead_letters.iter_mut().zip(piece.manifest.dead_letters) {
                *sum = sum.saturating_add(count);
            }
            let refused = piece.progress.as_ref().map_or(0, |progress| progress.output_refused);
            totals.output_refused = totals.output_refused.saturating_add(refused);
        }
        totals
    }

    fn records(&self) -> Records {
        let Counts { logins, processed } = self.counts;
        let dead = self.dead_letters.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let mut dead_letters = vec![("total".to_owned(), dead)];
        let by_reason = Reason::ALL.iter().zip(self.dead_letters).filter(|(_, count)| *count > 0);
        dead_letters.extend(by_reason.map(|(reason, count)| (reason.code().to_owned(), count)));
        Records {
            read: logins.saturating_add(dead),
            logins,
            processed,
            filtered: logins.saturating_sub(processed),
            dead_letters: Members(dead_letters),
            output_refused: self.output_refused,
        }
    }
}

impl Records {
    /// The fields of the public key `totals`.
    fn fields(&self) -> Vec<(String, u64)> {
        let mut fields = vec![
            ("read".to_owned(), self.read),
            ("logins".to_owned(), self.logins),
            ("processed".to_owned(), self.processed),
            ("filtered".to_owned(), self.filtered),
        ];
        for (reason, count) in &self.dead_letters.0 {
            let is_total = reason == "total";
            fields.push((
                if is_total { "dead_letters".into() } else { format!("dead_letters:{reason}") },
                *count,
            ));
        }
        fields.push(("output_refused".to_owned(), self.output_refused));
        fields
    }
}

fn merge_tables<'a>(settings: &Settings, pieces: &'a BTreeMap<i32, Piece>) -> Vec<MergedTable<'a>> {
    let mut merged: Vec<_> = settings.dimensions.iter().map(|_| MergedTable::default()).collect();
    for piece in pieces.values() {
        for (merged, table) in merged.iter_mut().zip(&piece.tables) {
            merged.add(table);
        }
    }
    merged
}

fn count(
    settings: &Settings,
    tables: &[MergedTable<'_>],
    calendar: &Calendar,
    totals: Counts,
    count: impl Fn(Counts) -> u64,
) -> Counted {
    let total = count(totals);
    let ranked = settings.dimensions.iter().zip(tables);
    let ranked =
        ranked.map(|(field, table)| (field.clone(), Members(table.rank(&count, total, settings.max_values))));
    let hour_of_day: Vec<u64> = calendar.hours.iter().map(|counts| count(*counts)).collect();
    let peak_hour = peak(&hour_of_day).map(|(hour, logins)| PeakHour { hour, logins });
    Counted { total, by: Members(ranked.collect()), hour_of_day, peak_hour }
}

fn most_popular(logins: &Counted) -> Members<Option<MostPopular>> {
    let first = |rows: &Members<u64>| {
        let (value, logins) = rows.0.first().filter(|(value, _)| value != OTHER && value != UNKNOWN)?;
        Some(MostPopular { value: value.clone(), logins: *logins })
    };
    Members(logins.by.0.iter().map(|(dimension, rows)| (dimension.clone(), first(rows))).collect())
}

fn unique(settings: &Settings, pieces: &BTreeMap<i32, Piece>, today: Day) -> Members<Unique> {
    let mut merged: Vec<Registers> = settings.unique.iter().map(|_| Registers::default()).collect();
    for distinct in pieces.values().filter_map(|piece| piece.distinct.as_ref()) {
        if distinct.day == today {
            for (merged, registers) in merged.iter_mut().zip(&distinct.registers) {
                if let Some(registers) = registers {
                    merged.merge(registers);
                }
            }
        }
    }
    let publish = |(field, registers): (&String, &Registers)| {
        let estimate = registers.estimate();
        let (value, low, high) = (estimate.value, estimate.low, estimate.high);
        (field.clone(), Unique { day: today.to_string(), value, low, high, method: "hll" })
    };
    Members(settings.unique.iter().zip(&merged).map(publish).collect())
}

/// UTC days whose quarter hours are published.
const QUARTER_DAYS_MAX: usize = 40;
