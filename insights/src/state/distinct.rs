//! Distinct values of one day: a sketch for each `unique` field.
//!
//! Owns the parts of such a day. It never keeps a value.

use super::chunk::{self, encode_registers, read_registers, sketch_part};
use super::codec;
use super::part::{Changes, PartName, SUMMARY, Scope};
use super::sketch::{CHUNKS, REGISTERS_PER_CHUNK, Registers};
use super::{Error, Layout, Parts};
use crate::time::Day;

/// The loaded sketches of one day.
#[derive(Debug)]
pub(super) struct DistinctState {
    pub(super) sketches: Vec<Sketch>,
    pub(super) dirty: bool,
}

/// One field's sketch and what is known of its chunks.
#[derive(Debug)]
pub(crate) struct Sketch {
    pub(crate) id: String,
    pub(crate) registers: Registers,
    stored: [Option<u64>; CHUNKS],
    dirty: [bool; CHUNKS],
}

impl DistinctState {
    /// A day without values.
    pub(super) fn new(layout: &Layout) -> Self {
        Self { sketches: layout.unique.iter().map(|unique| Sketch::new(&unique.id)).collect(), dirty: true }
    }

    /// Reads stored sketches. Those that the layout does not have stay in it until it is aligned.
    pub(super) fn load(day: Day, version: u64, parts: &Parts) -> Result<Self, Error> {
        Ok(Self { sketches: load_sketches(day, version, parts)?, dirty: false })
    }

    /// Adds the hash of a value to a sketch.
    #[inline]
    pub(super) fn add(&mut self, index: usize, hash: u64) {
        let Some(sketch) = self.sketches.get_mut(index) else {
            return;
        };
        if let Some(register) = sketch.registers.add(hash)
            && let Some(dirty) = sketch.dirty.get_mut(register / REGISTERS_PER_CHUNK)
        {
            *dirty = true;
            self.dirty = true;
        }
    }

    /// Adds the changed parts, the summary last, and is clean then.
    pub(super) fn take_changes(&mut self, day: Day, version: u64, changes: &mut Changes) {
        let scope = Scope::Distinct(day);
        for sketch in &mut self.sketches {
            sketch.take_changes(scope, version, changes);
        }
        let mut summary = codec::begin(version);
        codec::put_length(&mut summary, self.sketches.len());
        for sketch in &self.sketches {
            codec::put_text(&mut summary, &sketch.id);
            sketch.stored.iter().for_each(|stored| codec::put_version(&mut summary, *stored));
        }
        changes.puts.push((scope, PartName::from(SUMMARY), summary));
        self.dirty = false;
    }
}

impl Sketch {
    /// An empty sketch.
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            registers: Registers::default(),
            stored: [None; CHUNKS],
            dirty: [false; CHUNKS],
        }
    }

    /// The parts that are stored.
    pub(super) fn part_names(&self) -> impl Iterator<Item = PartName> {
        let stored = self.stored.iter().enumerate().filter(|(_, version)| version.is_some());
        stored.map(|(index, _)| sketch_part(&self.id, index))
    }

    #[cfg(test)]
    pub(super) fn touch_all(&mut self) {
        for (dirty, registers) in self.dirty.iter_mut().zip(self.registers.chunks()) {
            *dirty = registers.iter().any(|register| *register != 0);
        }
    }

    fn take_changes(&mut self, scope: Scope, version: u64, changes: &mut Changes) {
        let chunks = self.registers.chunks().zip(&mut self.dirty).zip(&mut self.stored);
        for (index, ((registers, dirty), stored)) in chunks.enumerate() {
            if std::mem::take(dirty) {
                *stored = Some(version);
                changes.puts.push((
                    scope,
                    sketch_part(&self.id, index),
                    encode_registers(version, registers),
                ));
            }
        }
    }
}

/// Reads all sketches of a stored day.
pub(crate) fn load_sketches(day: Day, version: u64, parts: &Parts) -> Result<Vec<Sketch>, Error> {
    let scope = Scope::Distinct(day);
    let malformed = codec::in_part(scope, SUMMARY);
    let mut reader = chunk::find_part(scope, SUMMARY, version, parts)?;
    let mut sketches = Vec::new();
    for _ in 0..reader.number().map_err(&malformed)? {
        let mut sketch = Sketch::new(reader.text().map_err(&malformed)?);
        for stored in &mut sketch.stored {
            *stored = reader.version().map_err(&malformed)?;
        }
        let chunks = sketch.registers.chunks_mut().zip(&sketch.stored);
        for (index, (registers, stored)) in chunks.enumerate() {
            let Some(version) = stored else { continue };
            let name = sketch_part(&sketch.id, index);
            let reader = chunk::find_part(scope, &name, *version, parts)?;
            read_registers(reader, registers).map_err(codec::in_part(scope, &name))?;
        }
        sketches.push(sketch);
    }
    reader.close().map_err(&malformed)?;
    Ok(sketches)
}
