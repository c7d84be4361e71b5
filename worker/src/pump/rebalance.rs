//! Rebalances, served inside the consumer's poll on the pump's own thread.
//!
//! Owns what happens between the group's word and our answer. Assigning never waits; revoking finishes what was begun.

use std::time::{Duration, Instant};

use std::sync::atomic::Ordering;

use super::event::{Event, Request};
use super::lease::LeaseId;
use super::run::Pause;
use super::{Core, DRAIN_LIMIT};
use crate::client::{Consumer, RebalanceHandler};
use crate::crash::{self, Point};
use crate::telemetry::Rebalance;

impl RebalanceHandler for Core {
    fn assigned(&mut self, consumer: &Consumer, partitions: &[i32]) {
        tracing::info!(
            ?partitions,
            open_transaction = self.transaction_since.is_some(),
            "partitions assigned"
        );
        let _span = tracing::info_span!("assign", ?partitions).entered();
        crash::point(Point::Assigned);
        self.telemetry().metrics.rebalanced(Rebalance::Assigned);
        self.telemetry().health.joined(true);
        let ids: Vec<_> = partitions.iter().map(|&partition| self.leases.grant(partition)).collect();
        // What was read before is still ours: the group only moved to its next generation.
        self.recapture_generation(consumer);
        self.progress.rebalanced();
        self.note_publisher();
        if !ids.is_empty() {
            self.send(Request::Load(ids));
        }
    }

    fn revoked(&mut self, consumer: &Consumer, partitions: &[i32], lost: bool) -> Vec<i32> {
        tracing::info!(
            ?partitions,
            lost,
            open_transaction = self.transaction_since.is_some(),
            "partitions revoked"
        );
        let _span = tracing::info_span!("revoke", ?partitions, lost).entered();
        crash::point(Point::Revoked);
        self.telemetry().metrics.rebalanced(if lost { Rebalance::Lost } else { Rebalance::Revoked });
        if lost {
            self.telemetry().health.joined(false);
        }
        if lost {
            self.lost_at = Some(Instant::now());
            if self.transaction_since.is_some() {
                self.abort(consumer, "the group gave the partitions to others");
            }
        } else {
            self.recapture_generation(consumer);
            self.commit(consumer);
            self.flush_out(partitions, REVOKE_LIMIT);
        }
        crash::point(Point::RevokedDrained);
        let mut fetching = Vec::new();
        for &partition in partitions {
            if self.leases.end(partition).is_some_and(|lease| lease.fetching) {
                fetching.push(partition);
            }
        }
        self.progress.rebalanced();
        self.note_publisher();
        self.show_places();
        fetching
    }
}

impl Core {
    /// This worker is to leave.
    pub(super) fn leave_soon(&mut self) {
        self.leave_by.get_or_insert_with(|| Instant::now() + LEAVE_LIMIT);
    }

    /// Whether this worker is to leave, and everything that it has read is committed. A rebalance that is under way refuses a
    /// commit: what was aborted is read and delivered again, then.
    pub(super) fn may_leave(&mut self, consumer: &Consumer) -> bool {
        let Some(leave_by) = self.leave_by else { return false };
        if self.producer.is_ready() {
            self.recapture_generation(consumer);
            self.commit(consumer);
        }
        let is_behind = self.leases.runs().any(|run| run.at.is_behind());
        !is_behind || Instant::now() >= leave_by
    }

    /// Drains and leaves the group.
    pub(super) fn drain(&mut self, consumer: &Consumer) {
        let started_at = Instant::now();
        let partitions: Vec<i32> = self.leases.iter().map(|lease| lease.id.partition).collect();
        let is_in_vain = self.leave_by.is_some_and(|leave_by| started_at >= leave_by);
        if self.failure.is_none() && self.producer.is_ready() && !is_in_vain {
            self.recapture_generation(consumer);
            self.commit(consumer);
        }
        self.flush_out(&partitions, DRAIN_LIMIT);
        let is_behind = self.leases.runs().any(|run| !run.at.is_flushed() || run.at.is_behind());
        self.drained_clean = !is_behind;
        crash::point(Point::Drained);
        consumer.close(self);
        tracing::info!(clean = self.drained_clean, took_ms = started_at.elapsed().as_millis(), "drained");
    }

    /// Flushes these partitions, whose leases end, and waits until Redis has them, or the time is up.
    pub(super) fn flush_out(&mut self, partitions: &[i32], limit: Duration) {
        let deadline = Instant::now() + limit;
        let ends = |id: &LeaseId| partitions.contains(&id.partition);
        loop {
            let mut waiting = false;
            for &partition in partitions {
                self.flush_partition(partition);
                let run = self.leases.get_mut(partition).and_then(|lease| lease.run_mut());
                waiting |= run.is_some_and(|run| run.is_flush_coming());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !waiting || left.is_zero() {
                return;
            }
            match self.settings.events.recv_timeout(left) {
                Ok(Event::Flushed(id, token)) if ends(&id) => self.note_flushed(&id, &token),
                Ok(Event::Conflict(id, cause)) if ends(&id) => {
                    // The next owner starts from what is stored; here there is nothing left to save.
                    self.note_conflict(&id, cause);
                    if let Some(run) = self.leases.run_of(&id) {
                        run.at.stored.in_flight = None;
                        run.pause = Some(Pause::Reload);
                    }
                }
                // Nothing more is counted, so that nobody needs the parts; but a flush could not pass their load.
                Ok(Event::Scopes(id, _)) if ends(&id) => {
                    if let Some(run) = self.leases.run_of(&id) {
                        run.at.stored.loading = false;
                    }
                }
                // What a partition that stays waits for is more than a note.
                Ok(other) => self.deferred.push_back(other),
                Err(_) => return,
            }
        }
    }

    /// Captures the group's generation anew; without one, what is open is aborted at its commit.
    pub(super) fn recapture_generation(&mut self, consumer: &Consumer) {
        self.generation = consumer.generation();
    }

    fn note_publisher(&mut self) {
        let publishes = self.leases.get_mut(0).is_some();
        self.settings.publishes.store(publishes, Ordering::Relaxed);
    }
}

/// How long a worker that is to leave tries to commit what it has read.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// Below the session's time-out, with room for the commit before.
const REVOKE_LIMIT: Duration = Duration::from_secs(3);
