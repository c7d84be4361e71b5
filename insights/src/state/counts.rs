//! The pair that everything is counted in: logins, and those of them that passed the filter.
//!
//! Owns their arithmetic. It never wraps around: damaged counts are refused when they are read, and sums stay at the
//! largest number.

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
        Self { logins: 1, processed: u64::from(processed) }
    }

    /// Counts one more login. What is counted began below [`COUNT_MAX`], so it cannot wrap around.
    #[inline]
    pub(super) fn count(&mut self, login: Self) {
        self.logins = self.logins.wrapping_add(login.logins);
        self.processed = self.processed.wrapping_add(login.processed);
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
        let counts = Self { logins: reader.number()?, processed: reader.number()? };
        if counts.logins > COUNT_MAX || counts.processed > counts.logins {
            return Err(Malformed::OutOfRange);
        }
        Ok(counts)
    }
}

/// More than any log has records: a larger stored count is damage.
const COUNT_MAX: u64 = 1 << 62;
