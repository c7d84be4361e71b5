//! Bytes of parts: varints, texts, and the header that every part begins with.
//!
//! Owns bounds-checked reading. It never trusts a length that it reads, and never panics.

use super::{Error, PartName, Scope};

/// What is wrong with the bytes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end in the middle of a value.
    #[error("it ends too early")]
    Truncated,
    /// A number is too large for its place.
    #[error("a number is out of range")]
    OutOfRange,
    /// Names or values are not in their only valid order, or do not belong here.
    #[error("its entries are out of order")]
    OutOfOrder,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Another version of Rollcall wrote it.
    #[error("its format is {0}, which this version does not know")]
    Format(u8),
    /// There are bytes behind the last value.
    #[error("there are bytes behind its end")]
    TrailingBytes,
}

/// Reads values one after the other.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins behind the header, and gives the part's version.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<(Self, u64), Malformed> {
        let mut reader = Self::bare(bytes);
        let format = reader.byte()?;
        if format != FORMAT {
            return Err(Malformed::Format(format));
        }
        let version = reader.number()?;
        Ok((reader, version))
    }

    /// Begins at the first byte, of bytes without a header.
    pub(crate) fn bare(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next unsigned number.
    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed::OutOfRange);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::OutOfRange)
    }

    /// The next number, when it is below `limit`.
    pub(crate) fn number_below(&mut self, limit: usize) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).ok().filter(|number| *number < limit).ok_or(Malformed::OutOfRange)
    }

    /// The next signed number.
    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// The next version of a part, none where there is no part.
    pub(crate) fn version(&mut self) -> Result<Option<u64>, Malformed> {
        Ok(self.number()?.checked_sub(1))
    }

    /// The next `length` bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed::OutOfRange)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed::NotUtf8)
    }

    /// Whether all was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Makes sure that all was read.
    pub(crate) fn close(self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed::TrailingBytes) }
    }
}

/// Begins a part.
pub(crate) fn begin(version: u64) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    put_number(&mut bytes, version);
    bytes
}

/// Writes an unsigned number, seven bits a byte, the lowest first.
pub(crate) fn put_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

/// Writes a length or an index.
pub(crate) fn put_length(bytes: &mut Vec<u8>, length: usize) {
    put_number(bytes, length as u64);
}

/// Writes a signed number, small ones of both signs in few bytes.
pub(crate) fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put_number(bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Writes the version of a part; none where there is no part.
pub(crate) fn put_version(bytes: &mut Vec<u8>, version: Option<u64>) {
    put_number(bytes, version.map_or(0, |version| version.saturating_add(1)));
}

/// Writes a text.
pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Turns what is wrong with a part into an error that names the part.
pub(crate) fn in_part(scope: Scope, part: &str) -> impl Fn(Malformed) -> Error {
    move |source| Error::Malformed { scope, part: PartName::from(part), source }
}

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back_as_they_went(number: u64, signed: i64, version in proptest::option::of(0..u64::MAX)) {
            let mut bytes = begin(7);
            put_number(&mut bytes, number);
            put_signed(&mut bytes, signed);
            put_version(&mut bytes, version);
            let (mut reader, header) = Reader::open(&bytes).unwrap();
            prop_assert_eq!(header, 7);
            prop_assert_eq!(reader.number().unwrap(), number);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            prop_assert_eq!(reader.version().unwrap(), version);
            prop_assert_eq!(reader.close(), Ok(()));
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut reader = Reader::bare(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
        assert_eq!(reader.number(), Err(Malformed::OutOfRange));
    }

    #[test]
    fn a_text_longer_than_its_bytes_is_refused() {
        assert_eq!(Reader::bare(&[5, b'a']).text(), Err(Malformed::Truncated));
    }
}
