//! Which partitions this worker may act for.
//!
//! Owns a lease's phases, from assignment until revocation. It never talks to a broker or a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::run::Run;

/// All leases of this worker, by partition.
#[derive(Default)]
pub(crate) struct Leases {
    slots: Vec<Option<Lease>>,
    next_id: u64,
}

/// The right to act for a partition.
pub(crate) struct Lease {
    /// What work for this lease is known by; another one after each (re)load.
    pub(crate) id: LeaseId,
    /// Whether the consumer fetches the partition (or has it paused).
    pub(crate) fetching: bool,
    /// Where a bounded run stops: the log's end when the partition was assigned.
    pub(crate) hold_at: Option<i64>,
    /// Where reading failed last; kept over reloads, which such failures cause.
    unread: Option<Unread>,
    /// Where it stands.
    pub(crate) phase: Phase,
}

/// A place at which the client failed to read.
#[derive(Clone, Copy, Debug)]
struct Unread {
    at: i64,
    since: Instant,
    times: u32,
}

/// Where a lease stands.
pub(crate) enum Phase {
    /// Its progress is being read.
    Loading,
    /// It is worked on. `None` only while the pump has the run in its hands.
    Running(Option<Box<Run>>),
}

/// Identifies one load of one partition; cancelled when the lease ends or is loaded again.
#[derive(Clone, Debug)]
pub(crate) struct LeaseId {
    /// The partition.
    pub(crate) partition: i32,
    number: u64,
    cancelled: Arc<AtomicBool>,
}

impl LeaseId {
    /// Whether work for it is in vain.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Leases {
    /// Grants a lease, in its loading phase.
    pub(crate) fn grant(&mut self, partition: i32) -> LeaseId {
        let id = self.new_id(partition);
        let index = index(partition);
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Lease {
                id: id.clone(),
                fetching: false,
                hold_at: None,
                unread: None,
                phase: Phase::Loading,
            });
        }
        id
    }

    /// Puts a lease back into its loading phase.
    pub(crate) fn reload(&mut self, partition: i32) -> Option<LeaseId> {
        let id = self.new_id(partition);
        let lease = self.get_mut(partition)?;
        lease.id.cancelled.store(true, Ordering::Relaxed);
        lease.id = id.clone();
        lease.phase = Phase::Loading;
        Some(id)
    }

    /// Ends a lease.
    pub(crate) fn end(&mut self, partition: i32) -> Option<Lease> {
        let lease = self.slots.get_mut(index(partition))?.take()?;
        lease.id.cancelled.store(true, Ordering::Relaxed);
        Some(lease)
    }

    /// The lease of a partition.
    pub(crate) fn get_mut(&mut self, partition: i32) -> Option<&mut Lease> {
        self.slots.get_mut(index(partition))?.as_mut()
    }

    /// The lease that an answer is for, unless it ended meanwhile.
    pub(crate) fn of(&mut self, id: &LeaseId) -> Option<&mut Lease> {
        self.get_mut(id.partition).filter(|lease| lease.id.number == id.number)
    }

    /// The run that an answer is for, unless it ended meanwhile.
    pub(crate) fn run_of(&mut self, id: &LeaseId) -> Option<&mut Run> {
        self.of(id)?.run_mut()
    }

    /// Takes a run into the pump's hands; [`Self::put_back`] must follow.
    pub(crate) fn take_run(&mut self, partition: i32) -> Option<Box<Run>> {
        match &mut self.get_mut(partition)?.phase {
            Phase::Running(run) => run.take(),
            Phase::Loading => None,
        }
    }

    /// Gives a run back.
    pub(crate) fn put_back(&mut self, run: Box<Run>) {
        if let Some(lease) = self.get_mut(run.partition) {
            lease.phase = Phase::Running(Some(run));
        }
    }

    /// All leases.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.slots.iter().flatten()
    }

    /// All runs.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.iter().filter_map(|lease| match &lease.phase {
            Phase::Running(run) => run.as_deref(),
            Phase::Loading => None,
        })
    }

    /// All runs, with their leases' ids.
    pub(crate) fn runs_mut(&mut self) -> impl Iterator<Item = (&LeaseId, &mut Run)> {
        self.slots.iter_mut().flatten().filter_map(|lease| match &mut lease.phase {
            Phase::Running(Some(run)) => Some((&lease.id, run.as_mut())),
            _ => None,
        })
    }

    fn new_id(&mut self, partition: i32) -> LeaseId {
        self.next_id += 1;
        LeaseId { partition, number: self.next_id, cancelled: Arc::default() }
    }
}

impl Lease {
    /// Reading failed at this offset; whether it has failed there often enough to be no accident.
    pub(crate) fn failed_to_read(&mut self, at: i64, now: Instant) -> bool {
        let (since, times) = match self.unread {
            Some(unread) if unread.at == at => (unread.since, unread.times + 1),
            _ => (now, 1),
        };
        self.unread = Some(Unread { at, since, times });
        times >= UNREADABLE_TIMES && now.duration_since(since) >= UNREADABLE_AFTER
    }

    /// The run, once it is loaded.
    pub(crate) fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.phase {
            Phase::Running(run) => run.as_deref_mut(),
            Phase::Loading => None,
        }
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("Kafka's partitions are not negative")
}

/// A batch that fails so often over so long is no accident on the way.
const UNREADABLE_TIMES: u32 = 3;
const UNREADABLE_AFTER: Duration = Duration::from_secs(1);
