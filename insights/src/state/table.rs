//! A bounded table of values with their counts, stored in chunks so that a flush writes only what changed.
//!
//! Owns the `maxValues` rule, which is a function of the log alone. It never keeps `~unknown`: that is what the values
//! and `~other` leave of the total, so a dimension that is added later counts earlier logins there by itself.

use std::sync::Arc;

use hashbrown::HashTable;

use super::chunk::{self, TableHead};
use super::counts::Counts;
use super::part::{Changes, Scope};
use super::row::{Row, Sought, place_of};
use super::{Error, Parts};

/// A dimension's values and their counts.
#[derive(Debug)]
pub(super) struct Table {
    id: String,
    rows: HashTable<Row>,
    other: Counts,
    chunks: Vec<Chunk>,
}

/// What is known of a chunk's part; the rows themselves are all in one table.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    stored: Option<u64>,
    /// Whether it must be written though none of its rows may be marked.
    dirty: bool,
}

/// The chunk of a place, of a power of two.
#[inline]
pub(super) fn chunk_of(place: u8, chunks: usize) -> usize {
    usize::from(place) & (chunks - 1)
}

impl Table {
    /// An empty table.
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), rows: HashTable::new(), other: Counts::default(), chunks: vec![CLEAN; 1] }
    }

    /// Reads a stored table.
    pub(super) fn load(head: &TableHead, scope: Scope, parts: &Parts) -> Result<Self, Error> {
        let mut table = Self {
            id: head.id.clone(),
            rows: HashTable::new(),
            other: head.other,
            chunks: head.chunks.iter().map(|stored| Chunk { stored: *stored, dirty: false }).collect(),
        };
        chunk::read_table(head, scope, parts, |place, value, counts| {
            let row = Row::new(place, value, counts, false);
            table.rows.insert_unique(row.hash(), row, Row::hash);
        })?;
        Ok(table)
    }

    /// Under which identity it is stored.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Counts one login.
    #[inline]
    pub(super) fn count(&mut self, sought: &Sought<'_>, login: Counts, max_values: usize) {
        match self.rows.find_mut(sought.hash, |row| row.is(sought)) {
            Some(row) => row.count(login),
            None => self.count_new(sought, login, max_values),
        }
    }

    /// Counts one login of a day here and in the table of all days, where its place is remembered.
    #[inline]
    pub(super) fn count_in_both(
        &mut self,
        all: &mut Self,
        sought: &Sought<'_>,
        login: Counts,
        max_values: usize,
    ) {
        if let Some(row) = self.rows.find_mut(sought.hash, |row| row.is(sought)) {
            row.count(login);
            if let Some(other) = all.rows.get_bucket_mut(row.bucket as usize)
                && Arc::ptr_eq(&other.value, &row.value)
            {
                other.count(login);
                return;
            }
        } else {
            self.count_new(sought, login, max_values);
        }
        all.count(sought, login, max_values);
        self.remember_place(all, sought);
    }

    #[cold]
    fn remember_place(&mut self, all: &Self, sought: &Sought<'_>) {
        let Some(bucket) = all.rows.find_bucket_index(sought.hash, |row| row.is(sought)) else { return };
        if let Some(row) = self.rows.find_mut(sought.hash, |row| row.is(sought))
            && let Some(other) = all.rows.get_bucket(bucket)
            && let Ok(bucket) = bucket.try_into()
        {
            row.value = Arc::clone(&other.value);
            row.bucket = bucket;
        }
    }

    /// Counts a login for `~other`.
    pub(super) fn count_other(&mut self, login: Counts) {
        self.other.add(login);
    }

    /// What its parent must know of it.
    pub(super) fn head(&self) -> TableHead {
        TableHead {
            id: self.id.clone(),
            other: self.other,
            chunks: self.chunks.iter().map(|chunk| chunk.stored).collect(),
        }
    }

    /// Adds the changed chunks, which are clean then.
    pub(super) fn take_changes(&mut self, scope: Scope, version: u64, changes: &mut Changes) {
        let chunks = self.chunks.len();
        for row in &mut self.rows {
            if std::mem::take(&mut row.dirty)
                && let Some(chunk) = self.chunks.get_mut(chunk_of(row.place, chunks))
            {
                chunk.dirty = true;
            }
        }
        if !self.chunks.iter().any(|chunk| chunk.dirty) {
            return;
        }
        let mut rows_by_chunk = vec![Vec::new(); chunks];
        for row in &self.rows {
            let index = chunk_of(row.place, chunks);
            if self.chunks.get(index).is_some_and(|chunk| chunk.dirty)
                && let Some(rows) = rows_by_chunk.get_mut(index)
            {
                rows.push((&*row.value, row.counts));
            }
        }
        for (index, (chunk, mut rows)) in self.chunks.iter_mut().zip(rows_by_chunk).enumerate() {
            if !chunk.dirty {
                continue;
            }
            let stored_before = chunk.stored;
            *chunk = CLEAN;
            if !rows.is_empty() {
                rows.sort_unstable_by_key(|(value, _)| *value);
                chunk.stored = Some(version);
                changes.puts.push((
                    scope,
                    chunk::table_part(&self.id, index),
                    chunk::encode_rows(version, &rows),
                ));
            } else if stored_before.is_some() {
                changes.deletes.push((scope, chunk::table_part(&self.id, index)));
            }
        }
    }

    #[cold]
    fn count_new(&mut self, sought: &Sought<'_>, login: Counts, max_values: usize) {
        // More than once only after a revision with a lower limit: a table learns of it when the next value comes, not
        // when it happens to be in memory.
        while self.rows.len() >= max_values.max(1) {
            self.fold_smallest();
        }
        let value = sought.value.name();
        self.rows.insert_unique(sought.hash, Row::new(place_of(&value), &value, login, true), Row::hash);
        let chunks = self.chunks.len();
        if self.rows.len() > ROWS_PER_CHUNK * chunks && chunks < CHUNKS_MAX {
            self.chunks.resize(2 * chunks, CLEAN);
            self.touch_all();
        }
    }

    /// Folds the half with the fewest logins into `~other`; of equals, the larger in byte order first.
    fn fold_smallest(&mut self) {
        let folded = (self.rows.len() / 2).max(1);
        let mut order: Vec<(u64, &str)> =
            self.rows.iter().map(|row| (row.counts.logins, &*row.value)).collect();
        let smaller_first = |a: &(u64, &str), b: &(u64, &str)| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1));
        let (_, last, _) = order.select_nth_unstable_by(folded - 1, smaller_first);
        let last_folded = (last.0, last.1.to_owned());
        let last_folded = (last_folded.0, last_folded.1.as_str());
        let Self { rows, other, chunks, .. } = self;
        rows.retain(|row| {
            if smaller_first(&(row.counts.logins, &row.value), &last_folded).is_gt() {
                return true;
            }
            other.add(row.counts);
            let index = chunk_of(row.place, chunks.len());
            if let Some(chunk) = chunks.get_mut(index) {
                chunk.dirty = true;
            }
            false
        });
    }

    /// Marks all chunks as changed.
    pub(super) fn touch_all(&mut self) {
        for chunk in &mut self.chunks {
            chunk.dirty = true;
        }
    }
}

