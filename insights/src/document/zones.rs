//! Hours and days as the clocks of any time zone show them, from the states that the workers keep.
//!
//! Owns what is known of the quarter hours of each partition. It never reads a store.
//!
//! The published quarter hours are those of the newest 40 days, and of all logins only; the states have every kept day, and
//! the processed logins too.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::calendar::{Calendar, MergedDays, peak};
use super::piece::{Fresh, Piece, wanted};
use super::{Progress, Settings};
use crate::state::{Counts, Error, Manifest, Scope, Wanted};
use crate::store::Parts;
use crate::time::Day;

/// The quarter hours of all partitions.
#[derive(Debug)]
pub struct Zones {
    settings: Settings,
    pieces: BTreeMap<i32, Piece>,
    days: MergedDays,
}

/// Hours and days in one time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InZone {
    /// The first whole day, when older ones were let go.
    pub days_from: Option<Day>,
    /// All logins.
    pub logins: Clock,
    /// Processed logins.
    pub processed: Clock,
}

/// Counts by hour and by day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// By hour of the day, over all days.
    pub hour_of_day: Vec<u64>,
    /// The hour with the most logins, the earlier of equals.
    pub peak_hour: Option<(usize, u64)>,
    /// By day, without those that have none.
    pub days: BTreeMap<Day, u64>,
}

impl Default for Zones {
    /// Knows no partition yet.
    fn default() -> Self {
        // Neither tables nor sketches depend on the zone that is asked for.
        let settings = Settings {
            pipeline: String::new(),
            revision: 0,
            dimensions: Vec::new(),
            unique: Vec::new(),
            key_fingerprint: String::new(),
            time_zone: Tz::UTC,
            max_values: 0,
        };
        Self { settings, pieces: BTreeMap::new(), days: MergedDays::default() }
    }
}

impl Zones {
    /// What must be fetched before [`Self::update`] can take this manifest.
    pub fn wanted(&self, partition: i32, manifest: &[u8]) -> Result<Vec<Wanted>, Error> {
        let manifest = Manifest::decode(manifest)?;
        Ok(wanted(&self.settings, self.pieces.get(&partition), &manifest, NO_DAY))
    }

    /// Takes a partition's manifest and the parts that were wanted for it. After an error nothing has changed.
    pub fn update(
        &mut self,
        partition: i32,
        manifest: &[u8],
        parts: &BTreeMap<Scope, Parts>,
    ) -> Result<(), Error> {
        let manifest = Manifest::decode(manifest)?;
        let fresh = Fresh::read(&self.settings, self.pieces.get(&partition), &manifest, parts)?;
        let progress =
            Progress { position: 0, incarnation: String::new(), gaps: Vec::new(), output_refused: 0 };
        self.pieces.entry(partition).or_default().apply(progress, manifest, fresh, &mut self.days);
        Ok(())
    }

    /// Forgets a partition: all of it is wanted again then.
    pub fn forget(&mut self, partition: i32) {
        if let Some(mut piece) = self.pieces.remove(&partition) {
            piece.clear_days(&mut self.days);
        }
    }

    /// All partitions together, in a time zone.
    pub fn in_zone(&self, zone: Tz) -> InZone {
        let floor = self.pieces.values().filter_map(|piece| piece.manifest.days.floor()).max();
        let calendar = self.days.in_zone(zone, floor);
        InZone {
            days_from: calendar.days_from,
            logins: clock(&calendar, |counts| counts.logins),
            processed: clock(&calendar, |counts| counts.processed),
        }
    }
}

fn clock(calendar: &Calendar, count: impl Fn(Counts) -> u64) -> Clock {
    let hour_of_day: Vec<u64> = calendar.hours.iter().map(|counts| count(*counts)).collect();
    let days = calendar.days.iter().map(|(day, counts)| (*day, count(*counts)));
    Clock {
        peak_hour: peak(&hour_of_day),
        days: days.filter(|(_, logins)| *logins > 0).collect(),
        hour_of_day,
    }
}

/// Sketches are of days; none is asked for.
const NO_DAY: Day = Day(i32::MIN);
