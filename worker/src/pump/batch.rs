//! The hot path: from a batch of records to counts and produced records.
//!
//! Owns the walk over a batch, record by record and strictly in order. It never commits.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Instant;

use insights::record::{Login, Scratch};
use insights::state::Scope;
use rdkafka::types::RDKafkaErrorCode;

use super::Core;
use super::event::Request;
use super::reading::SEEK_AFTER_ERROR;
use super::run::{Pause, Run};
use crate::backend::is_unreadable;
use crate::client::{Batch, Consumer, Error, Kind, Message};
use crate::logs;
use crate::protocol::delivery::OUTPUT_REFUSED;
use crate::protocol::positions::Gates;
use crate::protocol::start::Halt;
use crate::revision::Compiled;
use crate::telemetry::Tally;

/// What became of a record.
enum Step {
    /// It is counted and delivered, or was before.
    Done,
    /// The partition reads no further for now.
    Paused(Pause),
    /// It is not the record that it was.
    Halted(Halt),
    /// The producer did not take it.
    Failed(Error),
}

impl Core {
    /// Counts and delivers a batch.
    pub(super) fn process(&mut self, consumer: &Consumer, batch: &Batch) {
        if !batch.is_empty() && self.producer.is_ready() {
            // Once a batch, now: a zombie that wakes up with a full batch must not commit it under a later generation.
            self.recapture_generation(consumer);
        }
        let started_at = Instant::now();
        let mut messages = batch.iter().peekable();
        while let Some(&message) = messages.peek() {
            if let Some(code) = message.error() {
                messages.next();
                self.consumer_error(consumer, message, code);
                continue;
            }
            self.process_run(consumer, message.partition(), &mut messages);
        }
        let tally = std::mem::take(&mut self.tally);
        if tally != Tally::default() {
            self.telemetry().metrics.processed(&tally, started_at.elapsed());
        }
    }

