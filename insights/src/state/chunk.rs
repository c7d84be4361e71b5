//! How tables and sketches are stored in chunks, and the heads by which a parent part knows their versions.
//!
//! Owns the bytes of chunks. It never decides what is counted.

use super::codec::{self, Malformed, Reader};
use super::counts::Counts;
use super::part::{PartName, Scope};
use super::row::place_of;
use super::sketch::{REGISTER_MAX, REGISTERS_PER_CHUNK};
use super::table::{CHUNKS_MAX, chunk_of};
use super::{Error, Parts};

/// What a parent knows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableHead {
    /// Under which identity it is stored.
    pub(crate) id: String,
    /// Logins of values that it does not name.
    pub(crate) other: Counts,
    /// The version of each chunk; none: it is empty. Their number is a power of two.
    pub(crate) chunks: Vec<Option<u64>>,
}

impl TableHead {
    pub(crate) fn put(&self, bytes: &mut Vec<u8>) {
        codec::put_text(bytes, &self.id);
        self.other.put(bytes);
        codec::put_number(bytes, u64::from(self.chunks.len().trailing_zeros()));
        for version in &self.chunks {
            codec::put_version(bytes, *version);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = reader.text()?.to_owned();
        let other = Counts::read(reader)?;
        let bits = reader.number_below(CHUNKS_MAX.trailing_zeros() as usize + 1)?;
        let chunks = (0..1_usize << bits).map(|_| reader.version()).collect::<Result<_, _>>()?;
        Ok(Self { id, other, chunks })
    }

    /// Reads a list of heads.
    pub(crate) fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Self>, Malformed> {
        let count = reader.number()?;
        (0..count).map(|_| Self::read(reader)).collect()
    }

    /// Writes a list of heads.
    pub(crate) fn put_all(heads: &[Self], bytes: &mut Vec<u8>) {
        codec::put_length(bytes, heads.len());
        for head in heads {
            head.put(bytes);
        }
    }

    /// The parts that are stored.
    pub(crate) fn part_names(&self) -> impl Iterator<Item = PartName> {
        let stored = self.chunks.iter().enumerate().filter(|(_, version)| version.is_some());
        stored.map(|(index, _)| table_part(&self.id, index))
    }
}

/// The name of a table's chunk.
pub(crate) fn table_part(id: &str, chunk: usize) -> PartName {
    format!("table/{id}/{chunk}")
}

/// The name of a sketch's chunk.
pub(crate) fn sketch_part(id: &str, chunk: usize) -> PartName {
    format!("sketch/{id}/{chunk}")
}

/// Finds a part, and makes sure that it is of the expected version.
pub(crate) fn find_part<'a>(
    scope: Scope,
    name: &str,
    expected: u64,
    parts: &'a Parts,
) -> Result<Reader<'a>, Error> {
    let bytes = parts.get(name).ok_or_else(|| Error::Missing { scope, part: name.to_owned() })?;
    let (reader, found) = Reader::open(bytes).map_err(codec::in_part(scope, name))?;
    if found != expected {
        return Err(Error::OtherVersion { scope, part: name.to_owned(), expected, found });
    }
    Ok(reader)
}

/// Reads all rows of a stored table: place, value, counts.
pub(crate) fn read_table(
    head: &TableHead,
    scope: Scope,
    parts: &Parts,
    mut take: impl FnMut(u8, &str, Counts),
) -> Result<(), Error> {
    for (index, version) in head.chunks.iter().enumerate() {
        let Some(version) = version else { continue };
        let name = table_part(&head.id, index);
        let reader = find_part(scope, &name, *version, parts)?;
        read_rows(reader, index, head.chunks.len(), &mut take).map_err(codec::in_part(scope, &name))?;
    }
    Ok(())
}

/// Writes the rows of one chunk, which are sorted by value.
pub(super) fn encode_rows(version: u64, rows: &[(&str, Counts)]) -> Vec<u8> {
    let mut bytes = codec::begin(version);
    codec::put_length(&mut bytes, rows.len());
    for (value, counts) in rows {
        codec::put_text(&mut bytes, value);
        counts.put(&mut bytes);
    }
    bytes
}