const CLEAN: Chunk = Chunk { stored: None, dirty: false };

/// A chunk is about a kilobyte then: little to write when one value changed, and few versions to remember.
const ROWS_PER_CHUNK: usize = 64;

/// Bounds the versions that a manifest holds; only tables of more than 16,384 values have larger chunks.
pub(super) const CHUNKS_MAX: usize = 1 << u8::BITS;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::record::Value;
    use crate::spec::Fold;

    /// The rule of the contract, written as slowly as it reads.
    #[derive(Default)]
    struct Oracle {
        rows: BTreeMap<String, Counts>,
        other: Counts,
    }

    impl Oracle {
        fn count(&mut self, value: &str, login: Counts, max_values: usize) {
            if !self.rows.contains_key(value) && self.rows.len() >= max_values {
                let mut order: Vec<(String, Counts)> = self.rows.clone().into_iter().collect();
                order.sort_by(|a, b| a.1.logins.cmp(&b.1.logins).then(b.0.cmp(&a.0)));
                for (value, counts) in &order[..(order.len() / 2).max(1)] {
                    self.rows.remove(value);
                    self.other.add(*counts);
                }
            }
            self.rows.entry(value.to_owned()).or_default().add(login);
        }
    }

    fn rows_of(table: &Table) -> BTreeMap<String, Counts> {
        table.rows.iter().map(|row| (row.value.to_string(), row.counts)).collect()
    }

    fn sought(value: &str) -> Sought<'_> {
        Sought::new(Value::new(value, Fold::None), Box::leak(Box::default()))
    }

    /// Long values and short ones, of which some begin and end alike.
    fn value(number: u32) -> String {
        match number % 4 {
            0 => format!("v{number}"),
            1 => format!("long-begin{number}long-end"),
            2 => format!("long-begin and more {number} and more long-end"),
            _ => "v".repeat(number as usize),
        }
    }

    fn count(table: &mut Table, value: &str, processed: bool, max_values: usize) {
        table.count(&sought(value), Counts::one(processed), max_values);
    }

    proptest! {
        #[test]
        fn a_table_follows_the_rule(
            logins in proptest::collection::vec((0..40_u32, any::<bool>()), 0..300),
            max_values in 1..20_usize,
        ) {
            let (mut table, mut oracle) = (Table::new("device@1"), Oracle::default());
            for (value, processed) in logins {
                let value = self::value(value);
                count(&mut table, &value, processed, max_values);
                oracle.count(&value, Counts::one(processed), max_values);
            }
            prop_assert_eq!(rows_of(&table), oracle.rows);
            prop_assert_eq!(table.other, oracle.other);
        }
    }

    proptest! {
        #[test]
        fn days_and_all_of_them_each_follow_the_rule(
            logins in proptest::collection::vec((0..24_u32, 0..3_usize, any::<bool>()), 0..400),
            max_values in 1..20_usize,
        ) {
            let mut tables: [Table; 4] = std::array::from_fn(|_| Table::new("device@1"));
            let mut oracles: [Oracle; 4] = Default::default();
            let ([all, days @ ..], [oracle_of_all, oracles @ ..]) = (&mut tables, &mut oracles);
            for (number, day, processed) in logins {
                let (value, one) = (value(number), Counts::one(processed));
                days[day].count_in_both(all, &sought(&value), one, max_values);
                oracle_of_all.count(&value, one, max_values);
                oracles[day].count(&value, one, max_values);
            }
            prop_assert_eq!((rows_of(all), all.other), (oracle_of_all.rows.clone(), oracle_of_all.other));
            for (day, oracle) in days.iter().zip(oracles) {
                prop_assert_eq!((rows_of(day), day.other), (oracle.rows.clone(), oracle.other));
            }
        }
    }

    #[test]
    fn a_flood_of_values_keeps_the_totals_and_the_bound() {
        let mut table = Table::new("device@1");
        for number in 0..100_000_u32 {
            count(&mut table, &format!("made-up-{number}"), number % 3 == 0, 1000);
            count(&mut table, "android", true, 1000);
            assert!(table.rows.len() <= 1000);
        }
        let mut sum = table.other;
        for counts in rows_of(&table).values() {
            sum.add(*counts);
        }
        assert_eq!(sum, Counts { logins: 200_000, processed: 133_334 });
        assert_eq!(rows_of(&table)["android"], Counts { logins: 100_000, processed: 100_000 });
    }

    #[test]
    fn long_values_that_begin_and_end_alike_are_told_apart() {
        let mut table = Table::new("device@1");
        let values: Vec<String> =
            (0..1000).map(|number| format!("a long value, {number:03}, of many")).collect();
        for value in &values {
            count(&mut table, value, true, 1000);
        }
        let one = Counts { logins: 1, processed: 1 };
        assert_eq!(rows_of(&table), values.into_iter().map(|value| (value, one)).collect());
    }

    #[test]
    fn only_the_chunks_that_changed_are_written() {
        let mut table = Table::new("device@1");
        for number in 0..1000 {
            count(&mut table, &number.to_string(), false, 1000);
        }
        let mut changes = Changes::default();
        table.take_changes(Scope::AllTime, 5, &mut changes);
        assert_eq!(changes.puts.len(), 16);
        let parts: Parts = changes.puts.into_iter().map(|(_, name, bytes)| (name, bytes)).collect();
        let mut restored = Table::load(&table.head(), Scope::AllTime, &parts).unwrap();
        assert_eq!(rows_of(&restored), rows_of(&table));

        let mut changes = Changes::default();
        count(&mut restored, "7", true, 1000);
        restored.take_changes(Scope::AllTime, 6, &mut changes);
        assert_eq!(changes.puts.len(), 1);
        let stale = Table::load(&restored.head(), Scope::AllTime, &parts);
        assert!(matches!(stale, Err(Error::OtherVersion { expected: 6, found: 5, .. })));
    }

    #[test]
    fn a_chunk_whose_values_are_all_folded_is_removed() {
        let mut table = Table::new("device@1");
        for number in 0..128 {
            count(&mut table, &number.to_string(), false, 128);
        }
        table.take_changes(Scope::AllTime, 1, &mut Changes::default());
        count(&mut table, "new", true, 1);
        let mut changes = Changes::default();
        table.take_changes(Scope::AllTime, 2, &mut changes);
        assert_eq!((changes.puts.len(), changes.deletes.len()), (1, 1));
        assert_eq!(table.other, Counts { logins: 128, processed: 0 });
    }
}
