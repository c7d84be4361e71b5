//! What is seen of a pipeline at one moment.
//!
//! Owns the measurements as they come, with their times. It draws no conclusions.

use std::collections::VecDeque;

/// Everything that a decision looks at.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is seen on its own, and none follows from another")]
pub struct Observation<'a> {
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// Whether the resource says `desiredState: Paused`.
    pub paused: bool,
    /// `spec.replicas`, which only Manual and External look at.
    pub requested: Option<u32>,
    /// The source topic's partitions, as its metadata says; none while that was never read.
    pub partitions: Option<u32>,
    /// Where a group without a commit begins: at the oldest record, or (false) at the ends.
    pub from_earliest: bool,
    /// Log ends and committed offsets of the last minutes.
    pub offsets: &'a History,
    /// The workers' newest reports.
    pub workers: &'a [WorkerReport],
    /// Whether the consumer group is stable and has as many members as workers are ready.
    pub group_stable: bool,
    /// Workers that are wanted now: the Deployment's `spec.replicas`; 0 when there is none.
    pub replicas: u32,
    /// Workers that are ready.
    pub ready: u32,
    /// Whether a new version or configuration of the workers is being rolled out.
    pub rollout: bool,
}

/// What one worker says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerReport {
    /// When it said so, in milliseconds since 1970.
    pub at_ms: i64,
    /// Since when it runs, in milliseconds since 1970; none when unknown.
    pub since_ms: Option<i64>,
    /// Source records a second.
    pub rate: f64,
    /// Share of the time in which it worked, 0 to 1.
    pub busy: f64,
    /// Share of the time in which it waited for Redis or the producer, 0 to 1; none when unknown.
    pub blocked: Option<f64>,
    /// The partitions that it acts for.
    pub partitions: Vec<i32>,
}

/// Log ends and committed offsets, all partitions in one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Offsets {
    /// When they were asked for, in milliseconds since 1970.
    pub at_ms: i64,
    /// One entry for each partition that answered; a missing one makes the lag unknown.
    pub partitions: Vec<PartitionOffsets>,
}

/// One partition's offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: i32,
    /// The last stable offset: the end for a reader of committed records.
    pub end: i64,
    /// The oldest offset that the log still has.
    pub start: i64,
    /// The group's committed offset.
    pub committed: Option<i64>,
}

/// The offsets of the last minutes, oldest first: what rates are made from. It lives in memory; after a restart of the
/// operator it is full enough again within half a minute, and until then nothing is decided on it.
#[derive(Clone, Debug, Default)]
pub struct History {
    looks: VecDeque<Offsets>,
}

impl History {
    /// Adds a look that succeeded. One that is not newer than the last is left out.
    pub fn push(&mut self, mut offsets: Offsets) {
        if self.looks.back().is_some_and(|last| last.at_ms >= offsets.at_ms) {
            return;
        }
        offsets.partitions.sort_unstable_by_key(|partition| partition.partition);
        let at_ms = offsets.at_ms;
        self.looks.push_back(offsets);
        // One look beyond the time that is kept stays: after an outage, the ends before it give the rate at once.
        let is_old = |look: &Offsets| at_ms - look.at_ms > KEPT_MS;
        while self.looks.get(1).is_some_and(is_old) || self.looks.len() > KEPT_LOOKS {
            self.looks.pop_front();
        }
    }

    /// The newest look.
    pub fn latest(&self) -> Option<&Offsets> {
        self.looks.back()
    }

    /// All looks, oldest first.
    pub(super) fn looks(&self) -> impl DoubleEndedIterator<Item = &Offsets> {
        self.looks.iter()
    }
}

/// The longest time over which a rate is taken, and a look more.
const KEPT_MS: i64 = 130_000;
/// A bound for those who look more often than every second.
const KEPT_LOOKS: usize = 160;
