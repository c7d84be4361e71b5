//! The shape of recent documents: what stood between their values.
//!
//! Owns a guess that saves most of a scan: records of one producer look alike, so that names, colons and commas need only
//! be compared with the last ones. It never guesses a value, and a wrong guess only costs the comparison.

use super::json::{byte, skip_space};

/// What stands before a value: from the comma behind the value before it (for the first one, from the name) to its first
/// byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// The configured field that the name means.
    pub(super) field: Option<usize>,
    /// Where the name begins.
    pub(super) name_start: usize,
    /// Where the value begins.
    pub(super) value_start: usize,
}

/// The heads of the first members of recent documents, by their number.
#[derive(Debug, Default)]
pub(super) struct Shape {
    plan_id: u64,
    known: Vec<Known>,
}

/// The bytes of a head that was read before, and what they mean. They hold everywhere but at another first member.
#[derive(Debug)]
struct Known {
    /// With the quote behind it, when the value was a string.
    text: Vec<u8>,
    field: Option<usize>,
    name_offset: usize,
}

impl Shape {
    /// Forgets all when it was learned under another plan: names mean other fields then.
    pub(super) fn belong_to(&mut self, plan_id: u64) {
        if self.plan_id != plan_id {
            self.plan_id = plan_id;
            self.known.clear();
        }
    }

    /// The head of the member of this number when it stands at `at`, byte for byte, as it did in an earlier document.
    #[inline]
    pub(super) fn recall(&self, bytes: &[u8], at: usize, number: usize) -> Option<Head> {
        let known = self.known.get(number)?;
        let end = at + known.text.len();
        if !is_same(bytes.get(at..end)?, &known.text) {
            return None;
        }
        let value_start = if known.text.ends_with(b"\"") {
            end - 1
        } else if skip_space(bytes, end) == end {
            end
        } else {
            // More white space than last time makes a longer head.
            return None;
        };
        Some(Head { field: known.field, name_start: at + known.name_offset, value_start })
    }

    /// Remembers the head of the member of this number, which begins at `at`.
    pub(super) fn learn(&mut self, bytes: &[u8], at: usize, number: usize, head: Head) {
        let quote = usize::from(byte(bytes, head.value_start) == b'"');
        let text = bytes.get(at..head.value_start + quote).unwrap_or_default();
        if number > self.known.len() || number >= MEMBERS_MAX || text.len() > HEAD_BYTES_MAX {
            return;
        }
        if number == self.known.len() {
            self.known.push(Known { text: Vec::new(), field: None, name_offset: 0 });
        }
        if let Some(known) = self.known.get_mut(number) {
            known.text.clear();
            known.text.extend_from_slice(text);
            known.field = head.field;
            known.name_offset = head.name_start - at;
        }
    }
}

/// Whether two texts of one length are the same. They are too short for the call that comparing slices is: both ends cover
/// the middle.
#[inline]
fn is_same(text: &[u8], other: &[u8]) -> bool {
    match text.len() {
        8..=16 => has_same_ends::<8>(text, other),
        17..=32 => has_same_ends::<16>(text, other),
        _ => text == other,
    }
}

#[inline]
fn has_same_ends<const N: usize>(text: &[u8], other: &[u8]) -> bool {
    text.first_chunk::<N>() == other.first_chunk() && text.last_chunk::<N>() == other.last_chunk()
}

/// More members than any sensible login has.
const MEMBERS_MAX: usize = 64;

/// Longer than any sensible name.
const HEAD_BYTES_MAX: usize = 256;
