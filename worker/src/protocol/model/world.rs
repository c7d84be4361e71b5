//! What is modelled around the worker: the group, the transaction coordinator, both sinks, and what is on the wire.
//!
//! Owns what these services promise, and what they do not. It decides nothing for a worker.

use std::sync::Arc;

use crate::protocol::positions::Positions;
use crate::protocol::progress::LastRecord;

/// Partitions of the source topic; partition 0 has one record more than the other.
pub(super) const PARTITIONS: usize = 2;

/// Workers, each with its own transactional id.
pub(super) const WORKERS: usize = 2;

/// The most records of a partition.
pub(super) const RECORDS: usize = 3;

/// How often each record is counted.
pub(super) type Counts = [u8; RECORDS];

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// The group's offsets.
    pub(super) committed: [Option<Progress>; PARTITIONS],
    /// The source offsets in the committed output.
    pub(super) output: [Vec<i64>; PARTITIONS],
    /// What the coordinator knows of each transactional id.
    pub(super) transactions: [Transaction; WORKERS],
    /// Who the group's members are: a number that is another one after each join.
    pub(super) members: [Option<u8>; WORKERS],
    /// Whom the group gave each partition.
    pub(super) owners: [Option<usize>; PARTITIONS],
    pub(super) redis: [Option<Arc<Stored>>; PARTITIONS],
    /// What a rollback brings back.
    pub(super) before: [Option<Arc<Stored>>; PARTITIONS],
    /// Flushes that were sent, by who sent them.
    pub(super) sent: [[Vec<Arc<Flush>>; PARTITIONS]; WORKERS],
    pub(super) workers: [Worker; WORKERS],
    /// How often each fault may still happen.
    pub(super) budget: Budget,
    /// A promise that was broken on the way here.
    pub(super) broken: Option<&'static str>,
}

/// Kafka's progress in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    pub(super) next: i64,
    pub(super) last: Option<LastRecord>,
}

/// A transactional id's latest transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Transaction {
    pub(super) epoch: u8,
    pub(super) is_open: bool,
    /// It will commit, but nobody sees it yet.
    pub(super) is_prepared: bool,
    pub(super) outputs: Vec<(usize, i64)>,
    pub(super) offsets: [Option<Progress>; PARTITIONS],
    /// A request to commit, of this epoch, is still under way.
    pub(super) late_end: Option<u8>,
}

/// What Redis holds of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    pub(super) token: String,
    pub(super) state: Progress,
    pub(super) kafka: Progress,
    pub(super) counts: Counts,
}

/// One flush: a head, and the parts that changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flush {
    pub(super) expected: Option<String>,
    pub(super) token: String,
    pub(super) state: Progress,
    pub(super) kafka: Progress,
    pub(super) replaces: bool,
    pub(super) puts: [Option<u8>; RECORDS],
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    pub(super) is_up: bool,
    /// The producer's epoch, once the transactional id is taken.
    pub(super) epoch: Option<u8>,
    /// The member that it believes to be.
    pub(super) member: Option<u8>,
    pub(super) stage: Stage,
    pub(super) leases: [Lease; PARTITIONS],
}

/// How far the pump is with its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Idle,
    Open,
    OffsetsSent,
}

/// A worker's right to a partition, and what it made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Lease {
    #[default]
    None,
    Loading,
    /// Kafka has answered.
    HalfLoaded(Option<Progress>),
    Running(Arc<Run>),
}

/// A partition that is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) at: Positions,
    pub(super) counts: Counts,
    pub(super) changed: [bool; RECORDS],
    /// The stored state is given up: the next flush removes it.
    pub(super) replaces: bool,
    /// It is loaded again once the transaction is over.
    pub(super) reload: bool,
}

/// How often each fault may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// A worker dies.
    pub(super) crashes: u8,
    /// A worker sleeps until the group has given its partitions away, and wakes up as a zombie.
    pub(super) zombies: u8,
    /// A commit's request or reply is lost, or the request is late.
    pub(super) lost_commits: u8,
    /// The reply to a flush is lost.
    pub(super) lost_flushes: u8,
    /// A broker takes a record not, or not now.
    pub(super) refusals: u8,
    /// The coordinator says that a transaction is committed before anybody can see it.
    pub(super) late_ends: u8,
    /// Redis comes back with older data, or with none.
    pub(super) rollbacks: u8,
    pub(super) emptied: u8,
    /// The group moves a partition in good order.
    pub(super) moves: u8,
}

impl World {
    /// Each worker has a partition.
    pub(super) fn new(budget: Budget) -> Self {
        let worker = |number: usize| Worker {
            is_up: true,
            epoch: Some(0),
            member: Some(0),
            stage: Stage::Idle,
            leases: std::array::from_fn(|p| if p == number { Lease::Loading } else { Lease::None }),
        };
        Self {
            committed: [None; PARTITIONS],
            output: Default::default(),
            transactions: Default::default(),
            members: [Some(0); WORKERS],
            owners: std::array::from_fn(Some),
            redis: Default::default(),
            before: Default::default(),
            sent: Default::default(),
            workers: std::array::from_fn(worker),
            budget,
            broken: None,
        }
    }

