//! Transactions that nobody ends.
//!
//! A transaction coordinator that finds a partition without a leader takes it for deleted, writes no marker there, and calls
//! the transaction complete (`TransactionMarkerChannelManager`, seen with Kafka 4.3.1 when a broker is killed twice in ten
//! seconds). What it held there stays open, and would share the fate of the next transaction of the same producer id.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{Away, Context, blocking};
use crate::client;
use crate::pump::{Event, LeftOpen};

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
    if context.control.is_mock() {
        return Ok(LeftOpen::default());
    }
    let (output, dead_letters) = (&context.spec.output.topic, &context.spec.dead_letter.topic);
    let mut list = TopicPartitionList::new();
    for topic in [output, dead_letters] {
        for partition in 0..context.control.partitions(topic)?.unwrap_or_default() {
            list.add_partition_offset(topic, partition, Offset::End)?;
        }
    }
    let all = ends(&reader(context, "read_uncommitted")?, &list)?;
    let reader = reader(context, "read_committed")?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The end of what is stable passes each record that stood there at first, once its transaction is over.
        let stable = ends(&reader, &list)?;
        let mut left_open = LeftOpen::default();
        for ((topic, partition, end), (.., stable)) in all.iter().zip(&stable) {
            if stable < end {
                let places =
                    if topic == output { &mut left_open.outputs } else { &mut left_open.dead_letters };
                places.push(*partition);
            }
        }
        if left_open.is_empty() || Instant::now() >= deadline {
            left_open.offsets = has_open_offsets(context)?;
            return Ok(left_open);
        }
        thread::sleep(PAUSE);
    }
}

/// Whether a transaction has added offsets to the group and is not over soon: a broker does not give them out meanwhile.
fn has_open_offsets(context: &Context) -> Result<bool> {
    let partitions = context.partitions.load(std::sync::atomic::Ordering::Relaxed);
    let partitions: Vec<i32> = (0..partitions).collect();
    match context.control.committed_within(&partitions, PATIENCE) {
        Ok(_) => Ok(false),
        Err(error) if is_timeout(&error) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn is_timeout(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode::{OperationTimedOut, RequestTimedOut, UnstableOffsetCommit};
    matches!(error.rdkafka_error_code(), Some(OperationTimedOut | RequestTimedOut | UnstableOffsetCommit))
}

fn reader(context: &Context, isolation: &str) -> Result<BaseConsumer> {
    let mut config = client::control(&context.spec, &context.name);
    config.set("isolation.level", isolation);
    config.create().context("failed to make a Kafka client")
}

fn ends(reader: &BaseConsumer, list: &TopicPartitionList) -> Result<Vec<(String, i32, i64)>> {
    let found =
        reader.offsets_for_times(list.clone(), CALL_LIMIT).context("failed to ask for a log's end")?;
    let mut ends = Vec::new();
    for element in found.elements() {
        element.error().context("failed to ask for a log's end")?;
        let Offset::Offset(end) = element.offset() else { continue };
        ends.push((element.topic().to_owned(), element.partition(), end));
    }
    ends.sort();
    Ok(ends)
}

/// How long a transaction may take before it counts as left open. One that is merely slow is not harmed.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked for its end.
const PAUSE: Duration = Duration::from_millis(20);

/// A round trip, and a connection before.
const CALL_LIMIT: Duration = Duration::from_secs(5);
