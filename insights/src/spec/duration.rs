//! Durations as a configuration writes them: whole numbers with `ms`, `s`, `m` or `h`.
//!
//! Owns their grammar. It never decides how long is sensible.

use std::time::Duration;

/// Reads a whole number with a unit; saturated where it does not fit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = text.strip_prefix(digits)?;
    let (unit_ms, _) = UNITS.into_iter().find(|(_, name)| *name == unit)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().unwrap_or(u64::MAX);
    Some(Duration::from_millis(number.saturating_mul(unit_ms)))
}

/// A duration as it is written in the file.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let (unit_ms, unit) = UNITS
        .into_iter()
        .rev()
        .find(|(unit_ms, _)| ms.is_multiple_of(u128::from(*unit_ms)))
        .unwrap_or((1, "ms"));
    format!("{}{unit}", ms / u128::from(unit_ms))
}

const UNITS: [(u64, &str); 4] = [(1, "ms"), (1000, "s"), (60_000, "m"), (3_600_000, "h")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (text, ms) in [("500ms", 500), ("1s", 1000), ("5m", 300_000), ("2h", 7_200_000), ("007s", 7000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "1", "s", "1.5s", "-1s", "1 s", "1d", "1S", "1sec", "+1s", "1e3ms"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration(&format!("{}h", "9".repeat(40))), Some(Duration::from_millis(u64::MAX)));
    }

    #[test]
    fn a_duration_is_written_in_its_largest_unit() {
        for (ms, text) in [(100, "100ms"), (1500, "1500ms"), (1000, "1s"), (60_000, "1m"), (7_200_000, "2h")]
        {
            assert_eq!(format_duration(Duration::from_millis(ms)), text);
        }
    }
}
