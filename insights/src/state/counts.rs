//! The pair that everything is counted in: logins, and those of them that passed the filter.
//!
//! Owns their arithmetic. It never wraps around: hostile or damaged counts stay at the largest number.

use super::codec::{Malformed, Reader, put_number};

/// Logins, and those of them that passed the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All logins.
    pub logins: u64,
    /// Logins that passed the filter.
    pub processed: u64,
}

impl Counts {
    /// One login.
    pub fn one(processed: bool) -> Self {
        Self {
            logins: 1,
            processed: u64::from(processed),
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.logins = self.logins.saturating_add(other.logins);
        self.processed = self.processed.saturating_add(other.processed);
    }

    /// Takes others away.
    pub fn subtract(&mut self, other: Self) {
        self.logins = self.logins.saturating_sub(other.logins);
        self.processed = self.processed.saturating_sub(other.processed);
    }

    /// Whether nothing was counted.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn put(self, bytes: &mut Vec<u8>) {
        put_number(bytes, self.logins);
        put_number(bytes, self.processed);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            logins: reader.number()?,
            processed: reader.number()?,
        })
    }
}
