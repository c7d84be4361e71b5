//! Where a partition that is worked on stands in both sinks, and every step that moves it.
//!
//! Owns the two gates: a record is counted once in the state and delivered once to Kafka, whatever is read again. The
//! model in `model/` checks these very functions.

use super::progress::LastRecord;
use super::start::Plan;

/// Where a partition stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Positions {
    /// The next offset to be read.
    pub(crate) read_next: i64,
    /// Records below are counted.
    pub(crate) state_next: i64,
    /// Records below are delivered, if the open transaction commits.
    pub(crate) out_next: i64,
    /// Records below are delivered for good.
    pub(crate) committed: i64,
    /// The commit comes due although nothing was read.
    pub(crate) commit_due: bool,
    /// The last counted record.
    pub(crate) state_last: Option<LastRecord>,
    /// The last record that is delivered, if the open transaction commits.
    pub(crate) out_last: Option<LastRecord>,
    /// The last record that is delivered for good.
    pub(crate) committed_last: Option<LastRecord>,
    /// What Redis holds.
    pub(crate) stored: Stored,
}

/// What Redis holds of a partition, as far as this worker knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stored {
    /// The token that is stored; none: nothing is.
    pub(crate) token: Option<String>,
    /// The next offset of the state that is stored.
    pub(crate) next: i64,
    /// The Kafka progress that is mirrored there.
    pub(crate) kafka_next: i64,
    /// A flush is on its way: its token, position and mirror.
    pub(crate) in_flight: Option<(String, i64, i64)>,
    /// Parts of the state are being loaded.
    pub(crate) loading: bool,
}

/// What is left to do for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gates {
    /// It is not counted yet.
    pub(crate) counts: bool,
    /// It is not delivered yet.
    pub(crate) delivers: bool,
}

impl Positions {
    /// Where a partition stands as it starts. `stored`: the next offsets in the head that is counted on.
    pub(crate) fn new(
        plan: &Plan,
        read_from: i64,
        token: Option<String>,
        stored: Option<(i64, i64)>,
    ) -> Self {
        let (next, kafka_next) = stored.unwrap_or((plan.base, plan.base));
        Self {
            read_next: read_from,
            state_next: plan.state_next,
            out_next: plan.kafka_next,
            committed: plan.kafka_next,
            commit_due: plan.commit_at_once || plan.look_into_output || plan.gap.is_some(),
            state_last: plan.state_last,
            out_last: plan.kafka_last,
            committed_last: plan.kafka_last,
            stored: Stored { token, next, kafka_next, in_flight: None, loading: false },
        }
    }

    /// What is left to do for the record at `offset`.
    pub(crate) fn gates(&self, offset: i64) -> Gates {
        Gates { counts: offset >= self.state_next, delivers: offset >= self.out_next }
    }

    /// The record at `offset` is read.
    pub(crate) fn read(&mut self, offset: i64) {
        self.read_next = offset + 1;
    }

    /// The record at `offset` is counted.
    pub(crate) fn counted(&mut self, offset: i64) {
        self.state_next = offset + 1;
    }

    /// The record at `offset` is delivered by the open transaction.
    pub(crate) fn delivered(&mut self, offset: i64) {
        self.out_next = offset + 1;
    }

    /// Notes the last record of a batch as the one to be recognised later. Returns whether it is the last counted one.
    pub(crate) fn remember(&mut self, last: LastRecord) -> bool {
        let is_counted = self.state_next == last.offset + 1;
        if is_counted {
            self.state_last = Some(last);
        }
        if self.out_next == last.offset + 1 {
            self.out_last = Some(last);
        }
        is_counted
    }

    /// Moves past offsets that hold no record.
    pub(crate) fn skip_to(&mut self, position: i64) {
        if position <= self.read_next {
            return;
        }
        if self.state_next >= self.read_next {
            self.state_next = self.state_next.max(position);
        }
        if self.out_next >= self.read_next {
            self.out_next = self.out_next.max(position);
        }
        self.read_next = position;
    }

    /// Moves past what cannot be read, up to `to`. Returns which sinks had not passed it before.
    pub(crate) fn skip_unreadable(&mut self, to: i64) -> Gates {
        let gates = self.gates(to - 1);
        self.read_next = self.read_next.max(to);
        self.state_next = self.state_next.max(to);
        self.out_next = self.out_next.max(to);
        gates
    }

