//! The names of the parts of a partition's state: what is loaded and stored together.

use std::fmt;

use crate::time::Day;

/// A group of parts that is loaded, and let go, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Counts over all time.
    AllTime,
    /// Counts of one UTC day.
    Day(Day),
    /// Distinct values of one day of the pipeline's time zone.
    Distinct(Day),
}

impl fmt::Display for Scope {
    /// Writes `all`, `day:YYYY-MM-DD` or `distinct:YYYY-MM-DD`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllTime => formatter.write_str("all"),
            Self::Day(day) => write!(formatter, "day:{day}"),
            Self::Distinct(day) => write!(formatter, "distinct:{day}"),
        }
    }
}

/// The name of a part within its scope, for example `summary`.
pub type PartName = String;

/// Parts of one scope that a load asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The scope.
    pub scope: Scope,
    /// Which of its parts.
    pub parts: WantedParts,
}

/// Which parts of a scope are wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedParts {
    /// Every part.
    All,
    /// One part.
    Only(PartName),
}
