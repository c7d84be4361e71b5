//! A partition as it starts: what was found out, made into a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use insights::state::{PartitionState, Scope};

use super::run::{RedisSide, Run};
use crate::protocol::positions::Positions;
use crate::protocol::progress::{Delivery, Gap, Head, Tails};
use crate::protocol::start::Plan;
use crate::revision::Timeline;

/// What a partition starts with.
pub(crate) struct Beginning {
    /// The source partition.
    pub(crate) partition: i32,
    /// The decision.
    pub(crate) plan: Plan,
    /// The source topic's id.
    pub(crate) topic_id: Option<String>,
    /// The specifications.
    pub(crate) timeline: Timeline,
    /// What is counted so far.
    pub(crate) state: PartitionState,
    /// The token that is stored; none: nothing is.
    pub(crate) token: Option<String>,
    /// The head of the stored state, when it is counted on.
    pub(crate) head: Option<Head>,
    /// What is delivered already, where the topics differ in that.
    pub(crate) tails: Tails,
    /// What only delivery knows.
    pub(crate) delivery: Delivery,
    /// Known gaps.
    pub(crate) gaps: Vec<Gap>,
    /// Scopes of a stored state that this one replaces.
    pub(crate) replaced: Vec<Scope>,
    /// Whether Redis holds the timeline's history.
    pub(crate) has_history: bool,
    /// The first offset to be read.
    pub(crate) read_from: i64,
    /// A bounded run ends before this offset.
    pub(crate) hold_at: i64,
    /// Where both sinks are level, when another revision waits for that.
    pub(crate) level_at: Option<i64>,
    /// Now.
    pub(crate) now: Instant,
}

impl Run {
    /// A partition as it starts.
    pub(crate) fn new(beginning: Beginning) -> Self {
        let Beginning {
            partition,
            plan,
            topic_id,
            timeline,
            state,
            token,
            head,
            tails,
            delivery,
            gaps,
            replaced,
            has_history,
            read_from,
            hold_at,
            level_at,
            now,
        } = beginning;
        let rebuilt_with_revision = match &head {
            Some(head) => head.rebuilt_with_revision,
            None => timeline.substituted.then_some(timeline.current.revision),
        };
        let state_timestamp_ms = head.as_ref().map_or(-1, |head| head.last_timestamp_ms);
        let stored = head.as_ref().map(|head| (head.next, head.kafka_next));
        let at = Positions::new(&plan, read_from, token, stored);
        Self {
            partition,
            incarnation: plan.incarnation,
            topic_id,
            base: plan.base,
            timeline,
            state,
            at,
            checks: plan.kafka_last.into_iter().chain(plan.state_last).collect(),
            hold_at,
            level_at,
            stop_at: hold_at,
            tails,
            delivery,
            forms: BTreeMap::new(),
            suspects: BTreeSet::new(),
            gaps,
            pending_gaps: Vec::new(),
            seek_at: None,
            stall: None,
            pause: None,
            redis: RedisSide { has_history, flushed_at: now, behind_since: None },
            replaced,
            committed_delivery: delivery,
            state_timestamp_ms,
            rebuilt_with_revision,
        }
    }
}
