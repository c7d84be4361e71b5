//! Where the log can be read again behind a batch that the client cannot read.
//!
//! librdkafka tells neither where such a batch ends nor gets past it by itself (librdkafka #5581): reading from within it
//! fails again, reading from behind it succeeds. So its end is searched for.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Away, Context, blocking};
use crate::client::{self, Quiet};
use crate::pump::{Event, LeaseId};
use crate::unpack;

/// Whether this error is about what is in the log, and comes again however often it is read.
pub(crate) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, InvalidMessage, NotImplemented};
    matches!(code, BadCompression | BadMessage | InvalidMessage | NotImplemented)
}

/// Looks whether records come from these places at all, and tells the pump of those from which none does.
pub(super) async fn check_stalled(context: Arc<Context>, suspects: Vec<(LeaseId, i64)>) {
    if let Err(error) = blocking(&context, move |context| check(context, suspects)).await {
        tracing::debug!("failed to look at places from which nothing comes, tried again: {error:#}");
    }
    context.tell(Event::CheckedStalled);
}

/// One after the other, with one reader: a worker behind a backlog suspects most of its partitions.
fn check(context: &Context, suspects: Vec<(LeaseId, i64)>) -> Result<()> {
    let reader = reader(context)?;
    for (id, from) in suspects {
        let partition = id.partition;
        if id.is_cancelled() || read_at(context, &reader, partition, from, PATIENCE_OF_A_CHECK)? == Some(true)
        {
            continue;
        }
        // An answer of the partition's leader: nothing comes while that is away, either.
        end_of_log(context, partition)?;
        context.tell(Event::Stalled(id, from));
    }
    Ok(())
}

/// Finds the end of the unreadable batch at `from`, and tells the pump.
pub(super) async fn find_readable(context: Arc<Context>, id: LeaseId, from: i64) {
    let _turn = context.searching.acquire().await;
    let mut away = Away::new("Kafka");
    while !id.is_cancelled() {
        let partition = id.partition;
        match blocking(&context, move |context| search(context, partition, from)).await {
            Ok(to) => return context.tell(Event::Readable(id, from, to)),
            Err(error) => away.pause(&format!("{error:#}")).await,
        }
    }
}

/// The first offset at or behind `from` from which the log can be read. Steps that double, then ever smaller ones: a readable
/// batch between two unreadable ones that are close may be passed over; it is in the gap then, which says so.
fn search(context: &Context, partition: i32, from: i64) -> Result<i64> {
    let end = end_of_log(context, partition)?;
    let doubling = (0..i64::BITS).map_while(|power| from.checked_add(1_i64.checked_shl(power)?));
    let mut candidates: Vec<i64> =
        std::iter::once(from).chain(doubling).take_while(|offset| *offset < end).collect();
    let (mut unreadable, mut readable) = (from - 1, end.max(from));
    while !candidates.is_empty() {
        for some in candidates.chunks(AT_ONCE.into()) {
            let answers = are_readable(context, partition, some, end)?;
            let found = some.iter().zip(&answers).find(|(_, is_readable)| **is_readable);
            let before = some.iter().zip(&answers).take_while(|(_, is_readable)| !**is_readable);
            unreadable = before.last().map_or(unreadable, |(offset, _)| *offset);
            if let Some((offset, _)) = found {
                readable = *offset;
                break;
            }
        }
        candidates = between(unreadable, readable);
    }
    Ok(readable)
}

fn end_of_log(context: &Context, partition: i32) -> Result<i64> {
    let ends = context.control.ends(&[partition]).context("failed to ask for the log's end")?;
    ends.get(&partition).copied().context("the partition's log has no end")
}

/// At most so many offsets between these two, evenly spaced.
fn between(unreadable: i64, readable: i64) -> Vec<i64> {
    let parts = i64::from(AT_ONCE) + 1;
    let mut offsets: Vec<i64> =
        (1..parts).map(|part| unreadable + (readable - unreadable) * part / parts).collect();
    offsets.retain(|offset| *offset > unreadable && *offset < readable);
    offsets.dedup();
    offsets
}

