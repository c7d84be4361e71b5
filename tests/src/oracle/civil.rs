//! Owns the calendar: days since 1970-01-01 to dates and back, and the offsets of time zones. Never reads a
//! clock.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Seconds in a day.
pub const DAY_SECONDS: i64 = 86_400;
/// Seconds in a quarter hour.
pub const QUARTER_SECONDS: i64 = 900;

/// The text `YYYY-MM-DD` of a day since 1970-01-01.
pub fn date(day: i64) -> String {
    let (mut year, mut rest) = (1970, day);
    while rest < 0 {
        year -= 1;
        rest += days_in_year(year);
    }
    while rest >= days_in_year(year) {
        rest -= days_in_year(year);
        year += 1;
    }
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", rest + 1)
}

/// The text `YYYY-MM-DD HH:MM:SS` of seconds since 1970-01-01T00:00:00Z.
pub fn date_and_time(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}", date(seconds.div_euclid(DAY_SECONDS)))
}

/// The day and the hour of the day that clocks in the zone show at that time's quarter hour: quarter hours
/// of UTC are what the insights are made of.
pub fn local_day_and_hour(zone: Tz, seconds: i64) -> (i64, usize) {
    let quarter_start = seconds - seconds.rem_euclid(QUARTER_SECONDS);
    let local = quarter_start + offset_seconds(zone, quarter_start);
    let hour = usize::try_from(local.rem_euclid(DAY_SECONDS) / 3600).expect("an hour is 0 to 23");
    (local.div_euclid(DAY_SECONDS), hour)
}

fn offset_seconds(zone: Tz, seconds: i64) -> i64 {
    if zone == Tz::UTC {
        return 0;
    }
    let utc = DateTime::from_timestamp(seconds, 0).expect("logins are of the years 2000 to 9999").naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_year(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(10_957), "2000-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date_and_time(253_402_300_799), "9999-12-31 23:59:59");
        assert_eq!(date_and_time(946_684_799), "1999-12-31 23:59:59");
        assert_eq!(date_and_time(1_700_000_000), "2023-11-14 22:13:20");
        assert_eq!(date_and_time(4_107_542_400), "2100-03-01 00:00:00");
    }

    #[test]
    fn clocks_follow_their_zone() {
        let zone = |name: &str| name.parse::<Tz>().unwrap();
        assert_eq!(local_day_and_hour(Tz::UTC, 1_700_000_000), (19_675, 22));
        assert_eq!(local_day_and_hour(zone("Asia/Kolkata"), 1_700_000_000), (19_676, 3));
        assert_eq!(local_day_and_hour(zone("Asia/Kathmandu"), 1_700_000_000), (19_676, 3));
        // New York's clocks went back at 2023-11-05T06:00:00Z.
        assert_eq!(local_day_and_hour(zone("America/New_York"), 1_699_163_999), (19_666, 1));
        assert_eq!(local_day_and_hour(zone("America/New_York"), 1_699_164_000), (19_666, 1));
        assert_eq!(local_day_and_hour(zone("America/New_York"), 1_699_167_600), (19_666, 2));
    }
}
