//! Owns the exact counts of one partition: the fold of its records, one by one, from its first. Never merges
//! and never estimates.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::civil::{self, DAY_SECONDS, QUARTER_SECONDS};
use super::judge::{Counted, Verdict, judge};
use super::settings::{Settings, SourceRecord};

/// Logins, and how many of them were processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All logins.
    pub logins: u64,
    /// Those that passed the filter.
    pub processed: u64,
}

/// How often each value of a dimension occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Values that do not begin with `~`, at most `maxValues` of them.
    pub values: HashMap<String, Counts>,
    /// `~unknown` and `~other`.
    pub marks: BTreeMap<String, Counts>,
}

/// What a partition knows of one UTC day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// All logins of the day.
    pub total: Counts,
    /// The logins of each quarter hour.
    pub quarters: Vec<Counts>,
    /// A table for each dimension.
    pub tables: Vec<Table>,
}

/// The exact state of one partition after a prefix of its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionTruth {
    /// Records read: logins and dead letters.
    pub read: u64,
    /// All logins.
    pub total: Counts,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// The all-time table of each dimension.
    pub tables: Vec<Table>,
    /// Logins by hour of the day in the settings' time zone, all-time.
    pub hours: BTreeMap<usize, Counts>,
    /// The newest 400 distinct UTC days, by days since 1970-01-01.
    pub days: BTreeMap<i64, Day>,
    /// The newest UTC day with logins that are not in `days` any more, or never were.
    pub newest_day_let_go: Option<i64>,
    /// The distinct values of each unique field on the newest 40 distinct days in the settings' time zone.
    pub unique: BTreeMap<i64, Vec<HashSet<String>>>,
    /// The newest local day with values that are not in `unique` any more, or never were.
    pub newest_unique_let_go: Option<i64>,
}

impl PartitionTruth {
    /// Counts the next record of the partition's log.
    pub fn fold(&mut self, settings: &Settings, record: &SourceRecord) {
        self.read += 1;
        let judged = judge(settings, record);
        if let Verdict::DeadLetter { reason, .. } = judged.verdict {
            *self.dead_letters.entry(reason).or_default() += 1;
        }
        if let Some(login) = judged.counted {
            let one =
                Counts { logins: 1, processed: u64::from(matches!(judged.verdict, Verdict::Output { .. })) };
            self.count(settings, &login, one);
        }
    }

    fn count(&mut self, settings: &Settings, login: &Counted, one: Counts) {
        self.total.add(one);
        self.tables.resize_with(settings.dimensions.len(), Table::default);
        count_values(&mut self.tables, login, one, settings.max_values);
        let (local_day, hour) = civil::local_day_and_hour(settings.time_zone, login.time_seconds);
        self.hours.entry(hour).or_default().add(one);

        let utc_day = login.time_seconds.div_euclid(DAY_SECONDS);
        let new_day = || Day {
            total: Counts::default(),
            quarters: vec![Counts::default(); 96],
            tables: vec![Table::default(); settings.dimensions.len()],
        };
        if let Some(day) =
            keep_newest(&mut self.days, DAYS_MAX, utc_day, &mut self.newest_day_let_go, new_day)
        {
            day.total.add(one);
            let quarter = login.time_seconds.rem_euclid(DAY_SECONDS) / QUARTER_SECONDS;
            let quarter = usize::try_from(quarter).expect("a quarter is 0 to 95");
            day.quarters.get_mut(quarter).expect("a day has 96 quarters").add(one);
            count_values(&mut day.tables, login, one, settings.max_values);
        }

        let new_sets = || vec![HashSet::new(); settings.unique.len()];
        let let_go = &mut self.newest_unique_let_go;
        if let Some(sets) = keep_newest(&mut self.unique, UNIQUE_DAYS_MAX, local_day, let_go, new_sets) {
            for (set, value) in sets.iter_mut().zip(&login.unique) {
                set.extend(value.clone());
            }
        }
    }
}

/// The entry of a day, made room for by letting go the oldest; `None` when the day itself is older than all.
fn keep_newest<'a, T>(
    kept: &'a mut BTreeMap<i64, T>,
    days_max: usize,
    day: i64,
    newest_let_go: &mut Option<i64>,
    new: impl FnOnce() -> T,
) -> Option<&'a mut T> {
    if !kept.contains_key(&day) && kept.len() == days_max {
        let oldest = *kept.keys().next().expect("at least one day is kept");
        *newest_let_go = (*newest_let_go).max(Some(oldest.min(day)));
        if day < oldest {
            return None;
        }
        kept.remove(&oldest);
    }
    Some(kept.entry(day).or_insert_with(new))
}

fn count_values(tables: &mut [Table], login: &Counted, one: Counts, values_max: usize) {
    for (table, value) in tables.iter_mut().zip(&login.dimensions) {
        table.count(value, one, values_max);
    }
}

impl Table {
    /// Counts one login of the value.
    pub fn count(&mut self, value: &str, one: Counts, values_max: usize) {
        if value.starts_with('~') {
            self.marks.entry(value.to_owned()).or_default().add(one);
            return;
        }
        if !self.values.contains_key(value) && self.values.len() >= values_max {
            self.fold_smallest();
        }
        self.values.entry(value.to_owned()).or_default().add(one);
    }

    /// Folds the smaller half of the values, at least one, into `~other`.
    fn fold_smallest(&mut self) {
        let mut ranked: Vec<(u64, Reverse<String>)> =
            self.values.iter().map(|(value, counts)| (counts.logins, Reverse(value.clone()))).collect();
        ranked.sort();
        let folded = (ranked.len() / 2).max(1);
        for (_, Reverse(value)) in ranked.into_iter().take(folded) {
            let counts = self.values.remove(&value).expect("the value was listed from this table");
            self.marks.entry("~other".to_owned()).or_default().add(counts);
        }
    }
}

impl Counts {
    /// Adds the other counts to these.
    pub fn add(&mut self, other: Self) {
        self.logins += other.logins;
        self.processed += other.processed;
    }
}

const DAYS_MAX: usize = 400;
const UNIQUE_DAYS_MAX: usize = 40;
