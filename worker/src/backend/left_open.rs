//! Transactions that nobody ends.
//!
//! A transaction coordinator that finds a partition without a leader takes it for deleted, writes no marker there, and calls
//! the transaction complete (`TransactionMarkerChannelManager.addTxnMarkersToBrokerQueue`; seen with Kafka 4.3.1 in every third
//! broker that is killed while it commits). What it held there stays open, and would share the fate of the next transaction of
//! the same producer id. Markers that were written before stay, so that such a transaction is ended in part: outputs of which
//! the offsets are committed may be open still, or the offsets of outputs that everybody sees.
//!
//! Nobody but the coordinator can commit them. So they are aborted, and delivered again: before that, the partitions of which
//! they hold records are set back to the first of these, with the mark that each topic's own tail decides what is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::output_tail::{Reader, for_each, source_of};
use super::{Away, Context, blocking};
use crate::client::{self, Commit, End, Quiet};
use crate::control::Control;
use crate::protocol::progress::{Delivery, KafkaProgress, METADATA_FORMAT, Metadata};
use crate::protocol::start::Committed;
use crate::pump::{Destination, Event, LeftOpen};

/// A partition that is produced to, with a transaction that is not over soon.
struct Open<'a> {
    topic: &'a str,
    partition: i32,
    /// Where it is open, from what offset on.
    from: i64,
    /// The log's end.
    to: i64,
}

/// Looks for them, and tells the pump; `made_at` says which producer asked.
pub(super) async fn find_left_open(context: Arc<Context>, made_at: Instant) {
    let mut away = Away::new("Kafka");
    loop {
        match blocking(&context, search).await {
            Ok(left_open) => return context.tell(Event::LeftOpen(made_at, left_open)),
            Err(error) => away.pause(&format!("{error:#}")).await,
        }
    }
}

/// Where transactions are open that are not over soon, whoever began them.
pub(super) fn search(context: &Context) -> Result<LeftOpen> {
    let all = |topic: &Destination| (0..topic.partitions).collect();
    let open = still_open(context, all)?;
    let partitions_of = |topic: &Destination| {
        open.iter().filter(|open| open.topic == topic.name).map(|open| open.partition).collect()
    };
    let mut left_open = LeftOpen {
        outputs: partitions_of(&context.output_topic),
        dead_letters: partitions_of(&context.dead_letters),
        offsets: !context.control.is_mock() && has_open_offsets(context)?,
        restarts: Vec::new(),
    };
    if !left_open.is_empty() {
        left_open.restarts = restarts(context, &open, left_open.offsets)?;
    }
    Ok(left_open)
}

/// Waits until no transaction is open where records of these source partitions are delivered; an error when that is not soon.
pub(super) fn wait_for(context: &Context, partitions: &[i32]) -> Result<()> {
    let theirs = |topic: &Destination| {
        let mut places: Vec<i32> = partitions.iter().map(|&source| topic.partition_of(source)).collect();
        places.sort_unstable();
        places.dedup();
        places
    };
    if let Some(Open { topic, partition, from, .. }) = still_open(context, theirs)?.first() {
        bail!(
            "a transaction is open in `{topic}`, partition {partition}, from offset {from} on: it is ended once the worker \
             that began it is back, or known to be gone"
        );
    }
    Ok(())
}

fn still_open(context: &Context, partitions_of: impl Fn(&Destination) -> Vec<i32>) -> Result<Vec<Open<'_>>> {
    let mut open = Vec::new();
    if context.control.is_mock() {
        return Ok(open);
    }
    let deadline = Instant::now() + PATIENCE;
    for topic in [&context.output_topic, &context.dead_letters] {
        let mut places = Vec::new();
        for (partition, to) in ends_of(context, topic, &partitions_of(topic), End::Last)? {
            places.push(Open { topic: &topic.name, partition, from: 0, to });
        }
        loop {
            // The end of what is stable passes each record that stood there at first, once its transaction is over.
            let partitions: Vec<i32> = places.iter().map(|place| place.partition).collect();
            let stable = ends_of(context, topic, &partitions, End::Stable)?;
            places.retain_mut(|place| {
                place.from = stable.get(&place.partition).copied().unwrap_or_default();
                place.from < place.to
            });
            if places.is_empty() || Instant::now() >= deadline {
                break;
            }
            thread::sleep(PAUSE);
        }
        open.append(&mut places);
    }
    Ok(open)
}

