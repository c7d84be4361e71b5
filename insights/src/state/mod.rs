//! What one partition has counted, in parts, and how it changes record by record.
//!
//! Owns the counts and their bounds. It never merges batches of one partition (the fold is strict), never does I/O, and
//! its part blobs know nothing of Redis.
//!
//! Parts form a tree of versions: the manifest knows the chunks of the all-time tables and the summary of each day, a
//! day's summary knows the chunks of that day. So a flush writes only what changed, and a reader finds out whether what
//! it read belongs together.

mod chunk;
mod codec;
mod counts;
mod day;
mod distinct;
mod kept;
mod layout;
mod manifest;
mod part;
mod row;
mod sketch;
mod table;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod zone;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use self::day::DayState;
use self::distinct::{DistinctState, Sketch};
use self::kept::{KeptDays, NotLoaded};
use self::row::Sought;
use self::table::Table;
use self::zone::ZoneDays;
use crate::record::{Counted, Reason, Role, Value};
use crate::store::Parts;
use crate::time::{Day, quarter_of_utc};

pub(crate) use self::chunk::{TableHead, read_table};
pub use self::codec::Malformed;
pub(crate) use self::codec::Reader;
pub use self::counts::Counts;
pub(crate) use self::day::{DaySummary, Quarters, put_quarters, read_quarters};
pub(crate) use self::distinct::load_sketches;
pub use self::layout::{DimensionLayout, Layout, Revision, UniqueLayout, key_fingerprint};
pub(crate) use self::layout::{field_and_fingerprint_of, field_of};
pub(crate) use self::manifest::Manifest;
pub use self::manifest::scopes_of;
pub use self::part::{Changes, PartName, SUMMARY, Scope, Wanted, WantedParts};
pub use self::sketch::{Estimate, Registers};

/// Why a state cannot be read or counted into. Always the answer is to read it again, and to rebuild it if that fails too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A part is not there.
    #[error("part `{part}` of scope {scope} is missing: rebuild the partition's state")]
    Missing {
        /// Where it belongs.
        scope: Scope,
        /// Its name.
        part: PartName,
    },
    /// A part is of another flush than the one that its parent names.
    #[error(
        "part `{part}` of scope {scope} has version {found}, not {expected}: rebuild the partition's state"
    )]
    OtherVersion {
        /// Where it belongs.
        scope: Scope,
        /// Its name.
        part: PartName,
        /// The version that its parent names.
        expected: u64,
        /// The version that it has.
        found: u64,
    },
    /// A part's bytes make no sense.
    #[error("part `{part}` of scope {scope} cannot be read: rebuild the partition's state")]
    Malformed {
        /// Where it belongs.
        scope: Scope,
        /// Its name.
        part: PartName,
        /// What is wrong.
        source: Malformed,
    },
    /// A login belongs to a day that is stored and was not loaded first.
    #[error("scope {scope} is stored but not loaded: load what `missing_scopes` names, and count again")]
    NotLoaded {
        /// The day.
        scope: Scope,
    },
}

/// Everything that is counted of one partition. The same records in the same order give the same state, however they
/// were cut into batches and flushes, and whichever days happened to be in memory.
#[derive(Debug)]
pub struct PartitionState {
    layout: Arc<Layout>,
    hasher: SipHasher13,
    zone: ZoneDays,
    totals: Counts,
    dead_letters: [u64; Reason::ALL.len()],
    tables: Vec<Table>,
    days: KeptDays<DayState>,
    distinct: KeptDays<DistinctState>,
    /// Parts of tables and sketches that are no longer counted.
    orphans: BTreeSet<(Scope, PartName)>,
}