    /// Whether a transaction that is not over holds offsets of the partition: Kafka does not tell them meanwhile.
    pub(super) fn is_unstable(&self, partition: usize) -> bool {
        self.transactions.iter().any(|t| (t.is_open || t.is_prepared) && t.offsets[partition].is_some())
    }

    /// Whether the producer of a worker is the latest of its id.
    pub(super) fn is_latest(&self, worker: usize) -> bool {
        self.workers[worker].epoch == Some(self.transactions[worker].epoch)
    }

    /// Whether the group takes the worker for a member, and the worker knows.
    pub(super) fn is_member(&self, worker: usize) -> bool {
        self.workers[worker].member.is_some() && self.workers[worker].member == self.members[worker]
    }

    /// A nonce that is in use nowhere: as good as one that never was, and the states stay few.
    pub(super) fn new_nonce(&self, partition: usize) -> String {
        let mut used: Vec<&str> = Vec::new();
        let kept = [&self.redis[partition], &self.before[partition]];
        used.extend(kept.into_iter().flatten().map(|stored| stored.token.as_str()));
        for worker in 0..WORKERS {
            for flush in &self.sent[worker][partition] {
                used.extend(flush.expected.as_deref().into_iter().chain([flush.token.as_str()]));
            }
            if let Lease::Running(run) = &self.workers[worker].leases[partition] {
                used.extend(run.at.stored.token.as_deref());
            }
        }
        let is_free = |nonce: &String| used.iter().all(|token| token.rsplit('|').next() != Some(nonce));
        (0..u8::MAX).map(|number| number.to_string()).find(is_free).expect("few are in use")
    }

    /// Only the order of epochs says anything: small numbers keep the states few.
    pub(super) fn renumber_epochs(&mut self) {
        for (transaction, worker) in self.transactions.iter_mut().zip(&mut self.workers) {
            let mut epochs = [Some(transaction.epoch), worker.epoch, transaction.late_end];
            epochs.sort_unstable();
            let lower = |epoch: u8| {
                let mut before: Vec<u8> = epochs.into_iter().flatten().filter(|e| *e < epoch).collect();
                before.dedup();
                u8::try_from(before.len()).expect("there are three")
            };
            (worker.epoch, transaction.late_end) = (worker.epoch.map(lower), transaction.late_end.map(lower));
            transaction.epoch = lower(transaction.epoch);
        }
    }

    /// The transaction becomes visible, whole.
    pub(super) fn complete(&mut self, worker: usize) {
        let ended = self.end(worker);
        for (partition, offset) in ended.outputs {
            self.output[partition].push(offset);
        }
        for (partition, progress) in ended.offsets.into_iter().enumerate() {
            self.committed[partition] = progress.or(self.committed[partition]);
        }
    }

    /// Ends the transaction; what is left of it is returned.
    pub(super) fn end(&mut self, worker: usize) -> Transaction {
        let transaction = &mut self.transactions[worker];
        let next = Transaction {
            epoch: transaction.epoch,
            late_end: transaction.late_end,
            ..Transaction::default()
        };
        std::mem::replace(transaction, next)
    }

    /// The group takes a worker's partitions away; it does not know yet.
    pub(super) fn expel(&mut self, worker: usize) {
        self.members[worker] = None;
        let other = 1 - worker;
        let takes = self.workers[other].is_up && self.is_member(other);
        for partition in 0..PARTITIONS {
            if self.owners[partition] == Some(worker) {
                self.owners[partition] = takes.then_some(other);
                if takes {
                    self.workers[other].leases[partition] = Lease::Loading;
                }
            }
        }
    }

    /// A worker becomes a member, and gets what nobody has.
    pub(super) fn join(&mut self, worker: usize, number: u8) {
        self.members[worker] = Some(number);
        self.workers[worker].member = Some(number);
        for partition in 0..PARTITIONS {
            if self.owners[partition].is_none() {
                self.owners[partition] = Some(worker);
                self.workers[worker].leases[partition] = Lease::Loading;
            }
        }
    }

    /// Redis' script: one atomic step, on top of the expected token only. Returns whether the flush is stored.
    pub(super) fn apply(
        &mut self,
        partition: usize,
        flush: &Flush,
        compares: bool,
        keeps_before: bool,
    ) -> bool {
        let stored = &self.redis[partition];
        let token = stored.as_ref().map(|stored| &stored.token);
        if token == Some(&flush.token) {
            return true;
        }
        if compares && token != flush.expected.as_ref() {
            return false;
        }
        let mut counts = match stored {
            Some(stored) if !flush.replaces => stored.counts,
            _ => Counts::default(),
        };
        for (count, put) in counts.iter_mut().zip(flush.puts) {
            *count = put.unwrap_or(*count);
        }
        if keeps_before {
            self.before[partition].clone_from(stored);
        }
        let Flush { token, state, kafka, .. } = flush.clone();
        self.redis[partition] = Some(Arc::new(Stored { token, state, kafka, counts }));
        true
    }
}