    /// Whether a commit would tell Kafka anything new.
    pub(crate) fn has_uncommitted(&self) -> bool {
        self.out_next > self.committed || self.commit_due
    }

    /// Whether Kafka lacks anything that was counted or delivered.
    pub(crate) fn is_behind(&self) -> bool {
        self.has_uncommitted() || self.state_next > self.committed
    }

    /// The open transaction has committed.
    pub(crate) fn commit(&mut self) {
        self.committed = self.out_next;
        self.committed_last = self.out_last;
        self.commit_due = false;
    }

    /// The open transaction was aborted: what it delivered is delivered again. The state stays ahead, which is right:
    /// it is a function of the log, and its gate skips what it has.
    pub(crate) fn rewind(&mut self) {
        self.out_next = self.committed;
        self.out_last = self.committed_last;
        self.read_next = self.out_next.min(self.state_next);
    }

    /// Whether Redis lacks anything that it may be given: a state at an offset that Kafka has committed.
    pub(crate) fn is_flush_due(&self, has_gaps: bool) -> bool {
        let news = self.state_next > self.stored.next || self.committed > self.stored.kafka_next;
        let idle = self.stored.in_flight.is_none() && !self.stored.loading;
        let has_progress = self.state_last.is_some() || self.stored.token.is_some() || has_gaps;
        news && idle && has_progress && self.state_next <= self.committed
    }

    /// The state is on its way to Redis. Returns the token that it is stored under.
    pub(crate) fn flush(&mut self, incarnation: &str, nonce: &str) -> String {
        let token = format!("{incarnation}|{}|{nonce}", self.state_next);
        self.stored.in_flight = Some((token.clone(), self.state_next, self.committed));
        token
    }

    /// A flush is stored. Returns whether it is the one on its way.
    pub(crate) fn flushed(&mut self, token: &str) -> bool {
        let Some((token, next, kafka_next)) = self.stored.in_flight.take_if(|(sent, ..)| sent == token)
        else {
            return false;
        };
        self.stored = Stored { token: Some(token), next, kafka_next, ..self.stored.clone() };
        true
    }

    /// The token that must be stored now; none while that is not known.
    pub(crate) fn expects_stored(&self) -> Option<&str> {
        self.stored.token.as_deref().filter(|_| self.stored.in_flight.is_none())
    }

    /// The promise that a commit of these positions would break; none, or there is a bug.
    pub(crate) fn broken_by_commit(&self) -> Option<&'static str> {
        if self.out_next < self.committed {
            return Some(COMMITTED_OFFSET_FELL);
        }
        let has_all = self.read_next <= self.state_next && self.read_next <= self.out_next;
        (!has_all).then_some(RECORDS_PASSED_OVER)
    }

    /// The promise that a flush of these positions under this token would break; none, or there is a bug.
    pub(crate) fn broken_by_flush(&self, token: &str) -> Option<&'static str> {
        if self.state_next > self.committed {
            return Some(REDIS_AHEAD_OF_KAFKA);
        }
        if self.state_next < self.stored.next {
            return Some(STORED_POSITION_FELL);
        }
        (self.stored.token.as_deref() == Some(token)).then_some(TOKEN_REUSED)
    }

    /// Whether Redis has everything that was counted.
    pub(crate) fn is_flushed(&self) -> bool {
        self.stored.next >= self.state_next
    }

    /// How many counted offsets Redis lacks.
    pub(crate) fn skew(&self) -> i64 {
        self.state_next.saturating_sub(self.stored.next)
    }
}

/// Every promise that is checked at each commit and each flush.
pub(crate) const INVARIANTS: [&str; 5] =
    [COMMITTED_OFFSET_FELL, RECORDS_PASSED_OVER, REDIS_AHEAD_OF_KAFKA, STORED_POSITION_FELL, TOKEN_REUSED];

const COMMITTED_OFFSET_FELL: &str = "committed_offset_fell";
const RECORDS_PASSED_OVER: &str = "records_passed_over";
const REDIS_AHEAD_OF_KAFKA: &str = "redis_ahead_of_kafka";
const STORED_POSITION_FELL: &str = "stored_position_fell";
const TOKEN_REUSED: &str = "token_reused";
