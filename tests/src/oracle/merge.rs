//! Owns the merge of all partitions' exact counts into the global ones. Never folds a record.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::civil::{self, DAY_SECONDS, QUARTER_SECONDS};
use super::partition::{Counts, PartitionTruth, Table};
use super::settings::Settings;

/// The counts of all partitions together.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) read: u64,
    pub(super) total: Counts,
    pub(super) dead_letters: BTreeMap<&'static str, u64>,
    pub(super) tables: Vec<Table>,
    pub(super) hours: BTreeMap<usize, Counts>,
    /// Logins of each quarter hour of the UTC days that some partition still has.
    pub(super) quarters: BTreeMap<i64, Vec<u64>>,
    /// Logins by local day, of the same days.
    pub(super) local_days: BTreeMap<i64, u64>,
    /// The newest UTC day that some partition has let go; nothing up to it is published.
    pub(super) let_go: Option<i64>,
    /// The newest UTC day that is older than all that a partition kept which has let go a day. Days between
    /// the two hold no login of such a partition: they may be published or not.
    pub(super) before_kept: Option<i64>,
    /// The number of distinct values for each local day and unique field.
    pub(super) unique: BTreeMap<i64, Vec<u64>>,
    /// The newest local day whose distinct values some partition has let go.
    pub(super) unique_let_go: Option<i64>,
}

/// Adds up all partitions.
pub(super) fn merge(settings: &Settings, partitions: &[&PartitionTruth]) -> Merged {
    let mut merged = Merged::default();
    merged.tables.resize_with(settings.dimensions.len(), Table::default);
    let mut unique: BTreeMap<i64, Vec<HashSet<&str>>> = BTreeMap::new();
    for partition in partitions {
        merged.read += partition.read;
        merged.total.add(partition.total);
        for (reason, count) in &partition.dead_letters {
            *merged.dead_letters.entry(reason).or_default() += count;
        }
        for (table, other) in merged.tables.iter_mut().zip(&partition.tables) {
            add_table(table, other);
        }
        for (hour, counts) in &partition.hours {
            merged.hours.entry(*hour).or_default().add(*counts);
        }
        for (day, counts) in &partition.days {
            let quarters = merged.quarters.entry(*day).or_insert_with(|| vec![0; 96]);
            for (quarter, other) in quarters.iter_mut().zip(&counts.quarters) {
                *quarter += other.logins;
            }
        }
        for (day, sets) in &partition.unique {
            let all = unique.entry(*day).or_insert_with(|| vec![HashSet::new(); settings.unique.len()]);
            for (all, set) in all.iter_mut().zip(sets) {
                all.extend(set.iter().map(String::as_str));
            }
        }
        merged.let_go = merged.let_go.max(partition.newest_day_let_go);
        if partition.newest_day_let_go.is_some() {
            let before_kept = partition.days.keys().next().map(|oldest| oldest - 1);
            merged.before_kept = merged.before_kept.max(before_kept);
        }
        merged.unique_let_go = merged.unique_let_go.max(partition.newest_unique_let_go);
    }
    for (day, sets) in unique {
        merged.unique.insert(day, sets.iter().map(|set| to_u64(set.len())).collect());
    }
    merged.local_days = local_days(settings, &merged.quarters);
    merged
}

/// The values with the most counts, at most `values_max` of them, the rest in `~other`; no zeros.
pub(super) fn largest(table: &Table, values_max: usize, count: fn(&Counts) -> u64) -> BTreeMap<String, u64> {
    let mut ranked: Vec<(Reverse<u64>, &str)> =
        table.values.iter().map(|(value, counts)| (Reverse(count(counts)), value.as_str())).collect();
    ranked.sort_unstable();
    let mut by: HashMap<String, u64> = HashMap::new();
    for (mark, counts) in &table.marks {
        *by.entry(mark.clone()).or_default() += count(counts);
    }
    for (rank, (Reverse(count), value)) in ranked.into_iter().enumerate() {
        let name = if rank < values_max { value } else { "~other" };
        *by.entry(name.to_owned()).or_default() += count;
    }
    by.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// The local day that the last quarter hour of a UTC day belongs to.
pub(super) fn last_local_day(settings: &Settings, utc_day: i64) -> i64 {
    civil::local_day_and_hour(settings.time_zone, (utc_day + 1) * DAY_SECONDS - 1).0
}

fn add_table(table: &mut Table, other: &Table) {
    for (value, counts) in &other.values {
        table.values.entry(value.clone()).or_default().add(*counts);
    }
    for (mark, counts) in &other.marks {
        table.marks.entry(mark.clone()).or_default().add(*counts);
    }
}

fn local_days(settings: &Settings, quarters: &BTreeMap<i64, Vec<u64>>) -> BTreeMap<i64, u64> {
    let mut local_days = BTreeMap::new();
    for (day, quarters) in quarters {
        let mut start = day * DAY_SECONDS;
        for logins in quarters {
            if *logins > 0 {
                let (local_day, _) = civil::local_day_and_hour(settings.time_zone, start);
                *local_days.entry(local_day).or_default() += logins;
            }
            start += QUARTER_SECONDS;
        }
    }
    local_days
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits 64 bits")
}
