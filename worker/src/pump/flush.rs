//! Flushes to Redis, and the pump's regular chores.
//!
//! Owns when a partition's state is stored and when reading waits for that. It never stores anything itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use insights::state::Scope;
use insights::store::Parts;

use super::Core;
use super::event::{Cause, Origin, Report, Request};
use super::lease::LeaseId;
use super::run::Pause;
use crate::client::Consumer;
use crate::clock::now_ms;
use crate::crash::{self, Point};
use crate::telemetry::Zombie;

impl Core {
    /// Flushes every partition whose time has come.
    pub(super) fn flush_due(&mut self) {
        let now = Instant::now();
        let hurry = self.is_print_waiting();
        let mut due = Vec::new();
        for run in self.leases.runs() {
            if run.is_flush_due() && (hurry || now.duration_since(run.redis.flushed_at) >= FLUSH_EVERY) {
                due.push(run.partition);
            }
        }
        for partition in due {
            self.flush_partition(partition);
        }
    }

    /// Flushes a partition now, if there is anything to flush.
    pub(super) fn flush_partition(&mut self, partition: i32) {
        let nonce = format!("{:016x}", rand::random::<u64>());
        let owner = &self.transactional_id;
        let Some(lease) = self.leases.get_mut(partition) else {
            return;
        };
        let id = lease.id.clone();
        let Some(run) = lease.run_mut().filter(|run| run.is_flush_due()) else {
            return;
        };
        let flush = run.flush(owner, &nonce, Instant::now());
        let broken = run.at.broken_by_flush(&flush.token);
        crash::point(Point::FlushMade);
        let timestamp_ms = run.last_timestamp_ms();
        if let Some(invariant) = broken {
            self.telemetry().metrics.violated(invariant);
        }
        let origin = Origin { timestamp_ms, trace: self.spans.latest() };
        self.send(Request::Flush(id, Box::new(flush), origin));
    }

    /// A flush is stored.
    pub(super) fn flushed(&mut self, consumer: &Consumer, id: &LeaseId, token: &str) {
        self.note_flushed(id, token);
        let Some(run) = self.leases.run_of(id) else { return };
        match run.pause {
            Some(Pause::Skew) if run.at.skew() < SKEW_RECORDS_MAX => self.resume(consumer, id.partition),
            // What waited for this flush before it could ask for parts of the state tries again.
            Some(Pause::Scopes) if !run.at.stored.loading => self.resume(consumer, id.partition),
            _ => {}
        }
    }

    pub(super) fn note_flushed(&mut self, id: &LeaseId, token: &str) {
        let now = Instant::now();
        if let Some(run) = self.leases.run_of(id) {
            run.flushed(token, now);
        }
    }

    /// Redis holds another token than this worker believes.
    pub(super) fn conflict(&mut self, consumer: &Consumer, id: &LeaseId, cause: Cause) {
        if self.leases.of(id).is_none() {
            return;
        }
        self.note_conflict(id, cause);
        self.reload(consumer, &[id.partition]);
    }

    pub(super) fn note_conflict(&self, id: &LeaseId, cause: Cause) {
        match cause {
            Cause::Flush => {
                self.telemetry().metrics.fenced(Zombie::Redis);
                tracing::warn!(partition = id.partition, "compare-and-set refused: another state is stored");
            }
            Cause::Check => {
                tracing::warn!(partition = id.partition, "another state is stored than was flushed");
            }
        }
    }

    /// Parts of a state arrived: reading goes on.
    pub(super) fn insert_scopes(
        &mut self,
        consumer: &Consumer,
        id: &LeaseId,
        scopes: &BTreeMap<Scope, Parts>,
    ) {
        let Some(run) = self.leases.run_of(id) else { return };
        run.at.stored.loading = false;
        for (scope, parts) in scopes {
            if let Err(error) = run.state.insert_scope(*scope, parts) {
                tracing::error!(partition = id.partition, %scope, %error, "a stored state is damaged");
                run.pause = Some(Pause::Reload);
                return self.reload(consumer, &[id.partition]);
            }
        }
        if run.pause == Some(Pause::Scopes) {
            self.resume(consumer, id.partition);
        }
    }

