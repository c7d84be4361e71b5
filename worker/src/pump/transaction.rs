//! The Kafka transaction: outputs, dead letters, offsets and their metadata, all or nothing.
//!
//! Owns begin, commit and abort, and what follows when one of them fails. It never repeats a commit whose outcome is
//! unknown: it asks what is committed instead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;

use super::run::Pause;
use super::{Core, Slot, new_producer};
use crate::client::{self, Commit, Consumer, Error, Kind, Refusal};
use crate::crash::{self, Point};
use crate::exit::Failure;
use crate::protocol::commit::{Next, after_commit};
use crate::protocol::delivery::{self, Form};
use crate::telemetry::{Transaction, Zombie};

impl Core {
    /// Begins a transaction unless one is open.
    pub(super) fn ensure_transaction(&mut self) -> Result<(), Error> {
        if self.transaction_since.is_some() {
            return Ok(());
        }
        let Some((producer, _)) = self.producer.ready() else {
            return Err(Error::local(
                "failed to begin a transaction",
                RDKafkaErrorCode::State,
                "no producer yet",
            ));
        };
        producer.begin()?;
        self.transaction_since = Some(Instant::now());
        self.producing_since = self.spans.now();
        crash::point(Point::Begun);
        Ok(())
    }

    /// Serves the producer's callbacks, and acts on records that a broker did not take.
    pub(super) fn serve_producer(&mut self, consumer: &Consumer) {
        let Some((producer, _)) = self.producer.ready() else {
            return;
        };
        producer.poll(Duration::ZERO);
        let refusals = producer.take_refusals();
        if !refusals.is_empty() {
            return self.refused(consumer, &refusals);
        }
        if self.transaction_since.is_none() && producer.take_trouble() {
            tracing::info!("a connection failed between two transactions: the producer is replaced");
            self.replace_and_reload(consumer);
        }
    }

    /// Commits what is delivered, if anything is.
    pub(super) fn commit(&mut self, consumer: &Consumer) {
        self.last_commit_at = Instant::now();
        self.skip_markers(consumer);
        let mut commits: Vec<Commit> = Vec::new();
        for run in self.leases.runs() {
            if run.at.has_uncommitted() {
                commits.push(run.commit(&self.settings.spec.pipeline));
            }
        }
        if commits.is_empty() && self.transaction_since.is_none() {
            return self.reload_paused(consumer);
        }
        let started_at = Instant::now();
        let committing = self.spans.commit(commits.len());
        let outcome = self.try_commit(consumer, &commits);
        self.spent.blocked += started_at.elapsed();
        let outputs = self.delivery.produced.iter().filter(|produced| produced.output).count();
        self.spans.sent(self.producing_since.take(), outputs, outcome.as_ref().err());
        if let (Some(committing), Err(error)) = (&committing, &outcome) {
            committing.failed(error);
        }
        if outcome.is_ok() {
            self.telemetry().metrics.transaction(Transaction::Committed, Some(started_at.elapsed()));
        }
        match outcome {
            Ok(()) => {
                tracing::debug!(
                    took_ms = started_at.elapsed().as_millis(),
                    partitions = commits.len(),
                    "transaction committed"
                );
                drop(committing);
                self.has_committed(consumer);
            }
            Err(error) => {
                drop(committing);
                self.commit_failed(consumer, &error);
            }
        }
        self.reload_paused(consumer);
    }

    fn try_commit(&mut self, consumer: &Consumer, commits: &[Commit]) -> Result<(), Error> {
        self.ensure_transaction()?;
        if self.generation.is_none() {
            self.recapture_generation(consumer);
        }
        let Some((producer, _)) = self.producer.ready() else {
            return Err(Error::local("failed to commit", RDKafkaErrorCode::State, "no producer yet"));
        };
        let Some(generation) = &self.generation else {
            return Err(Error::local(
                "failed to commit",
                RDKafkaErrorCode::UnknownMemberId,
                "not a member of the group",
            ));
        };
        if consumer.is_assignment_lost() {
            return Err(Error::local(
                "failed to commit",
                RDKafkaErrorCode::UnknownMemberId,
                "the assignment is lost",
            ));
        }
        let deadline = Instant::now() + COMMIT_LIMIT;
        crash::point(Point::BeforeOffsets);
        repeat(deadline, |limit| producer.send_offsets(consumer.topic(), commits, generation, limit))?;
        crash::point(Point::AfterOffsets);
        crash::point_soon(Point::Committing);
        repeat(deadline, |limit| producer.commit(limit))?;
        crash::point(Point::Committed);
        Ok(())
    }

