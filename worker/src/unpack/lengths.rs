//! What a packed batch takes when it is unpacked, told without unpacking it.
//!
//! Never less than the codec's own library would write. What makes no sense ends the count: there that library stops, too.

/// An LZ4 frame.
pub(super) fn lz4(frame: &[u8]) -> usize {
    lz4_frame(&mut Bytes(frame)).unwrap_or(0)
}

fn lz4_frame(rest: &mut Bytes<'_>) -> Option<usize> {
    rest.take(LZ4_MAGIC_BYTES)?;
    let flags = rest.byte()?;
    rest.byte()?;
    // librdkafka makes room for what the frame says of itself.
    let mut length = match flags & LZ4_HAS_SIZE {
        0 => 0,
        _ => usize::try_from(u64::from_le_bytes(rest.array()?)).unwrap_or(usize::MAX),
    };
    rest.take(if flags & LZ4_HAS_DICTIONARY == 0 { 1 } else { 5 })?;
    let mut written = 0_usize;
    while let Some(size) = rest.array().map(u32::from_le_bytes) {
        let bytes = usize::try_from(size & !LZ4_IS_PLAIN).unwrap_or(usize::MAX);
        if bytes == 0 {
            break;
        }
        let block = rest.up_to(bytes);
        let unpacked = if size & LZ4_IS_PLAIN == 0 { lz4_block(block) } else { block.len() };
        written = written.saturating_add(unpacked);
        rest.up_to(if flags & LZ4_HAS_CHECKSUMS == 0 { 0 } else { 4 });
    }
    length = length.max(written);
    Some(length)
}

fn lz4_block(block: &[u8]) -> usize {
    let mut rest = Bytes(block);
    let mut length = 0_usize;
    while let Some(token) = rest.byte() {
        let Some(literals) = lz4_run(&mut rest, token >> 4) else { break };
        length = length.saturating_add(rest.up_to(literals).len());
        if rest.take(LZ4_DISTANCE_BYTES).is_none() {
            break;
        }
        let Some(copied) = lz4_run(&mut rest, token & LZ4_LONG) else { break };
        length = length.saturating_add(copied).saturating_add(LZ4_COPIED_MIN);
    }
    length
}

fn lz4_run(rest: &mut Bytes<'_>, short: u8) -> Option<usize> {
    let mut length = usize::from(short);
    if short == LZ4_LONG {
        loop {
            let more = rest.byte()?;
            length = length.saturating_add(more.into());
            if more != u8::MAX {
                break;
            }
        }
    }
    Some(length)
}

/// Snappy: it says so itself. None where it makes no sense.
pub(super) fn snappy(block: &[u8]) -> Option<usize> {
    usize::try_from(Bytes(block).varint()?).ok()
}

/// Snappy as Java frames it, behind the frame's header: blocks that each have their length before them.
pub(super) fn snappy_java(blocks: &[u8]) -> usize {
    let mut rest = Bytes(blocks);
    let mut length = 0_usize;
    while let Some(bytes) = rest.array().map(u32::from_be_bytes) {
        let block = rest.up_to(usize::try_from(bytes).unwrap_or(usize::MAX));
        length = length.saturating_add(snappy(block).unwrap_or(0));
    }
    length
}

/// How many records an unpacked batch holds.
pub(super) fn records(unpacked: &[u8]) -> usize {
    let mut rest = Bytes(unpacked);
    let mut count = 0;
    // Zigzag: a length is twice the number.
    while let Some(length) = rest.varint().and_then(|twice| usize::try_from(twice / 2).ok()) {
        if rest.take(length).is_none() {
            break;
        }
        count += 1;
    }
    count
}

/// Bytes that are read from their front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn up_to(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

const LZ4_MAGIC_BYTES: usize = 4;
const LZ4_HAS_DICTIONARY: u8 = 1;
const LZ4_HAS_SIZE: u8 = 1 << 3;
const LZ4_HAS_CHECKSUMS: u8 = 1 << 4;
const LZ4_IS_PLAIN: u32 = 1 << 31;
const LZ4_LONG: u8 = 15;
const LZ4_DISTANCE_BYTES: usize = 2;
const LZ4_COPIED_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Header, then blocks; each is (its four bytes of size and flag, its bytes).
    fn frame(flags: u8, blocks: &[(u32, &[u8])]) -> Vec<u8> {
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18, flags, 0x40, 0];
        for (size, bytes) in blocks {
            frame.extend(size.to_le_bytes());
            frame.extend(*bytes);
        }
        frame.extend([0; 4]);
        frame
    }

    #[test]
    fn an_lz4_frame_takes_its_literals_and_copies() {
        // Three literals, four and 15 + 255 + 2 copied; two literals at the end.
        let block = [0x3f, b'a', b'b', b'c', 1, 0, 255, 2, 0x20, b'x', b'y'];
        let packed = (11, block.as_slice());
        assert_eq!(lz4(&frame(0x60, &[packed])), 3 + 4 + 15 + 255 + 2 + 2);
        let plain = (5 | LZ4_IS_PLAIN, b"plain".as_slice());
        assert_eq!(lz4(&frame(0x60, &[packed, plain, packed])), 2 * 281 + 5);
        // A block that ends too early counts with what it says.
        assert_eq!(lz4(&frame(0x60, &[(1000, &block)])), 281 + 4);
        assert_eq!(lz4(&[]), 0);
    }

    #[test]
    fn an_lz4_frame_takes_what_it_says_of_itself() {
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x68, 0x40];
        frame.extend(400_000_000_u64.to_le_bytes());
        frame.extend([0; 5]);
        assert_eq!(lz4(&frame), 400_000_000);
    }

    #[test]
    fn snappy_says_what_it_takes() {
        assert_eq!(snappy(&[0xac, 0x02, 1]), Some(300));
        assert_eq!(snappy(&[0xff]), None);
        let blocks = [0, 0, 0, 3, 0xac, 0x02, 1, 0, 0, 0, 2, 0x05, 0];
        assert_eq!(snappy_java(&blocks), 305);
        assert_eq!(snappy_java(&[0, 0, 1]), 0);
    }

    #[test]
    fn records_are_counted_to_where_they_make_no_sense() {
        assert_eq!(records(&[6, 0, 0, 0, 2, 9, 0, 4, 1]), 3);
        assert_eq!(records(&[]), 0);
    }
}
