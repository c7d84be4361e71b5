//! The manifest: the root of the tree of versions, by which every other part of a partition's state is known.
//!
//! Owns its bytes. It never says where parts are kept.

use super::Error;
use super::chunk::TableHead;
use super::codec::{self, Malformed, Reader};
use super::counts::Counts;
use super::kept::StoredDays;
use super::part::Scope;
use crate::record::Reason;
use crate::time::Day;

/// All that a partition's head says of its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) totals: Counts,
    /// Dead letters by reason, in the order of [`Reason::ALL`].
    pub(crate) dead_letters: [u64; Reason::ALL.len()],
    pub(crate) tables: Vec<TableHead>,
    pub(crate) days: StoredDays,
    pub(crate) distinct: StoredDays,
}

/// The scopes that a stored state consists of; only the all-time one where its manifest cannot be read.
pub fn scopes_of(manifest: &[u8]) -> Vec<Scope> {
    let mut scopes = vec![Scope::AllTime];
    if let Ok(manifest) = Manifest::decode(manifest) {
        scopes.extend(manifest.days.versions.iter().map(|(day, _)| Scope::Day(*day)));
        scopes.extend(manifest.distinct.versions.iter().map(|(day, _)| Scope::Distinct(*day)));
    }
    scopes
}

impl Manifest {
    /// Writes it.
    pub(crate) fn encode(&self, version: u64) -> Vec<u8> {
        let mut bytes = codec::begin(version);
        self.totals.put(&mut bytes);
        codec::put_length(&mut bytes, self.dead_letters.len());
        self.dead_letters.iter().for_each(|count| codec::put_number(&mut bytes, *count));
        TableHead::put_all(&self.tables, &mut bytes);
        put_days(&self.days, &mut bytes);
        put_days(&self.distinct, &mut bytes);
        bytes
    }

    /// Reads it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map_err(codec::in_part(Scope::AllTime, MANIFEST))
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, _) = Reader::open(bytes)?;
        let totals = Counts::read(&mut reader)?;
        let mut dead_letters = [0; Reason::ALL.len()];
        let known = reader.number_below(dead_letters.len() + 1)?;
        for count in dead_letters.iter_mut().take(known) {
            *count = reader.number()?;
        }
        let tables = TableHead::read_all(&mut reader)?;
        let days = read_days(&mut reader)?;
        let distinct = read_days(&mut reader)?;
        reader.close()?;
        Ok(Self { totals, dead_letters, tables, days, distinct })
    }
}

fn put_days(days: &StoredDays, bytes: &mut Vec<u8>) {
    bytes.push(u8::from(days.let_go));
    codec::put_length(bytes, days.versions.len());
    let mut last = 0;
    for (day, version) in &days.versions {
        codec::put_signed(bytes, i64::from(day.0) - last);
        codec::put_number(bytes, *version);
        last = i64::from(day.0);
    }
}

fn read_days(reader: &mut Reader<'_>) -> Result<StoredDays, Malformed> {
    let let_go = reader.number_below(2)? == 1;
    let mut versions: Vec<(Day, u64)> = Vec::new();
    for _ in 0..reader.number()? {
        let last = versions.last().map(|(day, _)| *day);
        let number = i64::from(last.map_or(0, |day| day.0)).checked_add(reader.signed()?);
        let number = number.ok_or(Malformed::OutOfRange)?;
        let day = Day(i32::try_from(number).map_err(|_| Malformed::OutOfRange)?);
        if !PLAUSIBLE_DAYS.contains(&day.0) {
            return Err(Malformed::OutOfRange);
        }
        if last.is_some_and(|last| last >= day) {
            return Err(Malformed::OutOfOrder);
        }
        versions.push((day, reader.number()?));
    }
    Ok(StoredDays { let_go, versions })
}

/// How errors call it.
const MANIFEST: &str = "manifest";

/// Logins lie between 2000 and year 9999: with room for time zones.
const PLAUSIBLE_DAYS: std::ops::Range<i32> = 10_000..3_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_hundred_days_are_about_three_kilobytes() {
        let days = |count| StoredDays {
            let_go: true,
            versions: (0..count)
                .map(|day| (Day(20_000 + day), 900_000_000 + u64::from(day.unsigned_abs())))
                .collect(),
        };
        let manifest = Manifest { days: days(400), distinct: days(40), ..Manifest::default() };
        let bytes = manifest.encode(1);
        assert!(bytes.len() < 3100, "{}", bytes.len());
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        assert_eq!(manifest.days.version(Day(20_399)), Some(900_000_399));
        assert_eq!(manifest.days.floor(), Some(Day(20_000)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(Manifest::decode(&bytes));
            drop(Manifest::decode(&[&[1, 1][..], &bytes].concat()));
        }
    }
}
