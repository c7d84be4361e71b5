//! What one partition has counted, in parts, and how it changes record by record.
//!
//! Owns the counts and their bounds. It never merges batches of one partition (the fold is strict), never does I/O, and
//! its part blobs know nothing of Redis.

mod part;

pub use self::part::{PartName, Scope, Wanted, WantedParts};
