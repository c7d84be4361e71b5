//! The timestamp field: from its exact decimal text to a moment, and from there to the output's text.
//!
//! It never reads a clock and never guesses a unit.

use super::number::Number;
use super::reason::Reason;
use crate::spec::TimestampUnit;
use crate::time::DAY_MS;

/// The moment that a text names, in milliseconds since 1970-01-01T00:00:00Z, its fraction floored in the unit.
/// `kafka_timestamp_ms` is the record's own, -1 for none. Errors: [`Reason::BadTimestamp`] for what is not a number,
/// [`Reason::TimestampOutOfRange`].
pub(super) fn parse(text: &str, unit: TimestampUnit, kafka_timestamp_ms: i64) -> Result<i64, Reason> {
    let whole = match short_integer(text) {
        Some(integer) => integer,
        None => Number::parse(text)
            .ok_or(Reason::BadTimestamp)?
            .floor(DIGITS_MAX)
            .and_then(|whole| i64::try_from(whole).ok())
            .ok_or(Reason::TimestampOutOfRange)?,
    };
    let time_ms = match unit {
        TimestampUnit::Seconds => whole.saturating_mul(1000),
        TimestampUnit::Milliseconds => whole,
    };
    let latest_ms = match kafka_timestamp_ms {
        NO_KAFKA_TIMESTAMP => LATEST_MS,
        kafka_ms => kafka_ms.saturating_add(DAY_MS).min(LATEST_MS),
    };
    if (EARLIEST_MS..=latest_ms).contains(&time_ms) { Ok(time_ms) } else { Err(Reason::TimestampOutOfRange) }
}

/// Appends `"YYYY-MM-DD HH:MM:SS"` with its quotes, in UTC. The moment is one that [`parse`] gave.
pub(super) fn write(time_ms: i64, out: &mut Vec<u8>) {
    let seconds = u64::try_from(time_ms / 1000).expect("no login is before 1970");
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"\"0000-00-00 00:00:00\"";
    let fields = [
        (1, year / 100),
        (3, year % 100),
        (6, month),
        (9, day),
        (12, second_of_day / 3600),
        (15, second_of_day / 60 % 60),
        (18, second_of_day % 60),
    ];
    for (at, value) in fields {
        if let Some([tens, ones]) = text.get_mut(at..at + 2) {
            *tens = digit(value / 10);
            *ones = digit(value % 10);
        }
    }
    out.extend_from_slice(&text);
}

fn digit(value: u64) -> u8 {
    b'0' + u8::try_from(value).expect("a year up to 9999 has two digits twice")
}

/// An integer that is short enough to need no exact arithmetic.
fn short_integer(text: &str) -> Option<i64> {
    if text.starts_with('0') || !(1..=usize::from(DIGITS_MAX)).contains(&text.len()) {
        return None;
    }
    let (mut integer, rest) = match text.as_bytes().split_first_chunk() {
        Some((digits, rest)) => (eight_digits(u64::from_le_bytes(*digits))?, rest),
        None => (0, text.as_bytes()),
    };
    for byte in rest {
        integer = integer * 10 + i64::from(char::from(*byte).to_digit(10)?);
    }
    Some(integer)
}

/// The number that eight digits name, the first in the lowest byte: neighbours are joined to pairs, pairs to fours, and fours to
/// all eight (Johnny Lee's `parse_eight_digits_swar`, as simdjson has it).
fn eight_digits(text: u64) -> Option<i64> {
    let digits = text ^ (ONES * 0x30);
    if (digits | digits.wrapping_add(ONES * 0x76)) & (ONES * 0x80) != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    i64::try_from((fours * 10_000 + (fours >> 32)) & 0xffff_ffff).ok()
}