/// The ends of these partitions, all of them.
fn ends_of(
    context: &Context,
    topic: &Destination,
    partitions: &[i32],
    end: End,
) -> Result<BTreeMap<i32, i64>> {
    let Context { control, .. } = context;
    let ends = control.ends_of(&topic.name, partitions, end)?;
    let Some(partition) = partitions.iter().find(|partition| !ends.contains_key(partition)) else {
        return Ok(ends);
    };
    // librdkafka asks with what it knows of the leaders, and does not look again when they refuse that: the next attempt does.
    control.partitions(&topic.name)?;
    bail!("failed to ask for the end of `{}`, partition {partition}", topic.name)
}

/// Whether a transaction has added offsets to the group and is not over soon: a broker does not give them out meanwhile.
fn has_open_offsets(context: &Context) -> Result<bool> {
    match context.control.committed_within(&sources(context), PATIENCE) {
        Ok(_) => Ok(false),
        Err(error) if is_timeout(&error) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn is_timeout(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{OperationTimedOut, RequestTimedOut, UnstableOffsetCommit};
    matches!(error.rdkafka_error_code(), Some(OperationTimedOut | RequestTimedOut | UnstableOffsetCommit))
}

/// Where partitions begin again: at the first record that is open, or where they are committed. While the group's own offsets
/// are open, these stand for all that may be among them.
fn restarts(context: &Context, open: &[Open<'_>], has_open_offsets: bool) -> Result<Vec<Commit>> {
    let firsts = match first_sources(context, open) {
        Ok(firsts) => firsts,
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            tracing::warn!(
                %error,
                "open transactions cannot be read, and are taken for undecided: grant this worker Read on the output and \
                 dead-letter topics"
            );
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    let impatient = Control::impatient(&context.spec, &context.name)?;
    let mut restarts = Vec::new();
    for (partition, committed) in impatient.committed_within(&sources(context), CALL_LIMIT)? {
        let KafkaProgress { next, metadata } = match committed {
            Committed::Ours(progress) => progress,
            Committed::Absent if has_open_offsets => first_progress(context, partition)?,
            Committed::Absent | Committed::Foreign(_) => continue,
        };
        let first = firsts.get(&(metadata.incarnation.clone(), partition)).copied();
        if first.is_none() && !has_open_offsets {
            continue;
        }
        let offset = first.map_or(next, |first| first.min(next));
        let last = metadata.last.filter(|last| last.offset < offset);
        let metadata = Metadata { last, partly_delivered: true, ..metadata }.to_text();
        restarts.push(Commit { partition, offset, metadata });
    }
    Ok(restarts)
}

/// Where a partition stands that has never committed.
fn first_progress(context: &Context, partition: i32) -> Result<KafkaProgress> {
    let recorded = usize::try_from(partition).ok().and_then(|index| context.first_start.starts.get(index));
    let next = if let Some(start) = recorded {
        *start
    } else {
        let logs = context.control.logs(&[partition])?;
        logs.get(&partition).context("the source topic lacks a partition")?.start
    };
    let metadata = Metadata {
        format: METADATA_FORMAT.to_owned(),
        pipeline: context.spec.pipeline.clone(),
        incarnation: context.first_start.incarnation.clone(),
        topic_id: context.first_start.topic_id.clone(),
        base: next,
        last: None,
        revisions: Vec::new(),
        delivery: Delivery::default(),
        partly_delivered: true,
    };
    Ok(KafkaProgress { next, metadata })
}

/// The lowest source offset among records that are open, by incarnation and source partition.
fn first_sources(context: &Context, open: &[Open<'_>]) -> Result<BTreeMap<(String, i32), i64>, KafkaError> {
    let mut firsts = BTreeMap::new();
    if open.is_empty() {
        return Ok(firsts);
    }
    let mut config = client::control(&context.spec, &context.name);
    config.set("isolation.level", "read_uncommitted");
    let reader: Reader = config.create_with_context(Quiet)?;
    for Open { topic, partition, from, to } in open {
        for_each(&reader, (topic, *partition), *from..*to, |message| {
            if let Some((incarnation, source, offset)) = source_of(message) {
                let first = firsts.entry((incarnation.to_owned(), source)).or_insert(offset);
                *first = offset.min(*first);
            }
        })?;
    }
    Ok(firsts)
}

fn sources(context: &Context) -> Vec<i32> {
    (0..context.partitions.load(std::sync::atomic::Ordering::Relaxed)).collect()
}

/// How long a transaction may take before it counts as left open. One that is merely slow is not harmed.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked for its end.
const PAUSE: Duration = Duration::from_millis(20);

/// A round trip, and a connection before.
const CALL_LIMIT: Duration = Duration::from_secs(5);