impl PartitionState {
    /// The state of a partition of which nothing was counted.
    pub fn new(layout: Arc<Layout>) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&layout.hash_key),
            zone: ZoneDays::new(layout.time_zone),
            totals: Counts::default(),
            dead_letters: [0; Reason::ALL.len()],
            tables: layout.dimensions.iter().map(|dimension| Table::new(&dimension.id)).collect(),
            days: KeptDays::new(DAYS_MAX),
            distinct: KeptDays::new(DISTINCT_DAYS_MAX),
            orphans: BTreeSet::new(),
            layout,
        }
    }

    /// Reads a stored state: its manifest and the parts of [`Scope::AllTime`]. Days are only known by name then. Errors
    /// mean that the state must be rebuilt.
    pub fn restore(layout: Arc<Layout>, manifest: &[u8], all_time: &Parts) -> Result<Self, Error> {
        let manifest = Manifest::decode(manifest)?;
        let mut state = Self::new(Arc::clone(&layout));
        state.totals = manifest.totals;
        state.dead_letters = manifest.dead_letters;
        state.days = KeptDays::restore(DAYS_MAX, &manifest.days);
        state.distinct = KeptDays::restore(DISTINCT_DAYS_MAX, &manifest.distinct);
        let load = |head| Table::load(head, Scope::AllTime, all_time);
        state.tables = manifest.tables.iter().map(load).collect::<Result<_, _>>()?;
        state.adopt(layout);
        Ok(state)
    }

    /// Adds the scopes that a login at this time (milliseconds since 1970) needs and that are stored but not loaded.
    pub fn missing_scopes(&mut self, time_ms: i64, into: &mut BTreeSet<Scope>) {
        let day = Day::of_utc(time_ms);
        if self.days.is_missing(day) {
            into.insert(Scope::Day(day));
        }
        if !self.layout.unique.is_empty() {
            let day = self.zone.day(time_ms, day);
            if self.distinct.is_missing(day) {
                into.insert(Scope::Distinct(day));
            }
        }
    }

    /// Takes the loaded parts of a scope. What is loaded already, or was let go meanwhile, stays as it is. Errors mean
    /// that the state must be rebuilt.
    pub fn insert_scope(&mut self, scope: Scope, parts: &Parts) -> Result<(), Error> {
        match scope {
            Scope::AllTime => {}
            Scope::Day(day) => {
                if let Some(entry) = self.days.entry_mut(day)
                    && let (None, Some(version)) = (&entry.loaded, entry.stored)
                {
                    let mut loaded = Box::new(DayState::load(day, version, parts)?);
                    align_day(day, &mut loaded, &self.layout, &mut self.orphans);
                    entry.loaded = Some(loaded);
                }
            }
            Scope::Distinct(day) => {
                if let Some(entry) = self.distinct.entry_mut(day)
                    && let (None, Some(version)) = (&entry.loaded, entry.stored)
                {
                    let mut loaded = Box::new(DistinctState::load(day, version, parts)?);
                    align_distinct(day, &mut loaded, &self.layout, &mut self.orphans);
                    entry.loaded = Some(loaded);
                }
            }
        }
        Ok(())
    }

    /// Counts one login. An error means that scopes must be loaded first, those that [`Self::missing_scopes`] names: nothing
    /// is counted then.
    pub fn count_login<'a>(
        &mut self,
        login: Counted<impl IntoIterator<Item = Value<'a>>, impl IntoIterator<Item = Option<&'a str>>>,
    ) -> Result<(), Error> {
        let Self { layout, .. } = self;
        let utc_day = Day::of_utc(login.time_ms);
        let day = self.days.enter(utc_day, || DayState::new(layout));
        let mut day = day.map_err(|NotLoaded| Error::NotLoaded { scope: Scope::Day(utc_day) })?;
        let mut distinct = None;
        if !layout.unique.is_empty() {
            let zone_day = self.zone.day(login.time_ms, utc_day);
            distinct = self
                .distinct
                .enter(zone_day, || DistinctState::new(layout))
                .map_err(|NotLoaded| Error::NotLoaded { scope: Scope::Distinct(zone_day) })?;
        }
        let counts = Counts::one(login.processed);
        if let Some(day) = &mut day {
            day.totals.count(counts);
            if let Some(quarter) = day.quarters.get_mut(quarter_of_utc(login.time_ms)) {
                quarter.count(counts);
            }
            day.dirty = true;
        }
        self.totals.count(counts);
        let mut day_tables = day.map(|day| day.tables.iter_mut());
        for (value, table) in login.dimensions.into_iter().zip(&mut self.tables) {
            let day_table = day_tables.as_mut().and_then(Iterator::next);
            match value.role() {
                Role::Unknown => {}
                Role::Other => {
                    table.count_other(counts);
                    if let Some(table) = day_table {
                        table.count_other(counts);
                    }
                }
                Role::Named => {
                    let mut room = Cow::default();
                    let sought = Sought::new(value, &mut room);
                    match day_table {
                        Some(day) => day.count_in_both(table, &sought, counts, layout.max_values),
                        None => table.count(&sought, counts, layout.max_values),
                    }
                }
            }
        }
        if let Some(distinct) = distinct {
            for (index, value) in login.unique.into_iter().enumerate() {
                if let Some(value) = value {
                    distinct.add(index, self.hasher.hash(value.as_bytes()));
                }
            }
        }
        Ok(())
    }

    /// Counts one record that is no login.
    pub fn count_dead_letter(&mut self, reason: Reason) {
        if let Some(count) = self.dead_letters.get_mut(reason.index()) {
            *count = count.saturating_add(1);
        }
    }

    /// Logins, and those of them that passed the filter.
    pub fn totals(&self) -> Counts {
        self.totals
    }

    /// Records that were no logins, by reason in the order of [`Reason::ALL`].
    pub fn dead_letters(&self) -> &[u64; Reason::ALL.len()] {
        &self.dead_letters
    }

    /// Takes everything that changed since the last call, as absolute values. The version must be another one at each
    /// flush of this partition, over all owners and rebuilds: by it, parts that belong together are told from others.
    pub fn take_changes(&mut self, version: u64) -> Changes {
        let mut changes = Changes::default();
        let dropped_days = self.days.take_dropped().into_iter().map(Scope::Day);
        changes
            .drops
            .extend(dropped_days.chain(self.distinct.take_dropped().into_iter().map(Scope::Distinct)));
        let orphans = std::mem::take(&mut self.orphans);
        for table in &mut self.tables {
            table.take_changes(Scope::AllTime, version, &mut changes);
        }
        for entry in self.days.entries_mut() {
            if let Some(day) = entry.loaded.as_mut().filter(|day| day.dirty) {
                day.take_changes(entry.day, version, &mut changes);
                entry.stored = Some(version);
            }
        }
        for entry in self.distinct.entries_mut() {
            if let Some(distinct) = entry.loaded.as_mut().filter(|distinct| distinct.dirty) {
                distinct.take_changes(entry.day, version, &mut changes);
                entry.stored = Some(version);
            }
        }
        let written =
            |part: &(Scope, PartName)| changes.puts.iter().any(|put| (put.0, &put.1) == (part.0, &part.1));
        let gone = |part: &(Scope, PartName)| !changes.drops.contains(&part.0) && !written(part);
        changes.deletes.extend(orphans.into_iter().filter(gone));
        let manifest = Manifest {
            totals: self.totals,
            dead_letters: self.dead_letters,
            tables: self.tables.iter().map(Table::head).collect(),
            days: self.days.stored(),
            distinct: self.distinct.stored(),
        };
        changes.manifest = manifest.encode(version);
        changes
    }

    /// Lets go of days from memory that have not changed since the last flush, but for the newest of each kind.
    pub fn forget_clean_scopes(&mut self, keep_newest: usize) {
        self.days.forget(keep_newest, |day| day.dirty);
        self.distinct.forget(keep_newest, |distinct| distinct.dirty);
    }

    /// Counts under another layout from here on. What it does not name goes; a day that is not loaded follows when it is.
    pub fn adopt(&mut self, layout: Arc<Layout>) {
        align_tables(Scope::AllTime, &mut self.tables, &layout, &mut self.orphans);
        for entry in self.days.entries_mut() {
            if let Some(day) = entry.loaded.as_deref_mut() {
                align_day(entry.day, day, &layout, &mut self.orphans);
            }
        }
        if layout.unique.is_empty() {
            self.distinct.clear();
        }
        for entry in self.distinct.entries_mut() {
            if let Some(distinct) = entry.loaded.as_deref_mut() {
                align_distinct(entry.day, distinct, &layout, &mut self.orphans);
            }
        }
        self.hasher = SipHasher13::new_with_key(&layout.hash_key);
        self.zone = ZoneDays::new(layout.time_zone);
        self.layout = layout;
    }
}

