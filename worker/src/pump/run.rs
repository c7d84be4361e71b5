//! One partition that this worker acts for: its positions, its state and its specification.
//!
//! Owns what is counted and delivered of it; its positions decide what is left to do. It never talks to a broker or a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use insights::state::{PartitionState, Scope};
use insights::store::Flush;

use super::unreadable::Stall;
use crate::client::{Commit, Message};
use crate::protocol::delivery::Form;
use crate::protocol::positions::{Gates, Positions};
use crate::protocol::progress::{
    Delivery, Gap, HEAD_SCHEMA, Head, LastRecord, METADATA_FORMAT, Metadata, RevisionStart, Tails,
    UNREADABLE, add_gap, fingerprint,
};
use crate::protocol::start::Halt;
use crate::revision::{Compiled, Timeline};

/// A partition that is being worked on.
pub(crate) struct Run {
    /// The source partition.
    pub(crate) partition: i32,
    /// The incarnation of both sinks.
    pub(crate) incarnation: String,
    /// The source topic's id.
    pub(crate) topic_id: Option<String>,
    /// The first offset that is counted.
    pub(crate) base: i64,
    /// The specifications, by offset.
    pub(crate) timeline: Timeline,
    /// What is counted.
    pub(crate) state: PartitionState,
    /// Where it stands in both sinks.
    pub(crate) at: Positions,
    /// Records that must be what they were, when they are passed.
    pub(crate) checks: Vec<LastRecord>,
    /// A bounded run ends before this offset.
    pub(crate) hold_at: i64,
    /// Where both sinks are level, when another revision waits for that.
    pub(crate) level_at: Option<i64>,
    /// Reading stops before this offset: the lower of the two.
    pub(crate) stop_at: i64,
    /// What is delivered already, where the topics differ in that.
    pub(crate) tails: Tails,
    /// What only delivery knows: as committed, and what the open transaction adds.
    pub(crate) delivery: Delivery,
    /// Refused records and the form in which they go instead.
    pub(crate) forms: BTreeMap<i64, Form>,
    /// Records of a refused batch: each is sent alone until the culprit is known.
    pub(crate) suspects: BTreeSet<i64>,
    /// Records that are lost or unreadable.
    pub(crate) gaps: Vec<Gap>,
    /// Gaps that the open transaction adds.
    pub(crate) pending_gaps: Vec<Gap>,
    /// When librdkafka is told anew where reading goes on; until then, what it hands out is passed over. Needed wherever the
    /// place at which it stands may lie behind a record that was not read: at each rebalance it fetches all partitions
    /// again from there.
    pub(crate) seek_at: Option<Instant>,
    /// Nothing came for a while although the log goes on.
    pub(super) stall: Option<Stall>,
    /// Nothing is read for now, and why.
    pub(crate) pause: Option<Pause>,
    /// What is known of Redis beside the positions.
    pub(crate) redis: RedisSide,
    /// Scopes of a stored state that this one replaces; they go with the first flush.
    pub(super) replaced: Vec<Scope>,
    pub(super) committed_delivery: Delivery,
    pub(super) state_timestamp_ms: i64,
    pub(super) rebuilt_with_revision: Option<u64>,
}

/// Why a partition is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Parts of its state are on their way.
    Scopes,
    /// It reached the offset before which it was to stop.
    Held,
    /// Its log is another one than was counted.
    Halted,
    /// Redis is too far behind.
    Skew,
    /// The end of a batch that the client cannot read is looked for.
    Unreadable,
    /// It starts again from what is stored, once the open transaction is over.
    Reload,
}

/// What is known of Redis beside the positions.
pub(crate) struct RedisSide {
    /// Whether the history there is this run's.
    pub(crate) has_history: bool,
    /// When the last flush was sent.
    pub(crate) flushed_at: Instant,
    /// Since when Redis has been behind.
    pub(crate) behind_since: Option<Instant>,
}

impl Run {
    /// The specification that decides the record at `offset`; a new revision takes effect at its first offset.
    pub(crate) fn enter(&mut self, offset: i64) -> &Arc<Compiled> {
        while let Some((first_offset, _)) = self.timeline.upcoming.front() {
            if *first_offset > offset {
                break;
            }
            if let Some((_, compiled)) = self.timeline.upcoming.pop_front() {
                self.state.adopt(Arc::clone(&compiled.layout));
                self.timeline.current = compiled;
            }
        }
        &self.timeline.current
    }

    /// Checks a record against what a sink remembers of its offset.
    pub(crate) fn recognise(&mut self, message: Message<'_>) -> Result<(), Halt> {
        let offset = message.offset();
        for check in self.checks.extract_if(.., |check| check.offset <= offset) {
            // A record that is no longer there (compaction, retention) is neither an error nor a gap.
            if check.offset == offset && check.fingerprint != fingerprint_of(message) {
                return Err(Halt::Diverged { offset });
            }
        }
        Ok(())
    }

    /// Notes the last record of a batch as the one to be recognised later.
    pub(crate) fn remember(&mut self, message: Message<'_>) {
        let last = LastRecord { offset: message.offset(), fingerprint: fingerprint_of(message) };
        if self.at.remember(last) {
            self.state_timestamp_ms = message.timestamp_ms();
        }
    }

    /// Whether what librdkafka hands out is the next to be read, and the place at which it stands is this run's own.
    pub(crate) fn is_reading(&self) -> bool {
        self.pause.is_none() && self.seek_at.is_none()
    }

    /// Moves past offsets that hold no record.
    pub(crate) fn skip_to(&mut self, position: i64) {
        self.at.skip_to(position.min(self.stop_at));
    }

