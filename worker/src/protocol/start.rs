//! Where a partition starts, given what both sinks, the log and the first start say.
//!
//! Owns the rules that missing is not zero and that the log must be the one that was counted. It never guesses: what
//! cannot be explained halts the partition.

use super::progress::{FirstStart, Gap, Head, KafkaProgress, LastRecord, RETENTION, counter};

/// What is known of a partition's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// The oldest offset.
    pub(crate) start: i64,
    /// The last stable offset.
    pub(crate) end: i64,
    /// The topic's id; none where the cluster has none.
    pub(crate) topic_id: Option<String>,
}

/// The offset that Kafka holds for the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// None.
    Absent,
    /// One that Rollcall committed.
    Ours(KafkaProgress),
    /// One that somebody else committed.
    Foreign(i64),
}

/// Where a partition starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The incarnation that both sinks are in from now on.
    pub(crate) incarnation: String,
    /// The first offset that is counted.
    pub(crate) base: i64,
    /// Records below are delivered already.
    pub(crate) kafka_next: i64,
    /// The last record that was delivered, to be recognised.
    pub(crate) kafka_last: Option<LastRecord>,
    /// Records below are counted already.
    pub(crate) state_next: i64,
    /// The last record that was counted, to be recognised.
    pub(crate) state_last: Option<LastRecord>,
    /// Whether the stored state is counted on; otherwise it is counted anew from `base`.
    pub(crate) keep_state: bool,
    /// Records that neither sink will ever see.
    pub(crate) gap: Option<Gap>,
    /// Whether the start is committed before any record comes.
    pub(crate) commit_at_once: bool,
    /// Whether Kafka's offset is unknown and must be looked for in the output's tail, from `kafka_next` on.
    pub(crate) look_into_output: bool,
}

impl Plan {
    /// The first offset to be read: one record early, so that the log can be recognised.
    pub(crate) fn read_from(&self, log_start: i64) -> i64 {
        let kafka = self.kafka_last.map_or(self.kafka_next, |last| last.offset);
        let state = self.state_last.map_or(self.state_next, |last| last.offset);
        kafka.min(state).max(log_start)
    }
}

/// Why a partition cannot go on until somebody looks at it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Halt {
    /// The topic was deleted and made anew.
    #[error(
        "the source topic is another one than was counted (its id is {found}, not {stored}): run `rollcall repair` to \
         see what diverged and to start a new incarnation"
    )]
    TopicRecreated {
        /// The id that a sink knows.
        stored: String,
        /// The id of the topic now.
        found: String,
    },
    /// A sink is further than the log.
    #[error(
        "{sink} has counted up to offset {next}, but the log ends at {end}: records were lost by Kafka; run `rollcall \
         repair` to see what diverged and to start a new incarnation"
    )]
    BeyondEnd {
        /// Which sink.
        sink: &'static str,
        /// Its next offset.
        next: i64,
        /// The log's end.
        end: i64,
    },
    /// A record is not the one that was counted.
    #[error(
        "the record at offset {offset} is another one than was counted: records were replaced in Kafka; run `rollcall \
         repair` to see what diverged and to start a new incarnation"
    )]
    Diverged {
        /// Where.
        offset: i64,
    },
    /// Somebody else committed offsets for the group.
    #[error(
        "the group's committed offset {offset} was not written by Rollcall (a tool reset it, or the group belonged to \
         another program): delete the group's offsets to go on from where Redis knows Rollcall to be, or run `rollcall \
         repair` to start a new incarnation"
    )]
    ForeignOffset {
        /// The offset.
        offset: i64,
    },
    /// The group's offsets are gone, or a transaction was ended in part, and the output cannot be asked.
    #[error(
        "the group's committed offsets do not tell what was delivered and the output topic cannot be read to find it out \
         ({reason}): grant this worker Read on the output and dead-letter topics"
    )]
    OutputUnreadable {
        /// Why not.
        reason: String,
    },
}

