//! Which day of a time zone a moment belongs to, at the price of an addition for most.
//!
//! Owns the remembered offset. It never decides what is counted.

use chrono_tz::Tz;

use crate::time::{DAY_MS, Day, offset_ms};

/// Finds days of a zone; remembers the offset of the UTC day that was asked for last.
#[derive(Debug)]
pub(super) struct ZoneDays {
    zone: Tz,
    utc_day: Option<Day>,
    /// None while the offset changes within that UTC day.
    offset_ms: Option<i64>,
}

impl ZoneDays {
    /// Nothing is remembered yet.
    pub(super) fn new(zone: Tz) -> Self {
        Self { zone, utc_day: None, offset_ms: None }
    }

    /// The zone's day of a moment, whose UTC day the caller knows.
    #[inline]
    pub(super) fn day(&mut self, time_ms: i64, utc_day: Day) -> Day {
        if self.zone == Tz::UTC {
            return utc_day;
        }
        if self.utc_day != Some(utc_day) {
            let start_ms = utc_day.start_ms();
            let offset = offset_ms(start_ms, self.zone);
            self.utc_day = Some(utc_day);
            self.offset_ms = (offset == offset_ms(start_ms + DAY_MS, self.zone)).then_some(offset);
        }
        match self.offset_ms {
            Some(offset) => Day::of_utc(time_ms + offset),
            None => Day::of_zone(time_ms, self.zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone_around_every_change_of_its_offset() {
        for zone in [
            Tz::UTC,
            Tz::Europe__Berlin,
            Tz::Australia__Lord_Howe,
            Tz::America__St_Johns,
            Tz::Asia__Kathmandu,
        ] {
            let mut days = ZoneDays::new(zone);
            for minute in (0..2 * 366 * 24 * 60).step_by(7) {
                let time_ms = Day(12_000).start_ms() + minute * 60_000;
                assert_eq!(
                    days.day(time_ms, Day::of_utc(time_ms)),
                    Day::of_zone(time_ms, zone),
                    "{zone} {time_ms}"
                );
            }
        }
    }
}