fn read_rows(
    mut reader: Reader<'_>,
    index: usize,
    chunks: usize,
    take: &mut impl FnMut(u8, &str, Counts),
) -> Result<(), Malformed> {
    let mut last = None;
    for _ in 0..reader.number()? {
        let value = reader.text()?;
        let place = place_of(value);
        // Sorted and in its own chunk, a value cannot stand twice in a table.
        if last.is_some_and(|last| last >= value) || chunk_of(place, chunks) != index {
            return Err(Malformed::OutOfOrder);
        }
        last = Some(value);
        take(place, value, Counts::read(&mut reader)?);
    }
    reader.close()
}

/// Writes the registers of one chunk: those that are not zero, or all with six bits each, whichever is shorter.
pub(super) fn encode_registers(version: u64, registers: &[u8]) -> Vec<u8> {
    let mut sparse = codec::begin(version);
    sparse.push(SPARSE);
    let mut next = 0;
    for (index, register) in registers.iter().enumerate() {
        if *register != 0 {
            codec::put_length(&mut sparse, index - next);
            sparse.push(*register);
            next = index + 1;
        }
    }
    let mut dense = codec::begin(version);
    if sparse.len() <= dense.len() + 1 + DENSE_BYTES {
        return sparse;
    }
    dense.push(DENSE);
    for group in registers.chunks(4) {
        let bits = group.iter().rev().fold(0_u32, |bits, register| bits << 6 | u32::from(*register));
        dense.extend(bits.to_le_bytes().iter().take(3));
    }
    dense
}

/// Reads the registers of one chunk.
pub(super) fn read_registers(mut reader: Reader<'_>, registers: &mut [u8]) -> Result<(), Malformed> {
    match reader.byte()? {
        SPARSE => {
            let mut next = 0;
            while !reader.is_empty() {
                let index = next + reader.number_below(REGISTERS_PER_CHUNK)?;
                *registers.get_mut(index).ok_or(Malformed::OutOfRange)? = read_register(reader.byte()?)?;
                next = index + 1;
            }
        }
        DENSE => {
            for group in registers.chunks_mut(4) {
                let bytes = reader.bytes(3)?;
                let mut bits = bytes.iter().rev().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
                for register in group {
                    *register = read_register((bits & 0x3f) as u8)?;
                    bits >>= 6;
                }
            }
        }
        _ => return Err(Malformed::OutOfRange),
    }
    reader.close()
}

fn read_register(value: u8) -> Result<u8, Malformed> {
    if value > REGISTER_MAX { Err(Malformed::OutOfRange) } else { Ok(value) }
}

const SPARSE: u8 = 0;
const DENSE: u8 = 1;
const DENSE_BYTES: usize = REGISTERS_PER_CHUNK / 4 * 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn registers_come_back_as_they_went(filled in 0..=1024_usize, seed: u64) {
            let mut registers = vec![0; REGISTERS_PER_CHUNK];
            for step in 0..filled {
                let [low, high, value, ..] = xxhash_rust::xxh3::xxh3_64_with_seed(&step.to_le_bytes(), seed).to_le_bytes();
                registers[usize::from(u16::from_le_bytes([low, high])) % 1024] = value % (REGISTER_MAX + 1);
            }
            let bytes = encode_registers(9, &registers);
            prop_assert!(bytes.len() <= 3 + DENSE_BYTES);
            let mut read = vec![0; REGISTERS_PER_CHUNK];
            read_registers(Reader::open(&bytes).unwrap().0, &mut read).unwrap();
            prop_assert_eq!(read, registers);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut registers = vec![0; REGISTERS_PER_CHUNK];
            read_registers(Reader::bare(&bytes), &mut registers).ok();
            read_rows(Reader::bare(&bytes), 0, 1, &mut |_, _, _| {}).ok();
            drop(TableHead::read_all(&mut Reader::bare(&bytes)));
        }
    }

    #[test]
    fn a_value_in_the_wrong_chunk_is_refused() {
        let bytes = encode_rows(1, &[("android", Counts::one(true))]);
        let right = chunk_of(place_of("android"), 4);
        let read = |index| read_rows(Reader::open(&bytes).unwrap().0, index, 4, &mut |_, _, _| {});
        assert_eq!(read(right), Ok(()));
        assert_eq!(read((right + 1) % 4), Err(Malformed::OutOfOrder));
    }
}