    /// Counts and delivers the records of one partition that follow each other in a batch.
    fn process_run<'a>(
        &mut self,
        consumer: &Consumer,
        partition: i32,
        messages: &mut Peekable<impl Iterator<Item = Message<'a>>>,
    ) {
        let run = if self.producer.is_ready() { self.leases.take_run(partition) } else { None };
        let Some(mut run) = run else {
            // Read before the partition was given up or paused: whoever reads it next starts where it was left.
            while next_of(messages, partition).is_some() {}
            return;
        };
        let _batch = messages.peek().map(|first| logs::Batch::enter(partition, first.offset()));
        let mut compiled = Arc::clone(&run.timeline.current);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut last = None;
        let mut stopped = None;
        while let Some(message) = next_of(messages, partition) {
            if stopped.is_some() || !run.is_reading() {
                continue;
            }
            match self.step(&mut run, &mut compiled, &mut scratch, message) {
                Step::Done => last = Some(message),
                other => stopped = Some(other),
            }
        }
        self.scratch = scratch;
        if let Some(message) = last {
            run.remember(message);
        }
        self.leases.put_back(run);
        match stopped {
            None | Some(Step::Done) => {}
            Some(Step::Paused(pause)) => self.pause(consumer, partition, pause),
            Some(Step::Halted(halt)) => self.diverged(consumer, partition, &halt),
            Some(Step::Failed(error)) => self.produce_failed(consumer, &error),
        }
    }

    /// Counts and delivers one record, unless its gates say that this was done.
    fn step(
        &mut self,
        run: &mut Run,
        compiled: &mut Arc<Compiled>,
        scratch: &mut Scratch,
        message: Message<'_>,
    ) -> Step {
        let offset = message.offset();
        if offset < run.at.read_next {
            return Step::Done;
        }
        if offset >= run.stop_at {
            return Step::Paused(Pause::Held);
        }
        let is_looked_at = !run.checks.is_empty();
        if is_looked_at && let Err(halt) = run.recognise(message) {
            return Step::Halted(halt);
        }
        if !run.timeline.upcoming.is_empty() {
            *compiled = Arc::clone(run.enter(offset));
        }
        let Gates { counts, delivers } = run.at.gates(offset);
        if delivers && !self.progress.may_take() {
            return Step::Paused(Pause::Held);
        }
        // The record that the sinks remember is read again only to be recognised.
        if !(counts && delivers || is_looked_at && !counts && !delivers) {
            self.gated += 1;
            self.tally.gated += 1;
        }
        let delivered = if counts || delivers {
            match self.count_and_deliver(run, compiled, scratch, message, Gates { counts, delivers }) {
                Ok(None) => Ok(()),
                Ok(Some(pause)) => return Step::Paused(pause),
                Err(error) => Err(error),
            }
        } else {
            Ok(())
        };
        if counts {
            run.at.counted(offset);
            let bytes = message.key().map_or(0, <[u8]>::len) + message.value().map_or(0, <[u8]>::len);
            self.tally.consumed_bytes += bytes as u64;
        }
        if let Err(error) = delivered {
            return Step::Failed(error);
        }
        if delivers {
            run.at.delivered(offset);
            self.progress.took();
        }
        run.at.read(offset);
        Step::Done
    }

    fn count_and_deliver(
        &mut self,
        run: &mut Run,
        compiled: &Compiled,
        scratch: &mut Scratch,
        message: Message<'_>,
        Gates { counts, delivers }: Gates,
    ) -> Result<Option<Pause>, Error> {
        match &compiled.decoder.decode(scratch, message.value(), message.timestamp_ms()) {
            Ok(login) => self.take_login(run, message, login, counts, delivers),
            Err(rejection) => {
                if counts {
                    run.state.count_dead_letter(rejection.reason);
                    self.tally.rejected += 1;
                }
                if delivers {
                    self.telemetry().metrics.dead_letter(rejection.reason.code());
                    let produced = self.deliver(run, message, |delivery, producer, topics, run| {
                        delivery.rejection(producer, topics, run, message, *rejection)
                    });
                    produced.map(|()| None)
                } else {
                    Ok(None)
                }
            }
        }
    }

    fn take_login(
        &mut self,
        run: &mut Run,
        message: Message<'_>,
        login: &Login<'_>,
        counts: bool,
        delivers: bool,
    ) -> Result<Option<Pause>, Error> {
        if counts {
            if let Err(error) = run.state.count_login(login.counted()) {
                tracing::debug!(partition = run.partition, %error, "parts of a state are loaded");
                let mut missing = BTreeSet::new();
                run.state.missing_scopes(login.time_ms, &mut missing);
                self.request_scopes(run, missing);
                return Ok(Some(Pause::Scopes));
            }
            let outcome = if login.processed { &mut self.tally.passed } else { &mut self.tally.filtered };
            *outcome += 1;
        }
        if self.unpassed < UNPASSED_MAX {
            self.note_passing(login);
        }
        if delivers && login.processed {
            let refused = run.delivery.output_refused;
            self.deliver(run, message, |delivery, producer, topics, run| {
                delivery.output(producer, topics, run, message, login)
            })?;
            if run.delivery.output_refused > refused {
                self.telemetry().metrics.dead_letter(OUTPUT_REFUSED);
            } else {
                self.tally.produced_bytes += self.delivery.output_bytes();
            }
        }
        Ok(None)
    }

    /// Says once when a thousand logins came and the filter let none of them through: it may not be what was meant.
    fn note_passing(&mut self, login: &Login<'_>) {
        self.unpassed = if login.processed { UNPASSED_MAX } else { self.unpassed + 1 };
        if self.unpassed == UNPASSED_MAX && !login.processed {
            let seen: Vec<String> = login
                .filtered_by()
                .map(|(field, value)| format!("{field} is {}", value.unwrap_or("absent")))
                .collect();
            tracing::warn!(
                filter = ?self.settings.spec.filter,
                seen = seen.join(", "),
                "none of the first {UNPASSED_MAX} logins passed the filter"
            );
        }
    }

    /// Produces within the open transaction; a record under suspicion goes alone, so that its refusal is its own.
    fn deliver(
        &mut self,
        run: &mut Run,
        message: Message<'_>,
        produce: impl FnOnce(
            &mut super::Delivery,
            &crate::client::Producer,
            &super::deliver::Topics,
            &mut Run,
        ) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.ensure_transaction()?;
        let Some((producer, topics)) = self.producer.ready() else {
            return Err(Error::local("failed to produce", RDKafkaErrorCode::State, "no producer yet"));
        };
        if run.suspects.is_empty() || !run.suspects.contains(&message.offset()) {
            return produce(&mut self.delivery, producer, topics, run);
        }
        producer.flush(SUSPECT_LIMIT);
        produce(&mut self.delivery, producer, topics, run)?;
        producer.flush(SUSPECT_LIMIT);
        run.suspects.remove(&message.offset());
        Ok(())
    }

    fn request_scopes(&mut self, run: &mut Run, missing: BTreeSet<Scope>) {
        // Only a state that Redis holds has scopes that are not in memory; a flush on its way is waited for.
        let Some(token) = run.at.stored.token.clone() else {
            return;
        };
        if run.at.stored.in_flight.is_some() || run.at.stored.loading {
            return;
        }
        run.at.stored.loading = true;
        let id = self.leases.get_mut(run.partition).map(|lease| lease.id.clone());
        if let Some(id) = id {
            self.send(Request::LoadScopes(id, token, missing.into_iter().collect()));
        }
    }

    /// The log is another one than was counted: the partition halts, and is looked at again from what is stored.
    fn diverged(&mut self, consumer: &Consumer, partition: i32, halt: &Halt) {
        tracing::error!(partition, "partition halted: {halt}");
        self.pause(consumer, partition, Pause::Halted);
        if self.settings.bounds.is_bounded() {
            let failure = anyhow::Error::new(halt.clone()).context(format!("partition {partition} halted"));
            self.failure = Some(crate::exit::Failure::runtime(failure));
        }
    }

    fn produce_failed(&mut self, consumer: &Consumer, error: &Error) {
        let mut cause = None;
        // A record that was refused before makes the client refuse all that follow.
        if let Some((producer, _)) = self.producer.ready() {
            producer.flush(REFUSALS_LIMIT);
            let refusals = producer.take_refusals();
            if !refusals.is_empty() {
                return self.refused(consumer, &refusals);
            }
            if self.transaction_since.is_some() {
                cause = producer.transaction_error();
            }
        }
        let error = cause.as_ref().unwrap_or(error);
        match error.kind {
            Kind::ProducerFenced | Kind::Fatal => {
                tracing::warn!(%error, "the producer is of no more use");
                self.abort(consumer, "the producer failed");
            }
            _ => {
                self.note_away(&self.destinations(), error);
                self.abort(consumer, "a record could not be produced");
            }
        }
    }

    /// Errors that stand in a batch in place of records.
    fn consumer_error(&mut self, consumer: &Consumer, message: Message<'_>, code: RDKafkaErrorCode) {
        let partition = message.partition();
        if let Some(run) = self.leases.get_mut(partition).and_then(|lease| lease.run_mut()) {
            // librdkafka takes an error for a record, and itself to stand behind it (librdkafka #5213).
            run.seek_at.get_or_insert(Instant::now() + SEEK_AFTER_ERROR);
        }
        let error = Error::local("failed to read the source topic", code, message.error_text());
        match code {
            // The offset is no longer (or not yet) in the log: the start is decided anew.
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                let run = self.leases.get_mut(partition).and_then(|lease| lease.run_mut());
                if run.is_some_and(|run| run.pause == Some(Pause::Unreadable)) {
                    // librdkafka takes what stands behind a damaged batch for its next offset.
                    return;
                }
                tracing::warn!(partition, %error, "the log moved away: the partition is loaded again");
                self.reload(consumer, &[partition]);
            }
            code if is_unreadable(code) => self.unreadable(consumer, partition, &error),
            RDKafkaErrorCode::PollExceeded => tracing::warn!(%error, "the pump was too slow"),
            _ => self.note_away(&self.source(), &error),
        }
    }
}

fn next_of<'a>(
    messages: &mut Peekable<impl Iterator<Item = Message<'a>>>,
    partition: i32,
) -> Option<Message<'a>> {
    messages.next_if(|message| message.partition() == partition && message.error().is_none())
}

/// So many logins of which none passes are worth a line.
const UNPASSED_MAX: u32 = 1000;

/// How long the reports of refused records are waited for once the client refuses all others.
const REFUSALS_LIMIT: std::time::Duration = std::time::Duration::from_millis(500);

/// How long a single record under suspicion is waited for.
const SUSPECT_LIMIT: std::time::Duration = std::time::Duration::from_secs(3);