fn align_day(day: Day, state: &mut DayState, layout: &Layout, orphans: &mut BTreeSet<(Scope, PartName)>) {
    state.dirty |= align_tables(Scope::Day(day), &mut state.tables, layout, orphans);
}

/// Brings tables into the layout's order, and tells whether anything changed.
fn align_tables(
    scope: Scope,
    tables: &mut Vec<Table>,
    layout: &Layout,
    orphans: &mut BTreeSet<(Scope, PartName)>,
) -> bool {
    let ids = layout.dimensions.iter().map(|dimension| dimension.id.as_str());
    if ids.clone().eq(tables.iter().map(Table::id)) {
        return false;
    }
    let mut before = std::mem::take(tables);
    for id in ids {
        let found = before.iter().position(|table| table.id() == id);
        tables.push(found.map_or_else(|| Table::new(id), |index| before.swap_remove(index)));
    }
    let gone = before.iter().flat_map(|table| table.head().part_names().collect::<Vec<_>>());
    orphans.extend(gone.map(|name| (scope, name)));
    true
}

fn align_distinct(
    day: Day,
    state: &mut DistinctState,
    layout: &Layout,
    orphans: &mut BTreeSet<(Scope, PartName)>,
) {
    let ids = layout.unique.iter().map(|unique| unique.id.as_str());
    if ids.clone().eq(state.sketches.iter().map(|sketch| sketch.id.as_str())) {
        return;
    }
    let mut before = std::mem::take(&mut state.sketches);
    for id in ids {
        let found = before.iter().position(|sketch| sketch.id == id);
        state.sketches.push(found.map_or_else(|| Sketch::new(id), |index| before.swap_remove(index)));
    }
    let gone = before.iter().flat_map(Sketch::part_names);
    orphans.extend(gone.map(|name| (Scope::Distinct(day), name)));
    state.dirty = true;
}

/// UTC days of which a partition keeps tables, quarter hours and totals.
const DAYS_MAX: usize = 400;

/// Days of the time zone of which a partition keeps distinct values.
const DISTINCT_DAYS_MAX: usize = 40;
