//! When a bounded run is over, and how far a worker has got.
//!
//! Owns the counts of source records. It never touches a partition.

use std::time::{Duration, Instant};

use super::Core;
use super::event::Request;
use super::lease::Phase;
use super::run::Pause;
use crate::client::Consumer;

/// When a worker stops, or prints, by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// Exactly so many source records are committed.
    pub(crate) max_messages: Option<u64>,
    /// Nothing beyond the log ends seen at the assignment is counted.
    pub(crate) until_end: bool,
    /// The merged insights are printed each time so many source records were committed.
    pub(crate) insights_every: Option<u64>,
}

impl Bounds {
    /// Whether the worker stops by itself.
    pub(crate) fn is_bounded(self) -> bool {
        self.max_messages.is_some() || self.until_end
    }
}

/// How far a worker has got.
pub(super) struct Progress {
    bounds: Bounds,
    /// Source records whose offsets were committed.
    pub(super) committed: u64,
    /// Source records that the open transaction delivers.
    taken: u64,
    reported: u64,
    next_print: Option<u64>,
    /// What must be stored before the insights are printed, by partition.
    print_at: Option<Vec<(i32, i64)>>,
    stable_since: Option<Instant>,
}

impl Progress {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            committed: 0,
            taken: 0,
            reported: 0,
            next_print: bounds.insights_every,
            print_at: None,
            stable_since: None,
        }
    }

    /// Whether one more record may be delivered.
    pub(super) fn may_take(&self) -> bool {
        self.bounds.max_messages.is_none_or(|max| self.committed + self.taken < max)
    }

    /// One more record is delivered by the open transaction.
    pub(super) fn took(&mut self) {
        self.taken += 1;
    }

    /// Whether the open transaction delivers all that is left to do.
    pub(super) fn is_exhausted(&self) -> bool {
        self.taken > 0 && !self.may_take()
    }

    pub(super) fn committed(&mut self) {
        self.committed += self.taken;
        self.taken = 0;
    }

    pub(super) fn aborted(&mut self) -> u64 {
        std::mem::take(&mut self.taken)
    }

    /// The group's assignment changed.
    pub(super) fn rebalanced(&mut self) {
        self.stable_since = Some(Instant::now());
    }

    /// Records committed since the last call.
    pub(super) fn take_reported(&mut self) -> u64 {
        let news = self.committed - self.reported;
        self.reported = self.committed;
        news
    }
}

impl Core {
    /// Whether a bounded run has done what it was to do.
    pub(super) fn is_finished(&mut self, consumer: &Consumer) -> bool {
        let bounds = self.settings.bounds;
        if bounds.max_messages.is_some_and(|max| self.progress.committed >= max) {
            return true;
        }
        if !bounds.until_end {
            return false;
        }
        if self.leases.iter().next().is_none() {
            return self.is_idle_member(consumer);
        }
        let at_end = self.leases.iter().all(|lease| match &lease.phase {
            Phase::Running(Some(run)) => run.read_next >= run.hold_at && !run.has_uncommitted(),
            _ => false,
        });
        at_end && self.is_settled()
    }

    /// Whether this worker is in the group and got no partition while it settled.
    fn is_idle_member(&mut self, consumer: &Consumer) -> bool {
        if consumer.generation().is_none() {
            self.progress.stable_since = None;
            return false;
        }
        self.progress.stable_since.get_or_insert_with(Instant::now);
        self.is_settled()
    }

    fn is_settled(&self) -> bool {
        self.progress.stable_since.is_some_and(|since| since.elapsed() >= SETTLED_AFTER)
    }

    /// Asks for the insights to be printed when the time has come and Redis has all that was read by then.
    pub(super) fn print_due(&mut self) {
        let (Some(every), Some(next)) = (self.settings.bounds.insights_every, self.progress.next_print)
        else {
            return;
        };
        if self.progress.print_at.is_none() && self.progress.committed >= next {
            let positions = self.leases.runs().map(|run| (run.partition, run.committed)).collect();
            self.progress.print_at = Some(positions);
            self.progress.next_print = Some((self.progress.committed / every + 1) * every);
        }
        let Some(positions) = &self.progress.print_at else {
            return;
        };
        let stored = positions.iter().all(|(partition, next)| {
            self.leases
                .runs()
                .find(|run| run.partition == *partition)
                .is_none_or(|run| run.redis.next >= *next)
        });
        if stored {
            self.progress.print_at = None;
            self.send(Request::Print);
        }
    }

    /// Whether a print waits for flushes.
    pub(super) fn is_print_waiting(&self) -> bool {
        self.progress.print_at.is_some()
    }

    /// Lets go of pauses that a bounded run has no more reason for.
    pub(super) fn release_held(&mut self, consumer: &Consumer) {
        let mut released = Vec::new();
        let may_take = self.progress.may_take();
        for (id, run) in self.leases.runs_mut() {
            if run.pause == Some(Pause::Held) && run.read_next < run.stop_at && may_take {
                released.push(id.partition);
            }
        }
        for partition in released {
            self.resume(consumer, partition);
        }
    }
}

/// How long the group must have been quiet before a worker without work leaves it.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
