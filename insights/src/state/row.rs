//! A row of a table, and how a value is looked up.
//!
//! Owns when a value is that of a row. It never knows how many rows there may be.

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use xxhash_rust::xxh3::xxh3_64;

use super::counts::Counts;
use crate::record::{Ends, Value};
use crate::spec::Fold;

/// A value with its counts.
#[derive(Debug)]
pub(super) struct Row {
    ends: Ends,
    pub(super) value: Arc<str>,
    pub(super) counts: Counts,
    /// Where a day's value stands in the table of all days, if that shares the value there; any number otherwise.
    pub(super) bucket: u32,
    /// See [`place_of`].
    pub(super) place: u8,
    /// Whether it was counted since the last flush: cheaper on the way of every login than its chunk's mark.
    pub(super) dirty: bool,
}

/// A value that is looked up.
pub(super) struct Sought<'a> {
    /// As [`Row::hash`].
    pub(super) hash: u64,
    ends: Ends,
    /// Folded only when it is long: of a short one, the ends tell all.
    pub(super) value: Value<'a>,
}

impl<'a> Sought<'a> {
    /// A value, which is counted under its name. `room` holds that of a long one.
    #[inline]
    pub(super) fn new(value: Value<'a>, room: &'a mut Cow<'a, str>) -> Self {
        if value.text().len() > Ends::BYTES {
            return Self::long(value, room);
        }
        let ends = value.ends();
        Self { hash: HASHER.hash_one(ends), ends, value }
    }

    #[cold]
    fn long(value: Value<'a>, room: &'a mut Cow<'a, str>) -> Self {
        *room = value.name();
        Self { hash: HASHER.hash_one(&**room), ends: Ends::of(room), value: Value::new(room, Fold::None) }
    }
}

impl Row {
    /// A row of a value at its place, which [`place_of`] tells.
    pub(super) fn new(place: u8, value: &str, counts: Counts, dirty: bool) -> Self {
        Self { ends: Ends::of(value), value: value.into(), counts, bucket: 0, place, dirty }
    }

    /// Whether it is what is looked up.
    #[inline]
    pub(super) fn is(&self, sought: &Sought<'_>) -> bool {
        let text = sought.value.text();
        self.ends == sought.ends
            && self.value.len() == text.len()
            && (text.len() <= Ends::BYTES || *self.value == *text)
    }

    /// Counts one login.
    #[inline]
    pub(super) fn count(&mut self, login: Counts) {
        self.counts.count(login);
        self.dirty = true;
    }

    /// Where it is looked for.
    pub(super) fn hash(&self) -> u64 {
        if self.value.len() <= Ends::BYTES {
            HASHER.hash_one(self.ends)
        } else {
            HASHER.hash_one(&*self.value)
        }
    }
}

/// What decides the chunk of a value: it must never change.
pub(super) fn place_of(value: &str) -> u8 {
    let [_, _, _, _, place, ..] = xxh3_64(value.as_bytes()).to_le_bytes();
    place
}

const HASHER: FixedState = FixedState::with_seed(0);
