//! What a worker does, one step at a time. Whatever the worker decides, its own functions decide here.
//!
//! Owns the order of the steps. The mutants are in here, and only here.

use std::sync::Arc;

use super::mutant::Mutant;
use super::promises::{HALTED, REFUSED};
use super::world::{Flush, Lease, PARTITIONS, Progress, RECORDS, Run, Stage, Stored, World};
use super::{Event, Protocol, passes};
use crate::client::Kind;
use crate::protocol::commit::{Next, after_commit};
use crate::protocol::positions::{Gates, Positions};
use crate::protocol::progress::{
    Delivery, FirstStart, HEAD_SCHEMA, Head, KafkaProgress, LastRecord, METADATA_FORMAT, Metadata,
};
use crate::protocol::start::{self, Committed, Log};

/// What becomes of a request to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Answered,
    /// Kafka never sees it.
    RequestLost,
    /// It is carried out, and nobody hears of it.
    ReplyLost,
    /// It is carried out some time later.
    RequestLate,
    /// It is answered before anybody can see the transaction.
    MarkersLate,
}

impl Protocol {
    /// The lease's progress is read from Redis, and it is decided where the partition starts.
    pub(super) fn load(&self, world: &mut World, worker: usize, partition: usize) {
        let Lease::HalfLoaded(kafka) = world.workers[worker].leases[partition] else { return };
        let stored = world.redis[partition].clone();
        let head = stored.as_deref().map(head_of);
        let committed = kafka.map_or(Committed::Absent, |kafka| Committed::Ours(committed_of(kafka)));
        let log = Log { start: 0, end: self.configuration.records()[partition], topic_id: None };
        let first =
            FirstStart { incarnation: INCARNATION.to_owned(), topic_id: None, starts: vec![0; PARTITIONS] };
        let number = i32::try_from(partition).expect("there are few");
        let Ok(mut plan) = start::decide(number, &committed, head.as_ref(), &log, &first, false) else {
            world.broken = Some(HALTED);
            return;
        };
        if plan.state_next < plan.kafka_next {
            self.note(Event::ReplayedBelowAGate);
        }
        let mut read_from = plan.read_from(log.start);
        match self.mutant {
            Some(Mutant::OutputResumesFromRedis) => plan.kafka_next = plan.state_next,
            Some(Mutant::ReadingResumesFromKafka) => read_from = plan.kafka_next,
            Some(Mutant::MissingRedisIsKafkasOffset) if stored.is_none() => plan.state_next = plan.kafka_next,
            _ => {}
        }
        let kept = stored.as_ref().filter(|_| plan.keep_state);
        let at = Positions::new(
            &plan,
            read_from,
            stored.as_ref().map(|stored| stored.token.clone()),
            kept.map(|stored| (stored.state.next, stored.kafka.next)),
        );
        world.workers[worker].leases[partition] = Lease::Running(Arc::new(Run {
            at,
            counts: kept.map(|stored| stored.counts).unwrap_or_default(),
            changed: [false; RECORDS],
            replaces: stored.is_some() && kept.is_none(),
            reload: false,
        }));
    }

    /// One record is counted and delivered, as far as that was not done.
    pub(super) fn read(&self, world: &mut World, worker: usize, partition: usize) {
        let is_latest = world.is_latest(worker);
        let Some(run) = run_mut(world, worker, partition) else { return };
        let offset = run.at.read_next;
        let Gates { mut counts, mut delivers } = run.at.gates(offset);
        match self.mutant {
            Some(Mutant::CountGateOneLow) => counts = offset + 1 >= run.at.state_next,
            Some(Mutant::CountGateOneHigh) => counts = offset > run.at.state_next,
            Some(Mutant::OutputGateOneLow) => delivers = offset + 1 >= run.at.out_next,
            Some(Mutant::OutputGateOneHigh) => delivers = offset > run.at.out_next,
            Some(Mutant::NoGateOnCounts) => counts = true,
            Some(Mutant::NoGateOnOutput) => delivers = true,
            _ => {}
        }
        if counts {
            let index = usize::try_from(offset).expect("offsets are not negative");
            run.counts[index] += 1;
            run.changed[index] = true;
            run.at.counted(offset);
        } else if self.mutant == Some(Mutant::CountGateOneHigh) {
            run.at.counted(offset);
        }
        if delivers || self.mutant == Some(Mutant::OutputGateOneHigh) {
            run.at.delivered(offset);
        }
        run.at.remember(LastRecord { offset, fingerprint: 0 });
        run.at.read(offset);
        if delivers && passes(offset) {
            world.workers[worker].stage = Stage::Open;
            // The broker takes nothing from a producer that is not the latest of its id.
            if is_latest {
                world.transactions[worker].is_open = true;
                world.transactions[worker].outputs.push((partition, offset));
            }
        }
    }

