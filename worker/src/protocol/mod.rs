//! The protocol's decisions: pure functions of what was read, without a clock, a broker or a store.
//!
//! Owns what a worker believes about a partition's progress in each sink and what follows from it. It never talks to
//! Kafka or Redis.

pub(crate) mod commit;
pub(crate) mod delivery;
#[cfg(test)]
mod model;
pub(crate) mod positions;
pub(crate) mod progress;
pub(crate) mod start;