/// Year, month and day of a number of days since 1970-01-01, by Howard Hinnant's `civil_from_days`: years begin in March, so
/// that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let since_year_zero = days + 719_468;
    let (era, day_of_era) = (since_year_zero / 146_097, since_year_zero % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The Kafka timestamp of a record that has none.
const NO_KAFKA_TIMESTAMP: i64 = -1;

/// 2000-01-01T00:00:00Z.
const EARLIEST_MS: i64 = 946_684_800_000;

/// The last millisecond of year 9999.
const LATEST_MS: i64 = 253_402_300_799_999;

/// As many as [`LATEST_MS`] has.
const DIGITS_MAX: u8 = 15;

/// One in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Result<i64, Reason> {
        parse(text, TimestampUnit::Seconds, NO_KAFKA_TIMESTAMP)
    }

    fn milliseconds(text: &str) -> Result<i64, Reason> {
        parse(text, TimestampUnit::Milliseconds, NO_KAFKA_TIMESTAMP)
    }

    #[test]
    fn the_fraction_is_floored_in_the_unit() {
        for text in [
            "1694479551",
            "1694479551.999",
            "1.694479551e9",
            "16944795519E-1",
            "0.1694479551e+10",
            "1694479551.0",
        ] {
            assert_eq!(seconds(text), Ok(1_694_479_551_000), "{text}");
        }
        for text in ["1694479551123", "1694479551123.9", "1.6944795511239e12", "1694479551123000e-3"] {
            assert_eq!(milliseconds(text), Ok(1_694_479_551_123), "{text}");
        }
    }

    #[test]
    fn both_ends_of_the_range_are_in() {
        assert_eq!(seconds("946684800"), Ok(EARLIEST_MS));
        assert_eq!(seconds("946684799.999999999999999999999999"), Err(Reason::TimestampOutOfRange));
        assert_eq!(seconds("253402300799.999"), Ok(LATEST_MS - 999));
        assert_eq!(seconds("253402300800"), Err(Reason::TimestampOutOfRange));
        assert_eq!(milliseconds("253402300799999.9"), Ok(LATEST_MS));
        assert_eq!(milliseconds("253402300800000"), Err(Reason::TimestampOutOfRange));
        let kafka_ms = 1_700_000_000_000;
        let within = |text, unit| parse(text, unit, kafka_ms);
        assert_eq!(within("1700086400000.9", TimestampUnit::Milliseconds), Ok(kafka_ms + DAY_MS));
        assert_eq!(within("1700086400001", TimestampUnit::Milliseconds), Err(Reason::TimestampOutOfRange));
        assert_eq!(within("1700086400.9", TimestampUnit::Seconds), Ok(kafka_ms + DAY_MS));
        assert_eq!(within("1700086401", TimestampUnit::Seconds), Err(Reason::TimestampOutOfRange));
        assert_eq!(parse("253402300800", TimestampUnit::Seconds, i64::MAX), Err(Reason::TimestampOutOfRange));
        assert_eq!(parse("1700000000", TimestampUnit::Seconds, 0), Err(Reason::TimestampOutOfRange));
    }

    #[test]
    fn numbers_of_any_size_are_out_of_range() {
        for text in [
            "0",
            "-0",
            "-1694479551",
            "1e999999999999",
            "1e99999999999999999999999",
            "-1e99",
            "1e-9",
            "9".repeat(256).as_str(),
            "0e99999999",
        ] {
            assert_eq!(seconds(text), Err(Reason::TimestampOutOfRange), "{text}");
            assert_eq!(milliseconds(text), Err(Reason::TimestampOutOfRange), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_a_bad_timestamp() {
        for text in [
            "2023-09-12",
            " 1694479551",
            "1694479551 ",
            "+1694479551",
            "1_694_479_551",
            "0x64FFBA3F",
            "01694479551",
            "NaN",
            "1694479551.",
            "null",
        ] {
            assert_eq!(seconds(text), Err(Reason::BadTimestamp), "{text}");
        }
    }

    #[test]
    fn eight_digits_are_eight_digits() {
        for (place, byte) in (0..8).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
            let mut text = *b"12345678";
            text[place] = byte;
            let expected = text.iter().all(u8::is_ascii_digit);
            let expected = expected.then(|| std::str::from_utf8(&text).unwrap().parse().unwrap());
            assert_eq!(eight_digits(u64::from_le_bytes(text)), expected, "{text:?}");
        }
        for text in [*b"00000000", *b"99999999", *b"\xff\xff\xff\xff\xff\xff\xff\xff"] {
            let expected = std::str::from_utf8(&text).ok().map(|text| text.parse().unwrap());
            assert_eq!(eight_digits(u64::from_le_bytes(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn moments_are_written_as_chrono_writes_them() {
        let mut time_ms = EARLIEST_MS;
        while time_ms <= LATEST_MS {
            let mut out = Vec::new();
            write(time_ms, &mut out);
            let expected =
                chrono::DateTime::from_timestamp_millis(time_ms).unwrap().format("\"%Y-%m-%d %H:%M:%S\"");
            assert_eq!(String::from_utf8(out).unwrap(), expected.to_string());
            time_ms += 97 * 3_600_000 * 24 + 12_345_678;
        }
        for (time_ms, expected) in
            [(LATEST_MS, "\"9999-12-31 23:59:59\""), (1_709_164_800_000, "\"2024-02-29 00:00:00\"")]
        {
            let mut out = Vec::new();
            write(time_ms, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
