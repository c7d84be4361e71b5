//! Taking the transactional id, and what must be over before anything is delivered under it.
//!
//! Owns the way from a new producer to one that may begin. It ends what earlier transactions left behind, and never
//! delivers a record.

use std::time::{Duration, Instant};

use insights::spec::PipelineSpec;
use rdkafka::types::RDKafkaErrorCode;

use super::Core;
use super::event::{LeftOpen, Request};
use super::transaction::repeat;
use crate::client::{Commit, Consumer, Error, Generation, Headers, Kind, Outgoing, Producer, c_string};
use crate::clock::now_ms;

impl Core {
    /// Takes the transactional id, if that is not done yet; others go on meanwhile.
    pub(super) fn start_producer(&mut self) {
        if self.producer.is_taken {
            return;
        }
        match self.producer.producer.init_transactions(INIT_WAIT) {
            Ok(()) => {
                self.producer.is_taken = true;
                self.send(Request::FindLeftOpen(self.producer.made_at));
            }
            Err(error) if error.kind == Kind::ProducerFenced => self.fenced(),
            Err(error) => {
                // Being slow at the very first transaction of a cluster is not being away.
                if self.producer.made_at.elapsed() >= INIT_QUIET {
                    self.note_away("the transaction coordinator", &error);
                }
                if error.kind == Kind::Fatal {
                    self.replace_producer();
                }
            }
        }
    }

    /// It is known what brokers did not end: ends it, and may deliver from here on. `made_at` tells which producer asked.
    pub(super) fn left_open(&mut self, consumer: &Consumer, made_at: Instant, left_open: &LeftOpen) {
        if made_at != self.producer.made_at || self.producer.is_ready() {
            return;
        }
        if !left_open.is_empty() {
            tracing::warn!(
                outputs = ?left_open.outputs,
                dead_letters = ?left_open.dead_letters,
                offsets = left_open.offsets,
                restarts = ?left_open.restarts.iter().map(|commit| (commit.partition, commit.offset)).collect::<Vec<_>>(),
                "earlier transactions are still open: those of this worker are ended"
            );
            if let Err(error) = end_left_open(&self.producer.producer, &self.settings.spec, left_open) {
                self.note_away(&self.destinations(), &error);
                return self.replace_producer();
            }
            tracing::info!("what was left open is ended");
        }
        self.producer.producer.take_trouble();
        self.producer.topics = Some(self.delivery.topics(&self.producer.producer));
        self.away_since = None;
        tracing::debug!(took_ms = made_at.elapsed().as_millis(), "transactional id taken");
        let partitions: Vec<i32> = self.leases.iter().map(|lease| lease.id.partition).collect();
        self.reload(consumer, &partitions);
    }
}

/// Adds a record to each of these partitions and an offset to the group, and aborts: the marker ends whatever else the producer's
/// id has open there. Where another worker's transaction is under way, nothing happens to it.
///
/// Before that, it commits where the records of what is aborted are read again: whoever comes after this dies in between finds
/// them open still, and does the same.
pub(crate) fn end_left_open(
    producer: &Producer,
    spec: &PipelineSpec,
    left_open: &LeftOpen,
) -> Result<(), Error> {
    let places =
        [(&spec.output.topic, &left_open.outputs), (&spec.dead_letter.topic, &left_open.dead_letters)];
    let (nobody, source) = (Generation::of_nobody(&spec.kafka.group), c_string(&spec.source.topic));
    let deadline = Instant::now() + END_LIMIT;
    let send = |commits: &[Commit]| {
        repeat(deadline, |limit| producer.send_offsets(&source, commits, &nobody, limit))
    };
    if !left_open.restarts.is_empty() {
        producer.begin()?;
        send(&left_open.restarts)?;
        repeat(deadline, |limit| producer.commit(limit))?;
    }
    producer.begin()?;
    for (topic, partitions) in places {
        let topic = producer.topic(topic);
        for &partition in partitions {
            producer.produce(Outgoing {
                topic: &topic,
                partition,
                key: Some(b"aborted"),
                value: None,
                timestamp_ms: now_ms(),
                headers: Headers::default(),
                origin: 0,
            })?;
        }
    }
    let is_delivered = producer.flush(END_LIMIT);
    if let Some(refusal) = producer.take_refusals().first() {
        return Err(Error::local("failed to produce", refusal.code, refusal.code.to_string()));
    }
    if !is_delivered {
        return Err(Error::local("failed to produce", RDKafkaErrorCode::OperationTimedOut, "no answer"));
    }
    if left_open.offsets {
        send(&[Commit { partition: 0, offset: 0, metadata: String::new() }])?;
    }
    repeat(deadline, |limit| producer.abort(limit))
}

/// How long one turn of the loop waits for the transactional id.
const INIT_WAIT: Duration = Duration::from_millis(500);

/// How long taking the id may take before it is spoken of.
const INIT_QUIET: Duration = Duration::from_secs(2);

/// How long ending what is left open may take before the producer is replaced.
const END_LIMIT: Duration = Duration::from_secs(6);