/// Whether reading from these offsets brings a record, or the end of the log. A record that makes no sense stalls librdkafka
/// without an error: no answer, while the log's end is answered for, is none. Nothing is known where a batch was refused only
/// because of what else is unpacked.
fn are_readable(context: &Context, partition: i32, offsets: &[i64], end: i64) -> Result<Vec<bool>> {
    let refused_before = unpack::refused_for_now();
    let answers = ask_at_once(context, partition, offsets, end)?;
    if unpack::refused_for_now() == refused_before {
        return Ok(answers);
    }
    offsets.iter().map(|&offset| is_readable_alone(context, partition, offset, end)).collect()
}

fn is_readable_alone(context: &Context, partition: i32, offset: i64, end: i64) -> Result<bool> {
    let refused_before = unpack::refused_for_now();
    let is_readable = ask_at_once(context, partition, &[offset], end)?.contains(&true);
    ensure!(
        is_readable || unpack::refused_for_now() == refused_before,
        "there is no memory for the batch at {offset} beside others"
    );
    Ok(is_readable)
}

fn ask_at_once(context: &Context, partition: i32, offsets: &[i64], end: i64) -> Result<Vec<bool>> {
    let ask = |offset: i64| probe(context, partition, offset);
    thread::scope(|scope| {
        let probes: Vec<_> = offsets.iter().map(|&offset| scope.spawn(move || ask(offset))).collect();
        ask(end)?.context("the log's end is not answered for")?;
        let answer = |probe: thread::ScopedJoinHandle<'_, Result<Option<bool>>>| {
            Ok(probe.join().expect("a probe does not panic")?.unwrap_or(false))
        };
        probes.into_iter().map(answer).collect()
    })
}

/// Asks with a reader of its own: what an earlier one left in its queue is not about this offset.
fn probe(context: &Context, partition: i32, offset: i64) -> Result<Option<bool>> {
    read_at(context, &reader(context)?, partition, offset, PATIENCE)
}

/// Whether reading from this offset brings a record or the end of the log; none when nothing comes in time.
fn read_at(
    context: &Context,
    consumer: &BaseConsumer<Quiet>,
    partition: i32,
    offset: i64,
    patience: Duration,
) -> Result<Option<bool>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&context.spec.source.topic, partition, Offset::Offset(offset))
        .context("failed to name an offset")?;
    consumer.assign(&list).context("failed to read")?;
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            // Of another partition: left over from when that was asked.
            Some(Ok(message)) if message.partition() != partition => {}
            Some(Err(KafkaError::PartitionEOF(other))) if other != partition => {}
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(Some(true)),
            Some(Err(KafkaError::MessageConsumption(code))) if is_unreadable(code) => return Ok(Some(false)),
            Some(Err(error)) => {
                tracing::debug!(%error, "an error while looking for the end of an unreadable batch");
            }
            None => {}
        }
    }
    Ok(None)
}

fn reader(context: &Context) -> Result<BaseConsumer<Quiet>> {
    let mut config = client::control(&context.spec, &context.name);
    config.set("check.crcs", "true");
    // One batch at a time: what stands behind it is not asked for.
    config.set("fetch.message.max.bytes", "1").set("queued.min.messages", "1");
    config.create_with_context(Quiet).context("failed to make a reader")
}

const PATIENCE: Duration = Duration::from_secs(5);

/// A partition that is not answered for by then is searched, which does no harm.
const PATIENCE_OF_A_CHECK: Duration = Duration::from_secs(2);

/// How many partitions are searched at once.
pub(crate) const SEARCHES_AT_ONCE: usize = 4;

/// How many readers look at once. Each may unpack a batch.
const AT_ONCE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_is_parted_evenly_until_nothing_does() {
        assert_eq!(between(0, 100), [20, 40, 60, 80]);
        assert_eq!(between(7, 10), [8, 9]);
        assert_eq!(between(7, 8), [0; 0]);
    }
}
