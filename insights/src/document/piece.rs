//! What is kept of one partition between publications, and what must be fetched when its manifest changes.
//!
//! Owns the compact form. It never keeps a stored part as it came.

use std::collections::BTreeMap;

use super::Progress;
use super::Settings;
use super::calendar::MergedDays;
use crate::state::{
    Counts, DaySummary, Error, Manifest, Quarters, Reader, Registers, SUMMARY, Scope, TableHead, Wanted,
    WantedParts, field_and_fingerprint_of, field_of, load_sketches, put_quarters, read_quarters, read_table,
};
use crate::store::Parts;
use crate::time::Day;

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) progress: Option<Progress>,
    pub(super) manifest: Manifest,
    /// The all-time tables, in the order of the settings' dimensions.
    pub(super) tables: Vec<PackedTable>,
    pub(super) distinct: Option<Distinct>,
    days: BTreeMap<Day, PackedDay>,
}

/// A table's values, one behind the other, with their ends and counts; and what it has in `~other`.
#[derive(Debug, Default)]
pub(super) struct PackedTable {
    pub(super) other: Counts,
    text: String,
    rows: Vec<(u32, Counts)>,
}

/// The sketches of one day, in the order of the settings' `unique` fields.
#[derive(Debug)]
pub(super) struct Distinct {
    pub(super) day: Day,
    pub(super) registers: Vec<Option<Registers>>,
    version: u64,
}

/// A day's quarter hours as bytes: a partition has 400 days, and few of them change.
#[derive(Debug)]
struct PackedDay {
    version: u64,
    bytes: Box<[u8]>,
}

/// What is new in a manifest, read and checked, before anything is changed.
pub(super) struct Fresh {
    tables: Option<Vec<PackedTable>>,
    days: Vec<(Day, u64, Box<Quarters>)>,
    distinct: Option<Distinct>,
}

/// What must be fetched to show a manifest, given what is known.
pub(super) fn wanted(
    settings: &Settings,
    known: Option<&Piece>,
    manifest: &Manifest,
    today: Day,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let has_rows = manifest.tables.iter().any(|table| table.part_names().next().is_some());
    if has_rows && !settings.dimensions.is_empty() && tables_changed(known, manifest) {
        wanted.push(Wanted { scope: Scope::AllTime, parts: WantedParts::All });
    }
    for (day, _) in changed_days(known, manifest) {
        wanted.push(Wanted { scope: Scope::Day(day), parts: WantedParts::Only(SUMMARY.into()) });
    }
    let known_today =
        known.and_then(|piece| piece.distinct.as_ref()).filter(|distinct| distinct.day == today);
    let stored_today = manifest.distinct.version(today);
    if !settings.unique.is_empty()
        && stored_today.is_some()
        && stored_today != known_today.map(|distinct| distinct.version)
    {
        wanted.push(Wanted { scope: Scope::Distinct(today), parts: WantedParts::All });
    }
    wanted
}

impl Fresh {
    /// Reads what is new.
    pub(super) fn read(
        settings: &Settings,
        known: Option<&Piece>,
        manifest: &Manifest,
        parts: &BTreeMap<Scope, Parts>,
    ) -> Result<Self, Error> {
        let none = Parts::new();
        let parts_of = |scope| parts.get(&scope).unwrap_or(&none);
        let mut fresh = Self { tables: None, days: Vec::new(), distinct: None };
        if tables_changed(known, manifest) {
            let read = |field: &String| {
                let head = manifest.tables.iter().find(|head| field_of(&head.id) == field);
                head.map_or_else(
                    || Ok(PackedTable::default()),
                    |head| PackedTable::read(head, parts_of(Scope::AllTime)),
                )
            };
            fresh.tables = Some(settings.dimensions.iter().map(read).collect::<Result<_, _>>()?);
        }
        for (day, version) in changed_days(known, manifest) {
            let summary = DaySummary::load(day, version, parts_of(Scope::Day(day)))?;
            fresh.days.push((day, version, Box::new(summary.quarters)));
        }
        for (scope, parts) in parts {
            if let Scope::Distinct(day) = scope
                && let Some(version) = manifest.distinct.version(*day)
            {
                fresh.distinct = Some(Distinct::read(settings, *day, version, parts)?);
            }
        }
        Ok(fresh)
    }
}

