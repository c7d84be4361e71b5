//! What the pump asks of the asynchronous side, and what it is told.
//!
//! Owns the vocabulary between the two. Neither side waits for the other while it can work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use insights::state::Scope;
use insights::store::{Flush, Parts, Token};

use super::lease::LeaseId;
use super::run::Run;
use crate::client::Commit;
use crate::protocol::start::Halt;

/// What the pump asks for.
pub(crate) enum Request {
    /// Find out where these partitions stand.
    Load(Vec<LeaseId>),
    /// Fetch parts of a partition's state, as of a token.
    LoadScopes(LeaseId, Token, Vec<Scope>),
    /// Store a partition's state.
    Flush(LeaseId, Box<Flush>, Origin),
    /// Find transactions that were never ended, for the producer made at this moment.
    FindLeftOpen(Instant),
    /// Tell what this worker holds once every partition has an owner; asked at this moment.
    AwaitOwners(Instant),
    /// Find out from which of these offsets no record comes although there is one.
    CheckStalled(Vec<(LeaseId, i64)>),
    /// Find the end of the batch at this offset, which the client cannot read.
    FindReadable(LeaseId, i64),
    /// Tell when one of these tokens is not the stored one.
    CheckTokens(Vec<(LeaseId, Token)>),
    /// Report this worker.
    Report(Report),
    /// Publish and print the merged insights.
    Print,
}

/// What the pump is told.
pub(crate) enum Event {
    /// A partition can be worked on.
    Loaded(LeaseId, Box<Run>),
    /// A partition cannot go on; it is looked at again every few seconds.
    Halted(LeaseId, Halt),
    /// What the producer that was made at this moment must end before it begins.
    LeftOpen(Instant, LeftOpen),
    /// Every partition has an owner, and this worker these; asked at that moment.
    Owned(Instant, BTreeSet<i32>),
    /// Parts of a partition's state.
    Scopes(LeaseId, BTreeMap<Scope, Parts>),
    /// No record comes from this offset.
    Stalled(LeaseId, i64),
    /// All of what was asked by [`Request::CheckStalled`] is told.
    CheckedStalled,
    /// What cannot be read at the first offset ends at the second.
    Readable(LeaseId, i64, i64),
    /// A flush is stored.
    Flushed(LeaseId, Token),
    /// Another token is stored than this worker believes.
    Conflict(LeaseId, Cause),
    /// Nothing can go on.
    Fatal(crate::exit::Failure),
    /// Drain and stop.
    Stop,
}

/// What a flush comes from.
pub(crate) struct Origin {
    /// The timestamp of its last record in milliseconds; -1 when unknown.
    pub(crate) timestamp_ms: i64,
    /// The span that handled the latest batch.
    pub(crate) trace: opentelemetry::Context,
}

/// Where transactions are open that are not over soon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOpen {
    /// Partitions of the output topic.
    pub(crate) outputs: Vec<i32>,
    /// Partitions of the dead-letter topic.
    pub(crate) dead_letters: Vec<i32>,
    /// The group's offsets.
    pub(crate) offsets: bool,
    /// What is committed before these are ended: a broker may have ended them in part, so that the partitions of which they hold
    /// records begin again with the first of these.
    pub(crate) restarts: Vec<Commit>,
}

impl LeftOpen {
    /// Whether nothing is open.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How another token was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A flush was refused.
    Flush,
    /// A load or a check found it.
    Check,
}

/// What a worker says of itself every five seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Source records a second since the last report.
    pub(crate) records_per_second: f64,
    /// Since when the pump runs, in milliseconds since 1970.
    pub(crate) since_ms: i64,
    /// Share of the time in which the pump worked or waited for its producer, 0 to 1.
    pub(crate) busy: f64,
    /// Share of the time in which it waited for its producer, or for Redis with all partitions paused, 0 to 1.
    pub(crate) blocked: f64,
    /// Next offset and Kafka timestamp (milliseconds, -1 unknown) of the last counted record, by partition.
    pub(crate) positions: BTreeMap<i32, (i64, i64)>,
}
