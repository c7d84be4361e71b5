//! The newest days of a kind, each loaded or only known by the version of its summary.
//!
//! Owns which days are kept and which are let go, a function of the log alone. It never looks into a day.

use crate::time::Day;

/// The newest days, at most a fixed number of them.
#[derive(Debug)]
pub(super) struct KeptDays<T> {
    /// Sorted by day.
    entries: Vec<Entry<T>>,
    /// Where the last login fell: most logins fall on the same day as the one before.
    last: usize,
    limit: usize,
    let_go: bool,
    /// Stored days that were let go since the last flush.
    dropped: Vec<Day>,
}

/// One day.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) day: Day,
    /// The version of its stored summary; none: it was never stored, so it is loaded and changed.
    pub(super) stored: Option<u64>,
    pub(super) loaded: Option<Box<T>>,
}

/// What a manifest says of the days of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredDays {
    /// Whether a day was let go, or a login was too old to be kept: days before the oldest kept are incomplete then.
    pub(crate) let_go: bool,
    /// The version of each day's summary, sorted by day.
    pub(crate) versions: Vec<(Day, u64)>,
}

impl StoredDays {
    /// The version of a day's summary.
    pub(crate) fn version(&self, day: Day) -> Option<u64> {
        let index = self.versions.binary_search_by_key(&day, |(day, _)| *day).ok()?;
        self.versions.get(index).map(|(_, version)| *version)
    }

    /// The oldest day that is complete, when older ones are not.
    pub(crate) fn floor(&self) -> Option<Day> {
        let (oldest, _) = self.versions.first()?;
        self.let_go.then_some(*oldest)
    }
}

impl<T> KeptDays<T> {
    /// No days yet.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), last: 0, limit, let_go: false, dropped: Vec::new() }
    }

    /// Days of which only the versions are known.
    pub(super) fn restore(limit: usize, stored: &StoredDays) -> Self {
        let entries = stored.versions.iter();
        let entries = entries.map(|(day, version)| Entry { day: *day, stored: Some(*version), loaded: None });
        Self { entries: entries.collect(), let_go: stored.let_go, ..Self::new(limit) }
    }

    /// The day, made when it is new and letting the oldest go when there are too many; none when it is too old to be
    /// kept. An error when it is stored but not loaded: nothing has changed then.
    #[inline]
    pub(super) fn enter(&mut self, day: Day, make: impl FnOnce() -> T) -> Result<Option<&mut T>, NotLoaded> {
        if self.entries.get(self.last).is_none_or(|entry| entry.day != day) {
            let Some(index) = self.find_or_make(day, make) else {
                return Ok(None);
            };
            self.last = index;
        }
        let loaded = self.entries.get_mut(self.last).and_then(|entry| entry.loaded.as_deref_mut());
        loaded.map(Some).ok_or(NotLoaded)
    }

    /// Whether the day is stored but not loaded.
    #[inline]
    pub(super) fn is_missing(&self, day: Day) -> bool {
        let entry = match self.entries.get(self.last) {
            Some(entry) if entry.day == day => Some(entry),
            _ => self.find(day).ok().and_then(|index| self.entries.get(index)),
        };
        entry.is_some_and(|entry| entry.loaded.is_none())
    }

    /// The entry of a day.
    pub(super) fn entry_mut(&mut self, day: Day) -> Option<&mut Entry<T>> {
        let index = self.find(day).ok()?;
        self.entries.get_mut(index)
    }

    /// All entries, the oldest first.
    pub(super) fn entries_mut(&mut self) -> &mut [Entry<T>] {
        &mut self.entries
    }

    /// Lets go of loaded days from memory, but for the newest and those that `is_changed`.
    pub(super) fn forget(&mut self, keep_newest: usize, is_changed: impl Fn(&T) -> bool) {
        let old = self.entries.len().saturating_sub(keep_newest);
        for entry in self.entries.iter_mut().take(old) {
            entry.loaded.take_if(|loaded| !is_changed(loaded));
        }
    }

    /// Removes all days, as if there never had been any.
    pub(super) fn clear(&mut self) {
        let stored = self.entries.drain(..).filter(|entry| entry.stored.is_some());
        self.dropped.extend(stored.map(|entry| entry.day));
        self.let_go = false;
    }

    /// Stored days that were let go since the last call.
    pub(super) fn take_dropped(&mut self) -> Vec<Day> {
        std::mem::take(&mut self.dropped)
    }

    /// What the manifest says, after a flush.
    pub(super) fn stored(&self) -> StoredDays {
        let versions = self.entries.iter().filter_map(|entry| Some((entry.day, entry.stored?)));
        StoredDays { let_go: self.let_go, versions: versions.collect() }
    }

    fn find(&self, day: Day) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&day, |entry| entry.day)
    }

    fn find_or_make(&mut self, day: Day, make: impl FnOnce() -> T) -> Option<usize> {
        let mut place = match self.find(day) {
            Ok(index) => return Some(index),
            Err(place) => place,
        };
        if self.entries.len() >= self.limit {
            self.let_go = true;
            place = place.checked_sub(1)?;
            let oldest = self.entries.remove(0);
            if oldest.stored.is_some() {
                self.dropped.push(oldest.day);
            }
        }
        self.entries.insert(place, Entry { day, stored: None, loaded: Some(Box::new(make())) });
        Some(place)
    }
}

/// A day is stored but not loaded.
pub(super) struct NotLoaded;