    /// Every turn: pauses for Redis, prints. Every five seconds: the report and the check of all tokens.
    pub(super) fn housekeep(&mut self, consumer: &Consumer) {
        self.pause_skewed(consumer);
        self.print_due();
        self.release_held(consumer);
        self.reload_level(consumer);
        self.look_for_stalls(consumer);
        let waits_for_redis = self.leases.runs().next().is_some()
            && self.leases.runs().all(|run| run.pause == Some(Pause::Skew));
        self.spent.turn(Instant::now(), waits_for_redis);
        let since = self.last_housekeeping_at.elapsed();
        if since < HOUSEKEEPING_EVERY && !self.report_due {
            return;
        }
        self.report_due = false;
        self.last_housekeeping_at = Instant::now();
        let records = self.progress.take_reported();
        let gated = std::mem::take(&mut self.gated);
        if gated > 0 {
            tracing::info!(records = gated, "records below a gate were read again and skipped");
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let records_per_second = records as f64 / since.as_secs_f64();
        self.spent.blocked += self.producer.producer.take_waited();
        let (busy, blocked) = self.spent.take(since);
        let since_ms = self.spent.since_ms;
        let positions = self
            .leases
            .runs()
            .map(|run| (run.partition, (run.at.state_next, run.last_timestamp_ms())))
            .collect();
        let queues = [("consumer", consumer.queues()), ("producer", self.producer.producer.queues())];
        self.telemetry().metrics.pump(busy, queues);
        self.send(Request::Report(Report { records_per_second, since_ms, busy, blocked, positions }));
        let mut tokens = Vec::new();
        for (id, run) in self.leases.runs_mut() {
            if let Some(token) = run.at.expects_stored() {
                tokens.push((id.clone(), token.to_owned()));
            }
        }
        self.send(Request::CheckTokens(tokens));
    }

    /// Partitions in which both sinks are level now are loaded again, so that this worker's revision takes over.
    fn reload_level(&mut self, consumer: &Consumer) {
        let mut level = Vec::new();
        for run in self.leases.runs() {
            let is_there = run.level_at.is_some_and(|level_at| run.at.read_next >= level_at);
            if is_there
                && run.at.is_flushed()
                && !run.at.has_uncommitted()
                && run.at.stored.in_flight.is_none()
            {
                level.push(run.partition);
            }
        }
        if !level.is_empty() && self.transaction_since.is_none() {
            self.reload(consumer, &level);
        }
    }

    /// Kafka may run ahead of Redis by so many records or so much time; then reading waits.
    fn pause_skewed(&mut self, consumer: &Consumer) {
        let now = Instant::now();
        let mut skewed = Vec::new();
        for run in self.leases.runs() {
            let too_long =
                run.redis.behind_since.is_some_and(|since| now.duration_since(since) >= SKEW_TIME_MAX);
            if run.pause.is_none() && (run.at.skew() >= SKEW_RECORDS_MAX || too_long && !run.at.is_flushed())
            {
                skewed.push(run.partition);
            }
        }
        for partition in skewed {
            tracing::warn!(partition, "Redis is too far behind: the partition waits; nothing is lost");
            self.pause(consumer, partition, Pause::Skew);
        }
    }
}

/// How the pump spends its time.
pub(super) struct Spent {
    /// Since when it runs, in milliseconds since 1970.
    since_ms: i64,
    turned_at: Instant,
    /// In work and in waiting for the producer, since the last report.
    pub(super) busy: Duration,
    /// In waiting for the producer, or for Redis with all partitions paused, since the last report.
    pub(super) blocked: Duration,
}

impl Spent {
    pub(super) fn new(now: Instant) -> Self {
        Self { since_ms: now_ms(), turned_at: now, busy: Duration::ZERO, blocked: Duration::ZERO }
    }

    /// A turn is over.
    fn turn(&mut self, now: Instant, waits_for_redis: bool) {
        let took = now.duration_since(std::mem::replace(&mut self.turned_at, now));
        if waits_for_redis {
            self.blocked += took;
        }
    }

    /// The shares of that time, which begin anew.
    fn take(&mut self, of: Duration) -> (f64, f64) {
        let share = |spent: &mut Duration| {
            (std::mem::take(spent).as_secs_f64() / of.as_secs_f64().max(f64::EPSILON)).min(1.0)
        };
        (share(&mut self.busy), share(&mut self.blocked))
    }
}

/// How often a partition's state is stored.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// How often the worker reports and all tokens are checked.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(5);

/// How far Kafka may run ahead of Redis in a partition.
const SKEW_RECORDS_MAX: i64 = 1_000_000;
const SKEW_TIME_MAX: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_redis_is_no_work_but_blocks_and_each_report_begins_anew() {
        let start = Instant::now();
        let mut spent = Spent::new(start);
        spent.turn(start + Duration::from_secs(1), false);
        spent.turn(start + Duration::from_secs(3), true);
        spent.busy = Duration::from_secs(6);
        assert_eq!(spent.take(Duration::from_secs(4)), (1.0, 0.5));
        assert_eq!(spent.take(Duration::from_secs(4)), (0.0, 0.0));
    }
}