    fn has_committed(&mut self, consumer: &Consumer) {
        let now = Instant::now();
        self.transaction_since = None;
        self.delivery.produced.clear();
        self.progress.committed();
        self.away_since = None;
        self.away_logged_at = None;
        let mut broken = None;
        for (_, run) in self.leases.runs_mut() {
            broken = broken.or(run.at.broken_by_commit());
            run.committed();
            if !run.at.is_flushed() {
                run.redis.behind_since.get_or_insert(now);
            }
        }
        if let Some(invariant) = broken {
            self.telemetry().metrics.violated(invariant);
        }
        self.show_places();
        let Some((producer, _)) = self.producer.ready() else {
            return;
        };
        if producer.take_trouble() {
            // A request of this transaction may still be under way on a broken connection, and could end the next one
            // (librdkafka #5423): only a new epoch fences it.
            tracing::info!("a connection failed during the transaction: the producer is replaced");
            self.replace_and_reload(consumer);
        }
    }

    fn commit_failed(&mut self, consumer: &Consumer, error: &Error) {
        let Some((producer, _)) = self.producer.ready() else {
            return;
        };
        let refusals = producer.take_refusals();
        if !refusals.is_empty() {
            return self.refused(consumer, &refusals);
        }
        match after_commit(error.kind, error.is_in_doubt()) {
            Next::Fenced => self.fenced_or_timed_out(consumer),
            Next::AbortAsFenced => {
                self.telemetry().metrics.fenced(Zombie::Group);
                tracing::warn!(%error, "commit fenced: the group moved on");
                self.generation = None;
                self.abort(consumer, "the group moved on");
            }
            Next::Abort => {
                self.note_away(&self.destinations(), error);
                self.abort(consumer, "the commit was refused");
            }
            Next::Replace => {
                self.note_away("Kafka", error);
                tracing::warn!(%error, "the outcome of a transaction is unknown: the producer is replaced");
                self.telemetry().metrics.transaction(Transaction::Unknown, None);
                self.replace_and_reload(consumer);
            }
        }
    }

    /// Aborts the open transaction; everything in it is read and delivered again.
    pub(super) fn abort(&mut self, consumer: &Consumer, why: &'static str) {
        self.delivery.produced.clear();
        let records = self.progress.aborted();
        let Some((producer, _)) = self.producer.ready() else {
            return;
        };
        tracing::info!(why, records, "transaction aborted");
        self.telemetry().metrics.transaction(Transaction::Aborted, None);
        let aborted = repeat(Instant::now() + ABORT_LIMIT, |limit| producer.abort(limit));
        let trouble = producer.take_trouble();
        producer.take_refusals();
        match aborted {
            Ok(()) if !trouble => {
                self.transaction_since = None;
                self.rewind();
            }
            Err(error) if error.kind == Kind::ProducerFenced => self.fenced_or_timed_out(consumer),
            _ => self.replace_and_reload(consumer),
        }
    }

    /// A worker that slept is fenced in the same words as one whose name another took: by the broker, which ended its
    /// transaction, or by the next owner of its partitions, who could not wait for that.
    fn fenced_or_timed_out(&mut self, consumer: &Consumer) {
        self.telemetry().metrics.fenced(Zombie::Producer);
        let timed_out =
            self.transaction_since.take().is_some_and(|since| since.elapsed() >= client::TRANSACTION_TIMEOUT);
        let was_away = self.lost_at.is_some_and(|at| at.elapsed() < client::TRANSACTION_TIMEOUT);
        if timed_out || was_away {
            tracing::warn!(
                "the transaction of a worker that was away has been ended: the producer is replaced"
            );
            self.replace_and_reload(consumer);
        } else {
            self.fenced();
        }
    }

    /// Makes a new producer, whose epoch fences whatever the old one left under way, and derives every position anew from
    /// what is committed then: the commit may have happened.
    fn replace_and_reload(&mut self, consumer: &Consumer) {
        self.transaction_since = None;
        self.delivery.produced.clear();
        self.progress.aborted();
        self.replace_producer();
        let fetching: Vec<i32> = self.leases.iter().filter(|l| l.fetching).map(|l| l.id.partition).collect();
        if let Err(error) = consumer.pause(&fetching) {
            tracing::debug!(%error, "failed to pause partitions until the producer is replaced");
        }
        for (_, run) in self.leases.runs_mut() {
            run.pause = Some(Pause::Reload);
        }
    }