impl Piece {
    /// Puts what is new in the place of what it replaces.
    pub(super) fn apply(
        &mut self,
        progress: Progress,
        manifest: Manifest,
        fresh: Fresh,
        merged: &mut MergedDays,
    ) {
        if let Some(tables) = fresh.tables {
            self.tables = tables;
        }
        self.days.retain(|day, packed| {
            let is_kept = manifest.days.version(*day).is_some();
            if !is_kept {
                merged.subtract(*day, &packed.quarters());
            }
            is_kept
        });
        for (day, version, quarters) in fresh.days {
            merged.add(day, &quarters);
            if let Some(before) = self.days.insert(day, PackedDay::new(version, &quarters)) {
                merged.subtract(day, &before.quarters());
            }
        }
        if fresh.distinct.is_some() {
            self.distinct = fresh.distinct;
        }
        self.distinct.take_if(|distinct| manifest.distinct.version(distinct.day) != Some(distinct.version));
        self.progress = Some(progress);
        self.manifest = manifest;
    }

    /// Takes its days out of the merge.
    pub(super) fn clear_days(&mut self, merged: &mut MergedDays) {
        for (day, packed) in std::mem::take(&mut self.days) {
            merged.subtract(day, &packed.quarters());
        }
    }
}

impl PackedTable {
    /// The values and their counts.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, Counts)> {
        let mut start = 0;
        self.rows.iter().filter_map(move |(end, counts)| {
            let value = self.text.get(start..*end as usize)?;
            start = *end as usize;
            Some((value, *counts))
        })
    }

    fn read(head: &TableHead, parts: &Parts) -> Result<Self, Error> {
        let mut table = Self { other: head.other, ..Self::default() };
        read_table(head, Scope::AllTime, parts, |_, value, counts| {
            table.text.push_str(value);
            table.rows.push((u32::try_from(table.text.len()).unwrap_or(u32::MAX), counts));
        })?;
        table.text.shrink_to_fit();
        table.rows.shrink_to_fit();
        Ok(table)
    }
}

impl Distinct {
    fn read(settings: &Settings, day: Day, version: u64, parts: &Parts) -> Result<Self, Error> {
        let mut sketches = load_sketches(day, version, parts)?;
        let mut take = |field: &String| {
            let wanted = (field.as_str(), settings.key_fingerprint.as_str());
            let place = sketches.iter().position(|sketch| field_and_fingerprint_of(&sketch.id) == wanted)?;
            Some(sketches.swap_remove(place).registers)
        };
        Ok(Self { day, version, registers: settings.unique.iter().map(&mut take).collect() })
    }
}

impl PackedDay {
    fn new(version: u64, quarters: &Quarters) -> Self {
        let mut bytes = Vec::new();
        put_quarters(quarters, &mut bytes);
        Self { version, bytes: bytes.into() }
    }

    fn quarters(&self) -> Quarters {
        read_quarters(&mut Reader::bare(&self.bytes)).expect("they were packed by `new`")
    }
}

fn tables_changed(known: Option<&Piece>, manifest: &Manifest) -> bool {
    known.is_none_or(|piece| piece.progress.is_none() || piece.manifest.tables != manifest.tables)
}

/// Days whose summary is not the one that is known, with its version.
fn changed_days(known: Option<&Piece>, manifest: &Manifest) -> impl Iterator<Item = (Day, u64)> {
    let known_version = move |day| known.and_then(|piece| piece.days.get(&day)).map(|packed| packed.version);
    manifest.days.versions.iter().copied().filter(move |(day, version)| known_version(*day) != Some(*version))
}
