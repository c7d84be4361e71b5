//! Days, hours and quarter hours: the merged UTC quarter hours, and how they look in a time zone.
//!
//! Owns which days are published. It never rounds: a quarter hour lies within one hour of every zone.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::state::{Counts, Quarters};
use crate::time::{DAY_MS, Day, QUARTER_MS, QUARTERS_PER_DAY, offset_ms};

/// Hours of a day.
pub(super) const HOURS_PER_DAY: usize = 24;

/// The quarter hours of all partitions together, by UTC day.
#[derive(Debug, Default)]
pub(super) struct MergedDays(BTreeMap<Day, Box<Quarters>>);

/// The published days in a time zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    /// The first published day, when older ones were let go.
    pub(super) days_from: Option<Day>,
    /// Counts of each hour of the day, over all published days.
    pub(super) hours: [Counts; HOURS_PER_DAY],
    /// Counts of each published day that has logins.
    pub(super) days: BTreeMap<Day, Counts>,
}

impl MergedDays {
    /// Adds a partition's day.
    pub(super) fn add(&mut self, day: Day, quarters: &Quarters) {
        let merged = self.0.entry(day).or_insert_with(|| Box::new([Counts::default(); QUARTERS_PER_DAY]));
        for (merged, counts) in merged.iter_mut().zip(quarters) {
            merged.add(*counts);
        }
    }

    /// Takes a partition's day away, as it was added.
    pub(super) fn subtract(&mut self, day: Day, quarters: &Quarters) {
        let Some(merged) = self.0.get_mut(&day) else {
            return;
        };
        for (merged, counts) in merged.iter_mut().zip(quarters) {
            merged.subtract(*counts);
        }
        if merged.iter().all(|counts| counts.is_zero()) {
            self.0.remove(&day);
        }
    }

    /// The newest UTC days that are complete, the newest first.
    pub(super) fn newest(&self, count: usize, floor: Option<Day>) -> impl Iterator<Item = (Day, &Quarters)> {
        let days = self.0.iter().rev().take(count).map(|(day, quarters)| (*day, &**quarters));
        days.filter(move |(day, _)| floor.is_none_or(|floor| *day >= floor))
    }

    /// What is published in a time zone, when UTC days before `floor` are incomplete.
    pub(super) fn in_zone(&self, zone: Tz, floor: Option<Day>) -> Calendar {
        let days_from = floor.map(|floor| first_whole_day(floor, zone));
        let mut calendar = Calendar { days_from, hours: Default::default(), days: BTreeMap::new() };
        for (day, quarters) in self.0.range(floor.unwrap_or(Day(i32::MIN))..) {
            let start_ms = day.start_ms();
            let offset = offset_ms(start_ms, zone);
            let is_constant = offset == offset_ms(start_ms + DAY_MS, zone);
            for (time_ms, counts) in (start_ms..).step_by(QUARTER_STEP).zip(quarters.iter()) {
                if !counts.is_zero() {
                    let offset = if is_constant { offset } else { offset_ms(time_ms, zone) };
                    calendar.add(time_ms + offset, *counts);
                }
            }
        }
        calendar
    }
}

/// The hour with the most logins, the earlier of equals; none without logins.
pub(super) fn peak(hours: &[u64]) -> Option<(usize, u64)> {
    let mut peak: Option<(usize, u64)> = None;
    for (hour, logins) in hours.iter().copied().enumerate() {
        if logins > peak.map_or(0, |(_, most)| most) {
            peak = Some((hour, logins));
        }
    }
    peak
}

impl Calendar {
    fn add(&mut self, local_ms: i64, counts: Counts) {
        let day = Day::of_utc(local_ms);
        if self.days_from.is_some_and(|from| day < from) {
            return;
        }
        let hour = usize::try_from(local_ms.rem_euclid(DAY_MS) / HOUR_MS).ok();
        if let Some(hour) = hour.and_then(|hour| self.hours.get_mut(hour)) {
            hour.add(counts);
        }
        self.days.entry(day).or_default().add(counts);
    }
}

/// The first day of the zone that does not begin before a UTC day does.
fn first_whole_day(floor: Day, zone: Tz) -> Day {
    let start_ms = floor.start_ms();
    let day = Day::of_zone(start_ms, zone);
    if Day::of_zone(start_ms - 1, zone) < day { day } else { Day(day.0 + 1) }
}

const HOUR_MS: i64 = 4 * QUARTER_MS;
const QUARTER_STEP: usize = 900_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    /// One login in each quarter hour of three UTC days.
    fn three_days(first: &str) -> MergedDays {
        let mut merged = MergedDays::default();
        for number in 0..3 {
            merged.add(Day(day(first).0 + number), &[Counts::one(true); QUARTERS_PER_DAY]);
        }
        merged
    }

    fn logins(calendar: &Calendar) -> Vec<(String, u64)> {
        calendar.days.iter().map(|(day, counts)| (day.to_string(), counts.logins)).collect()
    }

    #[test]
    fn days_with_a_change_of_clocks_have_23_and_25_hours() {
        for (first, changed, quarters) in
            [("2026-03-28", "2026-03-29", 92), ("2026-10-24", "2026-10-25", 100)]
        {
            let calendar = three_days(first).in_zone(Tz::Europe__Berlin, None);
            assert_eq!(calendar.days[&day(changed)].logins, quarters);
            let sum: u64 = calendar.hours.iter().map(|counts| counts.logins).sum();
            assert_eq!(sum, 3 * 96);
        }
    }

    #[test]
    fn a_day_that_begins_before_the_oldest_kept_is_not_published() {
        let merged = three_days("2026-06-01");
        let floor = Some(day("2026-06-02"));
        let utc = merged.in_zone(Tz::UTC, floor);
        assert_eq!(utc.days_from, floor);
        assert_eq!(logins(&utc), [("2026-06-02".into(), 96), ("2026-06-03".into(), 96)]);

        let east = merged.in_zone(Tz::Asia__Kolkata, floor);
        assert_eq!(east.days_from, Some(day("2026-06-03")));
        assert_eq!(logins(&east), [("2026-06-03".into(), 96), ("2026-06-04".into(), 22)]);
        assert_eq!(east.hours[5].logins, 4 + 2);

        let west = merged.in_zone(Tz::America__New_York, floor);
        assert_eq!(west.days_from, floor);
        assert_eq!(logins(&west), [("2026-06-02".into(), 96), ("2026-06-03".into(), 80)]);
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let mut merged = three_days("2026-06-01");
        merged.subtract(day("2026-06-02"), &[Counts::one(true); QUARTERS_PER_DAY]);
        let left: Vec<Day> = merged.newest(40, None).map(|(day, _)| day).collect();
        assert_eq!(left, [day("2026-06-03"), day("2026-06-01")]);
        assert_eq!(merged.newest(40, Some(day("2026-06-02"))).count(), 1);
        assert_eq!(merged.newest(1, None).count(), 1);
    }
}