    pub(super) fn replace_producer(&mut self) {
        match new_producer(&self.settings, &self.transactional_id) {
            Ok(producer) => self.producer = Slot::new(producer),
            Err(failure) => self.failure = Some(failure),
        }
    }

    pub(super) fn fenced(&mut self) {
        let name = &self.settings.name;
        self.failure = Some(Failure::runtime(anyhow::anyhow!(
            "another worker named `{name}` has taken this one's place (transactional id {}): give each worker its own \
             --name",
            self.transactional_id
        )));
    }

    /// Records that brokers did not take: those that a topic refuses for good take their next form; everything else is a
    /// topic that is away.
    pub(super) fn refused(&mut self, consumer: &Consumer, refusals: &[Refusal]) {
        let mut groups: BTreeMap<(i32, bool), Vec<(i64, delivery::Refused)>> = BTreeMap::new();
        let mut away = None;
        for refusal in refusals {
            let Some(produced) = self.delivery.produced.get(refusal.origin) else {
                continue;
            };
            match delivery::refused(refusal.code) {
                Some(refused) => {
                    groups
                        .entry((produced.partition, produced.output))
                        .or_default()
                        .push((produced.offset, refused));
                }
                // Its neighbours in the batch are at fault (KIP-467).
                None if refusal.code == RDKafkaErrorCode::InvalidDifferentRecord => {}
                None => away = Some(refusal.code),
            }
        }
        for ((partition, output), records) in groups {
            let Some(run) = self.leases.get_mut(partition).and_then(|lease| lease.run_mut()) else {
                continue;
            };
            if let [(offset, refused)] = records.as_slice() {
                let form = run.forms.get(offset).copied().unwrap_or(Form::Regular);
                let next = delivery::next(form, output, *refused);
                tracing::warn!(partition, offset, ?refused, ?next, "a topic refused a record for good");
                run.forms.insert(*offset, next);
                run.suspects.remove(offset);
            } else {
                run.suspects.extend(records.iter().map(|(offset, _)| offset));
            }
        }
        if let Some(code) = away {
            let error = Error::local("failed to produce", code, code.to_string());
            self.note_away(&self.destinations(), &error);
        }
        self.abort(consumer, "a topic refused records");
    }

    /// What a transaction writes to, for people.
    pub(super) fn destinations(&self) -> String {
        let (settings, group) = (&self.settings, &self.settings.spec.kafka.group);
        format!("`{}`, `{}` or the group `{group}`", settings.output.name, settings.dead_letters.name)
    }

    /// What the consumer reads from, for people.
    pub(super) fn source(&self) -> String {
        let spec = &self.settings.spec;
        format!("the source topic `{}` or the group `{}`", spec.source.topic, spec.kafka.group)
    }

    /// Says that a service is away: at once, then every 30 seconds.
    pub(super) fn note_away(&mut self, what: &str, error: &Error) {
        let now = Instant::now();
        let since = *self.away_since.get_or_insert(now);
        if self.away_logged_at.is_none_or(|at| now.duration_since(at) >= LOG_AWAY_EVERY) {
            self.away_logged_at = Some(now);
            let away_s = now.duration_since(since).as_secs();
            tracing::warn!(%error, away_s, "waiting for {what}; nothing is lost");
        }
    }

    /// Starts partitions again that wait for the end of a transaction to do so.
    fn reload_paused(&mut self, consumer: &Consumer) {
        if !self.producer.is_ready() {
            return;
        }
        let mut partitions = Vec::new();
        for run in self.leases.runs() {
            if run.pause == Some(Pause::Reload) {
                partitions.push(run.partition);
            }
        }
        if !partitions.is_empty() {
            self.reload(consumer, &partitions);
        }
    }
}

/// Repeats a call that may be repeated, until the deadline.
pub(super) fn repeat(
    deadline: Instant,
    mut call: impl FnMut(Duration) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(left.max(CALL_LIMIT_MIN)) {
            Err(error) if error.kind == Kind::Retriable && !left.is_zero() => {}
            other => return other,
        }
    }
}

/// Just above the transaction's own time-out on the broker: a commit is known to be over then.
const COMMIT_LIMIT: Duration = Duration::from_secs(9);

/// How long an abort is waited for before the producer is replaced, which aborts as well.
const ABORT_LIMIT: Duration = Duration::from_secs(3);

/// Even a late call gets a moment.
const CALL_LIMIT_MIN: Duration = Duration::from_millis(100);

/// How often a service that is away is spoken of.
pub(crate) const LOG_AWAY_EVERY: Duration = Duration::from_secs(30);