/// Decides where partition `partition` starts.
pub(crate) fn decide(
    partition: i32,
    committed: &Committed,
    stored: Option<&Head>,
    log: &Log,
    first: &FirstStart,
    start_at_latest: bool,
) -> Result<Plan, Halt> {
    let kafka = match committed {
        Committed::Absent => None,
        Committed::Ours(progress) => Some(progress),
        Committed::Foreign(offset) => {
            // After a repair the new incarnation stands in Redis alone until the next commit.
            if !stored.is_some_and(is_fresh_repair) {
                return Err(Halt::ForeignOffset { offset: *offset });
            }
            None
        }
    };
    let (kafka, stored, repaired) = reconcile(kafka, stored);
    let ids = [
        kafka.and_then(|kafka| kafka.metadata.topic_id.as_ref()),
        stored.and_then(|head| head.topic_id.as_ref()),
    ];
    check_topic(ids.into_iter().flatten(), log)?;
    let mut plan = match (kafka, stored) {
        (None, None) => first_start(partition, log, first, start_at_latest)?,
        (Some(kafka), None) => rebuild(kafka),
        (None, Some(head)) => {
            Plan { look_into_output: !repaired, ..continued(head, head.kafka_next, head.kafka_last) }
        }
        (Some(kafka), Some(head)) => continued(head, kafka.next, kafka.metadata.last),
    };
    check_end("the output", plan.kafka_next, log)?;
    check_end("Redis", plan.state_next, log)?;
    skip_lost(&mut plan, log);
    Ok(plan)
}

/// Of two incarnations the higher counter wins; the other sink's progress is void. The flag tells that Kafka's is.
fn reconcile<'a>(
    kafka: Option<&'a KafkaProgress>,
    stored: Option<&'a Head>,
) -> (Option<&'a KafkaProgress>, Option<&'a Head>, bool) {
    match (kafka, stored) {
        (Some(progress), Some(head)) if progress.metadata.incarnation != head.incarnation => {
            if counter(&progress.metadata.incarnation) >= counter(&head.incarnation) {
                (kafka, None, false)
            } else {
                (None, stored, true)
            }
        }
        (None, Some(head)) => (None, stored, is_fresh_repair(head)),
        _ => (kafka, stored, false),
    }
}

/// Whether a repair wrote this head and no worker has since.
fn is_fresh_repair(head: &Head) -> bool {
    counter(&head.incarnation) > 1 && head.next == head.base && head.kafka_next == head.base
}

fn check_topic<'a>(ids: impl Iterator<Item = &'a String>, log: &Log) -> Result<(), Halt> {
    let Some(found) = &log.topic_id else { return Ok(()) };
    for stored in ids {
        if stored != found {
            return Err(Halt::TopicRecreated { stored: stored.clone(), found: found.clone() });
        }
    }
    Ok(())
}

fn check_end(sink: &'static str, next: i64, log: &Log) -> Result<(), Halt> {
    if next > log.end { Err(Halt::BeyondEnd { sink, next, end: log.end }) } else { Ok(()) }
}

/// Neither sink knows the partition. One that came after the first start begins at its oldest record.
fn first_start(partition: i32, log: &Log, first: &FirstStart, start_at_latest: bool) -> Result<Plan, Halt> {
    check_topic(first.topic_id.iter(), log)?;
    let recorded = usize::try_from(partition).ok().and_then(|partition| first.starts.get(partition)).copied();
    let start = recorded.unwrap_or(log.start);
    Ok(Plan {
        incarnation: first.incarnation.clone(),
        base: start,
        kafka_next: start,
        kafka_last: None,
        state_next: start,
        state_last: None,
        keep_state: false,
        gap: None,
        commit_at_once: start_at_latest && recorded.is_some(),
        look_into_output: false,
    })
}

/// Redis lost the partition: it is counted again from its base, and nothing is delivered twice.
fn rebuild(kafka: &KafkaProgress) -> Plan {
    Plan {
        incarnation: kafka.metadata.incarnation.clone(),
        base: kafka.metadata.base,
        kafka_next: kafka.next,
        kafka_last: kafka.metadata.last,
        state_next: kafka.metadata.base,
        state_last: None,
        keep_state: false,
        gap: None,
        commit_at_once: false,
        look_into_output: false,
    }
}

fn continued(head: &Head, kafka_next: i64, kafka_last: Option<LastRecord>) -> Plan {
    Plan {
        incarnation: head.incarnation.clone(),
        base: head.base,
        kafka_next,
        kafka_last,
        state_next: head.next,
        state_last: head.last,
        keep_state: true,
        gap: None,
        commit_at_once: false,
        look_into_output: false,
    }
}

/// What retention took is a gap; a sink's last record that is no longer there is neither an error nor a gap.
fn skip_lost(plan: &mut Plan, log: &Log) {
    let lost_from = plan.state_next.min(plan.kafka_next);
    if lost_from < log.start {
        let counted_from = plan.state_next;
        plan.gap = (counted_from < log.start).then(|| Gap {
            from: counted_from,
            to: log.start,
            reason: RETENTION.to_owned(),
        });
        plan.state_next = plan.state_next.max(log.start);
        plan.kafka_next = plan.kafka_next.max(log.start);
    }
    for last in [&mut plan.kafka_last, &mut plan.state_last] {
        *last = last.filter(|last| last.offset >= log.start);
    }
}

#[cfg(test)]
mod tests;
