//! Days, quarter hours and the timestamps of output records, all pure functions of a number of milliseconds.
//!
//! It never reads a clock.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Milliseconds of a quarter of an hour.
pub const QUARTER_MS: i64 = 900_000;

/// Quarter hours of a UTC day.
pub const QUARTERS_PER_DAY: usize = 96;

/// A calendar day, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The UTC day of a moment, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn of_utc(time_ms: i64) -> Self {
        Self(i32::try_from(time_ms.div_euclid(DAY_MS)).expect("the range of timestamps ends with year 9999"))
    }

    /// The day of a moment in a time zone.
    pub fn of_zone(time_ms: i64, zone: Tz) -> Self {
        if zone == Tz::UTC {
            return Self::of_utc(time_ms);
        }
        Self::of_utc(time_ms + offset_ms(time_ms, zone))
    }

    /// The first moment of the UTC day, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn start_ms(self) -> i64 {
        i64::from(self.0) * DAY_MS
    }

    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Self(date.num_days_from_ce() - UNIX_EPOCH_FROM_CE))
    }
}

impl fmt::Display for Day {
    /// Writes `YYYY-MM-DD`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = NaiveDate::from_num_days_from_ce_opt(self.0 + UNIX_EPOCH_FROM_CE).ok_or(fmt::Error)?;
        write!(formatter, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
    }
}

/// The quarter hour of its UTC day (0 to 95) in which a moment lies.
pub fn quarter_of_utc(time_ms: i64) -> usize {
    usize::try_from(time_ms.rem_euclid(DAY_MS) / QUARTER_MS).expect("a remainder is not negative")
}

/// The day and hour (0 to 23) of a moment in a time zone.
pub fn day_and_hour(time_ms: i64, zone: Tz) -> (Day, usize) {
    let local_ms = time_ms + offset_ms(time_ms, zone);
    let hour = local_ms.rem_euclid(DAY_MS) / (4 * QUARTER_MS);
    (Day::of_utc(local_ms), usize::try_from(hour).expect("a remainder is not negative"))
}

/// A moment as `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub fn rfc3339(time_ms: i64) -> String {
    let moment = DateTime::from_timestamp_millis(time_ms).unwrap_or(DateTime::UNIX_EPOCH);
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        Day::of_utc(time_ms),
        moment.hour(),
        moment.minute(),
        moment.second(),
        moment.timestamp_subsec_millis()
    )
}

/// How far a zone's clock is ahead of UTC at a moment, in milliseconds.
pub fn offset_ms(time_ms: i64, zone: Tz) -> i64 {
    let moment = DateTime::from_timestamp_millis(time_ms).unwrap_or(DateTime::UNIX_EPOCH).naive_utc();
    i64::from(zone.offset_from_utc_datetime(&moment).fix().local_minus_utc()) * 1000
}

const UNIX_EPOCH_FROM_CE: i32 = 719_163;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_and_read_alike() {
        for (day, text) in [(0, "1970-01-01"), (10_957, "2000-01-01"), (20_782, "2026-11-25")] {
            assert_eq!(Day(day).to_string(), text);
            assert_eq!(Day::parse(text), Some(Day(day)));
        }
    }

    #[test]
    fn a_zone_with_a_quarter_hour_moves_the_day() {
        let evening_ms = Day::parse("2026-11-24").unwrap().start_ms() + 18 * 3_600_000 + 20 * 60_000;
        assert_eq!(day_and_hour(evening_ms, Tz::Asia__Kathmandu), (Day::parse("2026-11-25").unwrap(), 0));
        assert_eq!(Day::of_zone(evening_ms, Tz::UTC), Day::parse("2026-11-24").unwrap());
        assert_eq!(quarter_of_utc(evening_ms), 73);
    }
}