    /// Moves past what cannot be read, up to `to`: a gap in both sinks. Returns the gap unless both had passed it before.
    pub(crate) fn skip_unreadable(&mut self, to: i64) -> Option<Gap> {
        let to = to.min(self.stop_at);
        let gap = Gap { from: self.at.read_next, to, reason: UNREADABLE.to_owned() };
        if gap.from >= to {
            return None;
        }
        match self.at.skip_unreadable(to) {
            Gates { counts: false, delivers: false } => return None,
            Gates { delivers: true, .. } => self.pending_gaps.push(gap.clone()),
            Gates { .. } => add_gap(&mut self.gaps, gap.clone()),
        }
        Some(gap)
    }

    /// What is committed for this partition.
    pub(crate) fn commit(&self, pipeline: &str) -> Commit {
        let revisions = &self.timeline.history.revisions;
        let metadata = Metadata {
            format: METADATA_FORMAT.to_owned(),
            pipeline: pipeline.to_owned(),
            incarnation: self.incarnation.clone(),
            topic_id: self.topic_id.clone(),
            base: self.base,
            last: self.at.out_last,
            revisions: revisions
                .iter()
                .map(|entry| RevisionStart { revision: entry.revision, first_offset: entry.first_offset })
                .collect(),
            delivery: self.delivery,
            partly_delivered: self.at.out_next < self.tails.furthest(),
        };
        Commit { partition: self.partition, offset: self.at.out_next, metadata: metadata.to_text() }
    }

    /// The open transaction has committed.
    pub(crate) fn committed(&mut self) {
        self.at.commit();
        self.committed_delivery = self.delivery;
        for gap in std::mem::take(&mut self.pending_gaps) {
            add_gap(&mut self.gaps, gap);
        }
        self.forms = self.forms.split_off(&self.at.committed);
        self.suspects = self.suspects.split_off(&self.at.committed);
    }

    /// The open transaction was aborted: what it delivered is delivered again. The state stays ahead, which is right:
    /// it is a function of the log, and its gate skips what it has.
    pub(crate) fn rewind(&mut self) {
        self.at.rewind();
        self.delivery = self.committed_delivery;
        self.pending_gaps.clear();
    }

    /// Whether Redis lacks anything that it may be given.
    pub(crate) fn is_flush_due(&self) -> bool {
        self.pause != Some(Pause::Reload) && self.at.is_flush_due(!self.gaps.is_empty())
    }

    /// Whether a flush is on its way, or due as soon as parts of the state are there.
    pub(crate) fn is_flush_coming(&self) -> bool {
        let waits = self.at.stored.loading && !self.at.is_flushed() && self.pause != Some(Pause::Reload);
        self.at.stored.in_flight.is_some() || waits || self.is_flush_due()
    }

    /// The Kafka timestamp of the last counted record, in milliseconds; -1 when unknown.
    pub(crate) fn last_timestamp_ms(&self) -> i64 {
        self.state_timestamp_ms
    }

    /// The next flush: everything that changed, as absolute values.
    pub(crate) fn flush(&mut self, owner: &str, nonce: &str, now: Instant) -> Flush {
        // Another one at each flush, whoever makes it: parts that belong together are told from others by it.
        let version = rand::random::<u64>() >> VERSION_SHIFT;
        let mut changes = self.state.take_changes(version);
        changes.drops.extend(self.replaced.iter().copied());
        let expected = self.at.stored.token.clone();
        let token = self.at.flush(&self.incarnation, nonce);
        let head = serde_json::to_vec(&self.head(owner)).expect("plain data is JSON");
        let mut fields =
            BTreeMap::from([(PROGRESS.to_owned(), head), (MANIFEST.to_owned(), changes.manifest)]);
        if !self.redis.has_history {
            let history = serde_json::to_vec(&self.timeline.history).expect("plain data is JSON");
            fields.insert(HISTORY.to_owned(), history);
        }
        self.redis.flushed_at = now;
        Flush {
            partition: self.partition,
            expected,
            token,
            head: fields,
            drops: changes.drops,
            puts: changes.puts,
            deletes: changes.deletes,
        }
    }

    /// The flush on its way is stored.
    pub(crate) fn flushed(&mut self, token: &str, now: Instant) {
        if self.at.flushed(token) {
            self.redis.has_history = true;
            self.replaced.clear();
            self.redis.behind_since = (self.at.committed > self.at.stored.next).then_some(now);
            self.state.forget_clean_scopes(SCOPES_KEPT);
        }
    }

    fn head(&self, owner: &str) -> Head {
        Head {
            schema: HEAD_SCHEMA,
            incarnation: self.incarnation.clone(),
            topic_id: self.topic_id.clone(),
            base: self.base,
            next: self.at.state_next,
            last: self.at.state_last,
            last_timestamp_ms: self.state_timestamp_ms,
            kafka_next: self.at.committed,
            kafka_last: self.at.committed_last,
            delivery: self.committed_delivery,
            gaps: self.gaps.clone(),
            owner: owner.to_owned(),
            rebuilt_with_revision: self.rebuilt_with_revision,
        }
    }
}

fn fingerprint_of(message: Message<'_>) -> u64 {
    fingerprint(message.timestamp_ms(), message.key(), message.value())
}

/// The head's field that holds [`Head`].
pub(crate) const PROGRESS: &str = "progress";

/// The head's field that holds the state's manifest.
pub(crate) const MANIFEST: &str = insights::document::MANIFEST;

/// The head's field that holds [`crate::protocol::progress::History`].
pub(crate) const HISTORY: &str = "history";

/// Leaves versions of 40 bits, which are short when written.
const VERSION_SHIFT: u32 = 24;

/// Days that stay in memory when nothing changed in them: today, and yesterday around midnight.
const SCOPES_KEPT: usize = 2;