    /// The offsets of all partitions go into the transaction, in the name of a member of the group.
    pub(super) fn send_offsets(&self, world: &mut World, worker: usize) {
        if !world.is_latest(worker) {
            self.note(Event::ProducerFenced);
            return self.follow(world, worker, after_commit(Kind::ProducerFenced, false));
        }
        if self.mutant != Some(Mutant::GenerationIsIgnored) && !world.is_member(worker) {
            self.note(Event::CommitFenced);
            return self.follow(world, worker, after_commit(Kind::Fenced, false));
        }
        let mut offsets = [None; PARTITIONS];
        for (lease, offset) in world.workers[worker].leases.iter().zip(&mut offsets) {
            if let Lease::Running(run) = lease
                && run.at.has_uncommitted()
            {
                *offset = Some(Progress { next: run.at.out_next, last: run.at.out_last });
            }
        }
        match self.mutant {
            Some(Mutant::OutputsWithoutOffsets) => {}
            Some(Mutant::OffsetsBeforeOutputs) => {
                for (committed, offset) in world.committed.iter_mut().zip(offsets) {
                    *committed = offset.or(*committed);
                }
            }
            _ => world.transactions[worker].offsets = offsets,
        }
        world.transactions[worker].is_open = true;
        world.workers[worker].stage = Stage::OffsetsSent;
    }

    /// The transaction is committed.
    pub(super) fn commit(&self, world: &mut World, worker: usize, end: End) {
        if !world.is_latest(worker) {
            self.note(Event::ProducerFenced);
            return self.follow(world, worker, after_commit(Kind::ProducerFenced, false));
        }
        match end {
            End::Answered | End::ReplyLost => world.complete(worker),
            End::MarkersLate => {
                world.transactions[worker].is_open = false;
                world.transactions[worker].is_prepared = true;
            }
            End::RequestLost => {}
            End::RequestLate => {
                world.transactions[worker].late_end = Some(world.transactions[worker].epoch);
            }
        }
        let is_answered = matches!(end, End::Answered | End::MarkersLate);
        if !is_answered && self.mutant != Some(Mutant::DoubtIsTakenForSuccess) {
            self.note(Event::CommitInDoubt);
            let next = match self.mutant {
                Some(Mutant::BlindRetryOfACommit) => Next::Abort,
                _ => after_commit(Kind::Other, true),
            };
            return self.follow(world, worker, next);
        }
        world.workers[worker].stage = Stage::Idle;
        for partition in 0..PARTITIONS {
            if let Some(run) = run_mut(world, worker, partition) {
                let broken = run.at.broken_by_commit();
                run.at.commit();
                let reloads = run.reload;
                world.broken = world.broken.or(broken);
                if reloads {
                    world.workers[worker].leases[partition] = Lease::Loading;
                }
            }
        }
    }

    fn follow(&self, world: &mut World, worker: usize, next: Next) {
        match next {
            Next::Abort | Next::AbortAsFenced => self.abort(world, worker),
            Next::Fenced | Next::Replace => replace(world, worker),
        }
    }

    /// What the transaction delivered is delivered again.
    pub(super) fn abort(&self, world: &mut World, worker: usize) {
        self.note(Event::Aborted);
        if !world.is_latest(worker) {
            return replace(world, worker);
        }
        world.end(worker);
        world.workers[worker].stage = Stage::Idle;
        for partition in 0..PARTITIONS {
            let Some(run) = run_mut(world, worker, partition) else { continue };
            if self.mutant == Some(Mutant::RecordIsSkippedAfterAnAbort) {
                continue;
            }
            run.at.rewind();
            if run.reload {
                world.workers[worker].leases[partition] = Lease::Loading;
            }
        }
    }

    /// A new producer takes the transactional id: what the former one left is aborted, or fenced.
    pub(super) fn take_id(&self, world: &mut World, worker: usize) {
        world.end(worker);
        if self.mutant != Some(Mutant::EpochIsNotRaised) {
            world.transactions[worker].epoch += 1;
        }
        world.workers[worker].epoch = Some(world.transactions[worker].epoch);
        for lease in &mut world.workers[worker].leases {
            match lease {
                Lease::None => {}
                Lease::Running(run) if self.mutant == Some(Mutant::PositionsKeptAfterDoubt) => {
                    let run = Arc::make_mut(run);
                    run.reload = false;
                    run.at.rewind();
                }
                _ => *lease = Lease::Loading,
            }
        }
    }

    /// The worker hears that its partitions are another's.
    pub(super) fn lose(&self, world: &mut World, worker: usize) {
        let keeps = self.mutant == Some(Mutant::LostLeaseKeepsTheTransaction);
        if world.workers[worker].stage != Stage::Idle && !keeps {
            self.abort(world, worker);
        }
        world.workers[worker].member = None;
        world.workers[worker].leases = Default::default();
    }

    /// Whether Redis may be given this run's state.
    pub(super) fn is_flush_due(&self, run: &Run) -> bool {
        if self.mutant == Some(Mutant::UncommittedIsFlushed) {
            let idle = run.at.stored.in_flight.is_none();
            return !run.reload && idle && run.at.state_next > run.at.stored.next;
        }
        !run.reload && run.at.is_flush_due(false)
    }

