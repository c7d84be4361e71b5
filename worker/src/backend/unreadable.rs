//! Where the log can be read again behind a batch that the client cannot read.
//!
//! librdkafka tells neither where such a batch ends nor gets past it by itself (librdkafka #5581): reading from within it
//! fails again, reading from behind it succeeds. So its end is searched for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::{Away, Context};
use crate::client::{self, Quiet};
use crate::pump::{Event, LeaseId};

/// Whether this error is about what is in the log, and comes again however often it is read.
pub(crate) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, InvalidMessage, NotImplemented};
    matches!(code, BadCompression | BadMessage | InvalidMessage | NotImplemented)
}

/// Finds the end of the unreadable batch at `from`, and tells the pump.
pub(super) async fn find_readable(context: Arc<Context>, id: LeaseId, from: i64) {
    let mut away = Away::new("Kafka");
    while !id.is_cancelled() {
        let (shared, partition) = (Arc::clone(&context), id.partition);
        let found = tokio::task::spawn_blocking(move || search(&shared, partition, from)).await;
        match found.map_err(anyhow::Error::from).and_then(|found| found) {
            Ok(to) => return context.tell(Event::Readable(id, from, to)),
            Err(error) => away.pause(&format!("{error:#}")).await,
        }
    }
}

/// The first offset at or behind `from` from which the log can be read. Steps that double and then halve: a readable batch
/// between two unreadable ones that are close may be passed over; it is in the gap then, which says so.
fn search(context: &Context, partition: i32, from: i64) -> Result<i64> {
    let topic = &context.spec.source.topic;
    let (_, end) = reader(context)?
        .fetch_watermarks(topic, partition, PATIENCE)
        .context("failed to ask for the log's end")?;
    let is_readable = |offset: i64| is_readable(context, partition, offset);
    if from >= end || is_readable(from)? {
        return Ok(from);
    }
    let (mut unreadable, mut step) = (from, 1);
    let mut readable = loop {
        let next = (from + step).min(end);
        if next == end || is_readable(next)? {
            break next;
        }
        unreadable = next;
        step *= 2;
    };
    while readable - unreadable > 1 {
        let middle = unreadable + (readable - unreadable) / 2;
        if is_readable(middle)? {
            readable = middle;
        } else {
            unreadable = middle;
        }
    }
    Ok(readable)
}

/// Whether reading from `offset` brings a record, or the end of the log. A record that cannot be parsed stalls librdkafka
/// without an error: no answer, twice, is none.
fn is_readable(context: &Context, partition: i32, offset: i64) -> Result<bool> {
    let first = probe(context, partition, offset)?;
    let answer = if first.is_none() { probe(context, partition, offset)? } else { first };
    Ok(answer.unwrap_or(false))
}

/// Asks with a reader of its own: what an earlier one left in its queue is not about this offset.
fn probe(context: &Context, partition: i32, offset: i64) -> Result<Option<bool>> {
    let consumer = reader(context)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&context.spec.source.topic, partition, Offset::Offset(offset))
        .context("failed to name an offset")?;
    consumer.assign(&list).context("failed to read")?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
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
    config.create_with_context(Quiet).context("failed to make a reader")
}

const PATIENCE: Duration = Duration::from_secs(5);
