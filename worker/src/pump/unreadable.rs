//! What stands in the log and cannot be read.
//!
//! Owns when its end is looked for, and the way past it. It never guesses where that is.

use std::time::{Duration, Instant};

use super::Core;
use super::event::Request;
use super::lease::LeaseId;
use super::run::Pause;
use crate::client::{Consumer, Error};

/// Where no record came although the log goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    at: i64,
    /// When it is looked at.
    due: Instant,
    /// Whether it was looked at before.
    is_known: bool,
}

/// When places from which nothing comes are looked for.
pub(super) struct Stalls {
    last_at: Instant,
    /// Whether some are being looked at.
    pub(super) is_asked: bool,
}

impl Stalls {
    /// Not before a while from now.
    pub(super) fn new(now: Instant) -> Self {
        Self { last_at: now, is_asked: false }
    }
}

impl Core {
    /// A batch that the client cannot read: its end is looked for once that is no accident on the way.
    pub(super) fn unreadable(&mut self, consumer: &Consumer, partition: i32, error: &Error) {
        let Some(lease) = self.leases.get_mut(partition) else { return };
        let id = lease.id.clone();
        let Some(from) = lease.run_mut().filter(|run| run.pause.is_none()).map(|run| run.at.read_next) else {
            return;
        };
        if lease.failed_to_read(from, Instant::now()) {
            tracing::warn!(partition, from, %error, "records cannot be read: their end is looked for");
            self.find_readable(consumer, id, from);
        }
    }

    /// The end of what cannot be read is found.
    pub(super) fn readable(&mut self, consumer: &Consumer, id: &LeaseId, from: i64, to: i64) {
        let Some(run) = self.leases.run_of(id).filter(|run| run.pause == Some(Pause::Unreadable)) else {
            return;
        };
        // After an abort in between, what comes before is read again first.
        if run.at.read_next == from
            && let Some(gap) = run.skip_unreadable(to)
        {
            let (partition, from, to) = (id.partition, gap.from, gap.to);
            tracing::error!(
                partition,
                from,
                to,
                "records cannot be read and are passed over: a gap `unreadable`"
            );
        }
        self.resume(consumer, id.partition);
    }

    /// librdkafka stalls without an error at a record that makes no sense (librdkafka #5581): places from which nothing comes
    /// although the log goes on are looked at by themselves. Nearly always their turn has only not come: behind a backlog each
    /// answer brings the records of some partitions, and the next one begins one partition further on.
    pub(super) fn look_for_stalls(&mut self, consumer: &Consumer) {
        let now = Instant::now();
        if self.stalls.is_asked || now.duration_since(self.stalls.last_at) < STALLS_EVERY {
            return;
        }
        self.stalls.last_at = now;
        let mut stalled = Vec::new();
        for (id, run) in self.leases.runs_mut() {
            let at = run.at.read_next;
            if run.pause.is_some() || at >= consumer.high_watermark(id.partition) {
                run.stall = None;
                continue;
            }
            match run.stall.filter(|stall| stall.at == at) {
                None => run.stall = Some(Stall { at, due: now + STALLED_AFTER, is_known: false }),
                // Some producer's transaction may be open for long: not too often, then.
                Some(stall) if stall.due <= now => {
                    run.stall = Some(Stall { at, due: now + STALLED_AGAIN_AFTER, is_known: true });
                    // Readable, and yet nothing came for a minute: librdkafka is told the position anew.
                    if stall.is_known {
                        run.seek_at = Some(now);
                    }
                    stalled.push((id.clone(), at));
                }
                Some(_) => {}
            }
        }
        if !stalled.is_empty() {
            let partitions = stalled.len();
            tracing::debug!(partitions, "no record comes although the log goes on: looks whether one can");
            self.stalls.is_asked = true;
            self.send(Request::CheckStalled(stalled));
        }
    }

    /// Nobody gets a record from there: the end of what cannot be read is looked for; if there is no such thing, reading goes
    /// on.
    pub(super) fn stalled(&mut self, consumer: &Consumer, id: &LeaseId, from: i64) {
        let Some(run) = self.leases.run_of(id) else { return };
        if run.pause.is_some() || run.at.read_next != from {
            return;
        }
        let partition = id.partition;
        tracing::info!(partition, from, "no record comes although the log goes on: looks why");
        self.find_readable(consumer, id.clone(), from);
    }

    fn find_readable(&mut self, consumer: &Consumer, id: LeaseId, from: i64) {
        self.pause(consumer, id.partition, Pause::Unreadable);
        self.send(Request::FindReadable(id, from));
    }
}

const STALLS_EVERY: Duration = Duration::from_secs(1);

/// How long nothing may come from a log that goes on.
const STALLED_AFTER: Duration = Duration::from_secs(5);
const STALLED_AGAIN_AFTER: Duration = Duration::from_mins(1);