    pub(super) fn flush(&self, world: &mut World, worker: usize, partition: usize) {
        let nonce = world.new_nonce(partition);
        let Some(run) = run_mut(world, worker, partition) else { return };
        let expected = run.at.stored.token.clone();
        let mut token = run.at.flush(INCARNATION, &nonce);
        if self.mutant == Some(Mutant::TokenStaysTheSame)
            && let Some(expected) = &expected
            && let Some((sent, ..)) = &mut run.at.stored.in_flight
        {
            sent.clone_from(expected);
            token.clone_from(expected);
        }
        let mut puts = [None; RECORDS];
        for ((put, count), changed) in puts.iter_mut().zip(run.counts).zip(&mut run.changed) {
            *put = std::mem::take(changed).then_some(count);
        }
        let flush = Flush {
            expected,
            token,
            state: Progress { next: run.at.state_next, last: run.at.state_last },
            kafka: Progress { next: run.at.committed, last: run.at.committed_last },
            replaces: run.replaces,
            puts,
        };
        let broken = run.at.broken_by_flush(&flush.token);
        world.broken = world.broken.or(broken);
        world.sent[worker][partition].push(Arc::new(flush));
    }

    /// Redis gets a flush, and, unless the reply is lost, the worker its answer. A flush without an answer is sent again.
    pub(super) fn store(&self, world: &mut World, worker: usize, partition: usize, is_lost: bool) {
        let flush = Arc::clone(&world.sent[worker][partition][0]);
        let former = world.redis[partition].clone();
        let compares = self.mutant != Some(Mutant::NoCompareAndSet);
        let keeps_before = self.configuration.budget().rollbacks > 0;
        let is_stored = world.apply(partition, &flush, compares, keeps_before);
        if !is_stored {
            self.note(Event::FlushRefused);
            if self.mutant == Some(Mutant::RefusedFlushWritesItsHead)
                && let Some(stored) = &mut world.redis[partition]
            {
                Arc::make_mut(stored).state = flush.state;
            }
            if world.redis[partition] != former {
                world.broken = Some(REFUSED);
            }
        }
        if is_lost {
            return;
        }
        world.sent[worker][partition].remove(0);
        let Some(run) = run_mut(world, worker, partition) else { return };
        if run.at.stored.in_flight.as_ref().is_none_or(|(sent, ..)| *sent != flush.token) {
            return;
        }
        if !is_stored {
            return reload(world, worker, partition);
        }
        run.at.flushed(&flush.token);
        run.replaces = false;
    }

    /// Whether the stored token is another one than the worker believes.
    pub(super) fn finds_another(&self, world: &World, worker: usize, partition: usize) -> bool {
        let Lease::Running(run) = &world.workers[worker].leases[partition] else { return false };
        let stored = world.redis[partition].as_ref().map(|stored| stored.token.as_str());
        let expected = run.at.expects_stored();
        !run.reload
            && self.mutant != Some(Mutant::TokensAreNotChecked)
            && expected.is_some()
            && expected != stored
    }
}

/// The partition starts again from what is stored, once the transaction is over.
pub(super) fn reload(world: &mut World, worker: usize, partition: usize) {
    if world.workers[worker].stage == Stage::Idle {
        world.workers[worker].leases[partition] = Lease::Loading;
    } else if let Some(run) = run_mut(world, worker, partition) {
        run.reload = true;
    }
}

/// The producer is thrown away; nothing is read until its successor has the transactional id.
fn replace(world: &mut World, worker: usize) {
    world.workers[worker].stage = Stage::Idle;
    world.workers[worker].epoch = None;
    for partition in 0..PARTITIONS {
        if let Some(run) = run_mut(world, worker, partition) {
            run.reload = true;
        }
    }
}

fn run_mut(world: &mut World, worker: usize, partition: usize) -> Option<&mut Run> {
    match &mut world.workers[worker].leases[partition] {
        Lease::Running(run) => Some(Arc::make_mut(run)),
        _ => None,
    }
}

fn head_of(stored: &Stored) -> Head {
    Head {
        schema: HEAD_SCHEMA,
        incarnation: INCARNATION.to_owned(),
        topic_id: None,
        base: 0,
        next: stored.state.next,
        last: stored.state.last,
        last_timestamp_ms: 0,
        kafka_next: stored.kafka.next,
        kafka_last: stored.kafka.last,
        delivery: Delivery::default(),
        gaps: Vec::new(),
        owner: String::new(),
        rebuilt_with_revision: None,
    }
}

fn committed_of(kafka: Progress) -> KafkaProgress {
    KafkaProgress {
        next: kafka.next,
        metadata: Metadata {
            format: METADATA_FORMAT.to_owned(),
            pipeline: "model".to_owned(),
            incarnation: INCARNATION.to_owned(),
            topic_id: None,
            base: 0,
            last: kafka.last,
            revisions: Vec::new(),
            delivery: Delivery::default(),
            partly_delivered: false,
        },
    }
}

const INCARNATION: &str = "1-00000001";
