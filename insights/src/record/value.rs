//! A dimension's value: what a login says, and how it is folded before it is counted.
//!
//! Owns folding, and what stands for values that are not counted as they are. It never counts.

use std::borrow::Cow;

use crate::spec::Fold;

/// What a login says of a dimension.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    text: &'a str,
    fold: Fold,
}

/// As what a value is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is absent or empty.
    Unknown,
    /// It could be mistaken for one of our own.
    Other,
    /// Itself, folded.
    Named,
}

/// The first and the last eight bytes of a text, or four, or fewer: with its length, all of it up to sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends(u64, u64);

impl<'a> Value<'a> {
    /// A text, empty when there is none.
    #[inline]
    pub fn new(text: &'a str, fold: Fold) -> Self {
        Self { text, fold }
    }

    /// The text as it came.
    #[inline]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// As what it is counted.
    #[inline]
    pub fn role(self) -> Role {
        match self.text.as_bytes().first() {
            None => Role::Unknown,
            Some(b'~') => Role::Other,
            Some(_) => Role::Named,
        }
    }

    /// The name that it is counted under.
    pub fn name(self) -> Cow<'a, str> {
        match (self.role(), self.fold) {
            (Role::Unknown, _) => UNKNOWN.into(),
            (Role::Other, _) => OTHER.into(),
            (Role::Named, Fold::Lower) if self.text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                self.text.to_ascii_lowercase().into()
            }
            (Role::Named, Fold::Upper) if self.text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                self.text.to_ascii_uppercase().into()
            }
            (Role::Named, _) => self.text.into(),
        }
    }

    /// Both ends of its text, folded.
    #[inline]
    pub fn ends(self) -> Ends {
        Ends::of(self.text).folded(self.fold)
    }
}

impl Ends {
    /// The longest text, in bytes, of which they are all.
    pub const BYTES: usize = 16;

    /// Both ends of a text.
    #[inline]
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Self(u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        }
        if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Self(u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into());
        }
        // First, middle and last of one to three.
        let byte = |index: usize| bytes.get(index).copied().map_or(0, u64::from);
        Self(byte(0) | byte(bytes.len() / 2) << 8 | byte(bytes.len().wrapping_sub(1)) << 16, 0)
    }

    /// Those of the folded text.
    #[inline]
    pub(super) fn folded(self, fold: Fold) -> Self {
        let Self(head, tail) = self;
        match fold {
            Fold::None => self,
            Fold::Lower => Self(to_lower(head), to_lower(tail)),
            Fold::Upper => Self(to_upper(head), to_upper(tail)),
        }
    }
}

/// Eight bytes at once, the ASCII letters among them in lower case.
#[inline]
fn to_lower(bytes: u64) -> u64 {
    bytes | are_between(bytes, b'A', b'Z') >> 2
}

/// Eight bytes at once, the ASCII letters among them in upper case.
#[inline]
fn to_upper(bytes: u64) -> u64 {
    bytes & !(are_between(bytes, b'a', b'z') >> 2)
}

/// The highest bit of each of eight bytes that is in this range of ASCII. The sums stay within their bytes, as in
/// <https://graphics.stanford.edu/~seander/bithacks.html#HasBetweenInWord>.
#[inline]
fn are_between(bytes: u64, first: u8, last: u8) -> u64 {
    let low_bits = bytes & (EACH * 0x7f);
    let from_first = low_bits + EACH * u64::from(0x80 - first);
    let behind_last = low_bits + EACH * u64::from(0x7f - last);
    from_first & !behind_last & !bytes & (EACH * 0x80)
}

/// The value of logins whose value is absent or empty.
pub const UNKNOWN: &str = "~unknown";

/// The value that stands for all that a table does not name, and for a login's own that could be mistaken for one of ours.
pub const OTHER: &str = "~other";

/// A one in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ends_are_folded_as_the_text_is(text in ".{0,20}") {
            for fold in [Fold::None, Fold::Lower, Fold::Upper] {
                let value = Value::new(&text, fold);
                if value.role() == Role::Named {
                    prop_assert_eq!(value.ends(), Ends::of(&value.name()));
                }
            }
        }
    }

    #[test]
    fn only_ascii_letters_are_folded() {
        for byte in 0..=u8::MAX {
            let bytes = EACH * u64::from(byte);
            assert_eq!(to_lower(bytes), EACH * u64::from(byte.to_ascii_lowercase()), "{byte:#x}");
            assert_eq!(to_upper(bytes), EACH * u64::from(byte.to_ascii_uppercase()), "{byte:#x}");
        }
    }

    #[test]
    fn two_ends_and_a_length_are_all_of_a_short_text() {
        let texts = ["", "a", "b", "ab", "aba", "abaa", "abaaa", "abcdefgh", "abcdefghi", "abcdefghabcdefgh"];
        for (index, text) in texts.iter().enumerate() {
            for other in &texts[..index] {
                assert_ne!(
                    (text.len(), Ends::of(text)),
                    (other.len(), Ends::of(other)),
                    "{text} and {other}"
                );
            }
        }
    }
}
