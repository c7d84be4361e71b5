//! Where librdkafka reads, and how it is told.
//!
//! Owns every pause, every seek and the way past offsets that hold no record. librdkafka hands out what it reads from the place
//! at which it stands, and at each rebalance it fetches all partitions again from there: wherever that place may not be the
//! run's own, the run takes nothing more until it has been told anew.

use std::time::{Duration, Instant};

use super::Core;
use super::run::Pause;
use crate::client::{Consumer, Position};

impl Core {
    /// Stops reading a partition; what was read of it behind this point is read again later.
    pub(super) fn pause(&mut self, consumer: &Consumer, partition: i32, pause: Pause) {
        if let Some(run) = self.leases.get_mut(partition).and_then(|lease| lease.run_mut()) {
            run.pause = Some(pause);
        }
        if let Err(error) = consumer.pause(&[partition]) {
            tracing::debug!(partition, %error, "failed to pause a partition");
        }
    }

    /// Reads a paused partition again, from where it was left.
    pub(super) fn resume(&mut self, consumer: &Consumer, partition: i32) {
        let Some(run) = self.leases.get_mut(partition).and_then(|lease| lease.run_mut()) else {
            return;
        };
        (run.pause, run.seek_at) = (None, None);
        let position = Position { partition, offset: run.at.read_next };
        if let Err(error) = consumer.restart(position, SEEK_LIMIT) {
            tracing::debug!(partition, %error, "failed to resume a partition: it is loaded again");
            self.reload(consumer, &[partition]);
        }
    }

    /// Reads again what the aborted transaction delivered.
    pub(super) fn rewind(&mut self) {
        // Every partition, also one of which nothing was delivered: the batch at hand may hold records of it that are
        // passed over now.
        for (_, run) in self.leases.runs_mut() {
            run.rewind();
            run.seek_at = Some(Instant::now());
        }
    }

    /// Tells librdkafka where to go on, wherever that has come due.
    pub(super) fn seek_due(&mut self, consumer: &Consumer) {
        let now = Instant::now();
        let mut positions = Vec::new();
        for (id, run) in self.leases.runs_mut() {
            if run.pause.is_none() && run.seek_at.take_if(|at| *at <= now).is_some() {
                positions.push(Position { partition: id.partition, offset: run.at.read_next });
            }
        }
        if let Err(error) = consumer.seek(&positions, SEEK_LIMIT) {
            tracing::debug!(%error, "failed to seek: the partitions are loaded again");
            let partitions: Vec<i32> = positions.iter().map(|position| position.partition).collect();
            self.reload(consumer, &partitions);
        }
    }

    /// Moves past transaction markers behind the last record, so that at rest positions equal the log's end.
    pub(super) fn skip_markers(&mut self, consumer: &Consumer) {
        let every = if self.settings.bounds.until_end { Duration::ZERO } else { MARKERS_EVERY };
        if self.last_positions_at.elapsed() < every {
            return;
        }
        self.last_positions_at = Instant::now();
        let reading = self.leases.runs().filter(|run| run.is_reading());
        let partitions: Vec<i32> = reading.map(|run| run.partition).collect();
        for position in consumer.positions(&partitions) {
            if let Some(run) = self.leases.get_mut(position.partition).and_then(|lease| lease.run_mut()) {
                run.skip_to(position.offset);
            }
        }
    }
}

/// How long after an error a partition is read again: as long as librdkafka itself would wait (`fetch.error.backoff.ms`).
pub(super) const SEEK_AFTER_ERROR: Duration = Duration::from_millis(500);

/// How often positions behind the last record are looked at: well within the ten seconds that are promised.
const MARKERS_EVERY: Duration = Duration::from_secs(4);

/// How long a seek may take; it is answered by librdkafka's own thread.
pub(super) const SEEK_LIMIT: Duration = Duration::from_secs(2);
