//! What is counted of one UTC day: totals, quarter hours and a table for each dimension.
//!
//! Owns the day's summary part. It never knows which days are kept.

use super::chunk::TableHead;
use super::codec::{self, Malformed, Reader};
use super::counts::Counts;
use super::part::{Changes, PartName, SUMMARY, Scope};
use super::table::Table;
use super::{Error, Layout, Parts};
use crate::time::{Day, QUARTERS_PER_DAY};

/// Counts of a UTC day's quarter hours.
pub(crate) type Quarters = [Counts; QUARTERS_PER_DAY];

/// The loaded counts of one UTC day.
#[derive(Debug)]
pub(super) struct DayState {
    pub(super) totals: Counts,
    pub(super) quarters: Quarters,
    pub(super) tables: Vec<Table>,
    pub(super) dirty: bool,
}

/// The part by which a day's other parts are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DaySummary {
    pub(crate) totals: Counts,
    pub(crate) quarters: Quarters,
    pub(crate) tables: Vec<TableHead>,
}

impl DayState {
    /// A day without logins.
    pub(super) fn new(layout: &Layout) -> Self {
        let tables = layout.dimensions.iter().map(|dimension| Table::new(&dimension.id)).collect();
        Self {
            totals: Counts::default(),
            quarters: [Counts::default(); QUARTERS_PER_DAY],
            tables,
            dirty: true,
        }
    }

    /// Reads a stored day. Tables that the layout does not have stay in it until it is aligned.
    pub(super) fn load(day: Day, version: u64, parts: &Parts) -> Result<Self, Error> {
        let scope = Scope::Day(day);
        let DaySummary { totals, quarters, tables } = DaySummary::load(day, version, parts)?;
        let tables = tables.iter().map(|head| Table::load(head, scope, parts)).collect::<Result<_, _>>()?;
        Ok(Self { totals, quarters, tables, dirty: false })
    }

    /// Adds the changed parts, the summary last, and is clean then.
    pub(super) fn take_changes(&mut self, day: Day, version: u64, changes: &mut Changes) {
        let scope = Scope::Day(day);
        for table in &mut self.tables {
            table.take_changes(scope, version, changes);
        }
        let tables = self.tables.iter().map(Table::head).collect();
        let summary = DaySummary { totals: self.totals, quarters: self.quarters, tables };
        changes.puts.push((scope, PartName::from(SUMMARY), summary.encode(version)));
        self.dirty = false;
    }
}

impl DaySummary {
    /// Reads a stored summary.
    pub(crate) fn load(day: Day, version: u64, parts: &Parts) -> Result<Self, Error> {
        let scope = Scope::Day(day);
        let mut reader = super::chunk::find_part(scope, SUMMARY, version, parts)?;
        let read = |reader: &mut Reader<'_>| {
            let totals = Counts::read(reader)?;
            let quarters = read_quarters(reader)?;
            Ok(Self { totals, quarters, tables: TableHead::read_all(reader)? })
        };
        let summary = read(&mut reader).map_err(codec::in_part(scope, SUMMARY))?;
        reader.close().map_err(codec::in_part(scope, SUMMARY))?;
        Ok(summary)
    }

    fn encode(&self, version: u64) -> Vec<u8> {
        let mut bytes = codec::begin(version);
        self.totals.put(&mut bytes);
        put_quarters(&self.quarters, &mut bytes);
        TableHead::put_all(&self.tables, &mut bytes);
        bytes
    }
}

/// Writes the quarter hours that have logins.
pub(crate) fn put_quarters(quarters: &Quarters, bytes: &mut Vec<u8>) {
    let filled = quarters.iter().enumerate().filter(|(_, counts)| !counts.is_zero());
    codec::put_length(bytes, filled.clone().count());
    let mut next = 0;
    for (index, counts) in filled {
        codec::put_length(bytes, index - next);
        counts.put(bytes);
        next = index + 1;
    }
}

/// Reads quarter hours.
pub(crate) fn read_quarters(reader: &mut Reader<'_>) -> Result<Quarters, Malformed> {
    let mut quarters = [Counts::default(); QUARTERS_PER_DAY];
    let mut next = 0;
    for _ in 0..reader.number_below(QUARTERS_PER_DAY + 1)? {
        let index = next + reader.number_below(QUARTERS_PER_DAY)?;
        *quarters.get_mut(index).ok_or(Malformed::OutOfRange)? = Counts::read(reader)?;
        next = index + 1;
    }
    Ok(quarters)
}
