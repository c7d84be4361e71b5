//! Which faults are tried together.
//!
//! Owns the budgets: each set is small enough to be walked through to its end within seconds.

use super::Event;
use super::world::{Budget, PARTITIONS};

/// A set of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    /// Redis loses data or replies, transactions are aborted, partitions move.
    Redis,
    /// A worker dies, and nobody knows what became of a commit.
    Doubt,
    /// A worker sleeps and wakes up as a zombie, and a transaction ends late.
    Sleep,
}

impl Configuration {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Redis, Self::Doubt, Self::Sleep];

    /// How many records each partition has.
    pub(super) fn records(self) -> [i64; PARTITIONS] {
        match self {
            Self::Redis | Self::Doubt => [2, 1],
            Self::Sleep => [2, 2],
        }
    }

    /// How often each fault may happen.
    pub(super) fn budget(self) -> Budget {
        let none = Budget::default();
        match self {
            Self::Redis => {
                Budget { rollbacks: 1, emptied: 1, lost_flushes: 1, refusals: 1, moves: 1, ..none }
            }
            Self::Doubt => Budget { crashes: 1, lost_commits: 1, ..none },
            Self::Sleep => Budget { zombies: 1, late_ends: 1, ..none },
        }
    }

    /// What must have happened, or nothing was tried.
    pub(super) fn events(self) -> &'static [Event] {
        match self {
            Self::Redis => {
                &[Event::Aborted, Event::FlushRefused, Event::ReplayedBelowAGate, Event::AnotherTokenFound]
            }
            Self::Doubt => &[Event::CommitInDoubt, Event::OffsetUnstable],
            Self::Sleep => &[
                Event::Aborted,
                Event::CommitFenced,
                Event::ProducerFenced,
                Event::FlushRefused,
                Event::OffsetUnstable,
            ],
        }
    }
}
