//! The names of the parts of a partition's state: what is loaded and stored together, and what a flush changes.
//!
//! Owns the vocabulary between the state and its stores. It never looks into a part.

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

/// The part that holds a day's totals and the versions of its scope's other parts.
pub const SUMMARY: &str = "summary";

/// Parts of one scope that a reader needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The scope.
    pub scope: Scope,
    /// Which of its parts.
    pub parts: WantedParts,
}

/// Which parts of a scope are needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedParts {
    /// All that are stored.
    All,
    /// The one of this name.
    Only(PartName),
}

/// What one flush writes: everything that changed since the last one, as absolute values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The manifest, for the head.
    pub manifest: Vec<u8>,
    /// Scopes that are removed as a whole, before `puts`.
    pub drops: Vec<Scope>,
    /// Parts that are written.
    pub puts: Vec<(Scope, PartName, Vec<u8>)>,
    /// Single parts that are removed. None of them is in `puts`.
    pub deletes: Vec<(Scope, PartName)>,
}
