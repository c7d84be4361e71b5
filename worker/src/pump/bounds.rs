//! When a bounded run is over, and how far a worker has got.
//!
//! Owns the counts of source records. It never touches a partition.

use std::collections::BTreeSet;
use std::time::Instant;

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
    /// When it was asked whether every partition has an owner, since the last rebalance.
    asked_at: Option<Instant>,
    /// What this worker held when every partition had an owner.
    owned: Option<BTreeSet<i32>>,
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
            asked_at: None,
            owned: None,
        }
    }

    /// Whether one more record may be delivered: not beyond the number, nor beyond what is to be printed first.
    pub(super) fn may_take(&self) -> bool {
        let bounds = [self.bounds.max_messages, self.next_print];
        bounds.into_iter().flatten().all(|bound| self.committed + self.taken < bound)
    }

    /// One more record is delivered by the open transaction.
    pub(super) fn took(&mut self) {
        self.taken += 1;
    }

    /// Whether the open transaction delivers all that may be delivered for now.
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
        self.asked_at = None;
        self.owned = None;
    }

    /// Every partition has an owner, and this worker these, unless the group moved on since it was asked.
    pub(super) fn owned(&mut self, asked_at: Instant, partitions: BTreeSet<i32>) {
        if self.asked_at == Some(asked_at) {
            self.owned = Some(partitions);
        }
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
        if self.is_print_waiting() {
            return false;
        }
        if bounds.max_messages.is_some_and(|max| self.progress.committed >= max) {
            return true;
        }
        if !bounds.until_end {
            return false;
        }
        let at_end = self.leases.iter().all(|lease| match &lease.phase {
            Phase::Running(Some(run)) => run.at.read_next >= run.hold_at && !run.at.has_uncommitted(),
            _ => false,
        });
        at_end && consumer.generation().is_some() && self.is_settled()
    }

    /// Whether no partition is on its way to this worker, or to one that is not there yet: a worker that left meanwhile
    /// would leave it to nobody.
    fn is_settled(&mut self) -> bool {
        let held = self.leases.iter().map(|lease| lease.id.partition).collect();
        if self.progress.owned.take_if(|owned| *owned != held).is_some() {
            // The group decided anew, and this worker will hear of it.
            self.progress.asked_at = None;
        }
        if self.progress.asked_at.is_none() {
            let now = Instant::now();
            self.progress.asked_at = Some(now);
            self.send(Request::AwaitOwners(now));
        }
        self.progress.owned.is_some()
    }

    /// Asks for the insights to be printed when the time has come and Redis has all that was read by then.
    pub(super) fn print_due(&mut self) {
        if self.progress.print_at.is_none()
            && self.progress.next_print.is_some_and(|next| self.progress.committed >= next)
        {
            let positions = self.leases.runs().map(|run| (run.partition, run.at.committed)).collect();
            self.progress.print_at = Some(positions);
        }
        let Some(positions) = &self.progress.print_at else {
            return;
        };
        let stored = positions.iter().all(|(partition, next)| {
            self.leases
                .runs()
                .find(|run| run.partition == *partition)
                .is_none_or(|run| run.at.stored.next >= *next)
        });
        if stored {
            self.progress.print_at = None;
            self.progress.next_print =
                self.settings.bounds.insights_every.map(|every| self.progress.committed + every);
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
            if run.pause == Some(Pause::Held) && run.at.read_next < run.stop_at && may_take {
                released.push(id.partition);
            }
        }
        for partition in released {
            self.resume(consumer, partition);
        }
    }
}
