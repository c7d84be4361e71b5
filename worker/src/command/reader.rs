//! Reading one partition of a topic to its end, record by record, in bounded memory.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use insights::spec::PipelineSpec;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, Timestamp};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::backend::is_unreadable;
use crate::client::{self, Quiet};
use crate::protocol::progress::{Gap, UNREADABLE};

/// A committed record, with everything that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// Milliseconds since 1970; -1 when it has none.
    pub(crate) timestamp_ms: i64,
    /// The broker wrote its own time in place of the producer's.
    pub(crate) has_broker_time: bool,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Reads what is committed of one partition, from its start or from an offset.
pub(crate) struct Reader {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    partition: i32,
    /// The first offset that the log still holds.
    pub(crate) start: i64,
    /// The next offset, or a lower one where some hold no record.
    position: i64,
    /// Where what cannot be read ends, each time that there is such a thing.
    readable_again: Vec<i64>,
    is_at_end: bool,
}

impl Reader {
    /// Opens a partition at `from`, or where its log begins when that is later.
    pub(crate) fn open(spec: &PipelineSpec, topic: &str, partition: i32, from: i64) -> Result<Self> {
        let mut config = client::control(spec, "rollcall-reader");
        config.set("isolation.level", "read_committed").set("fetch.queue.backoff.ms", "10");
        config.set("queued.max.messages.kbytes", "4096");
        let consumer: BaseConsumer<Quiet> =
            config.create_with_context(Quiet).context("failed to make a reader")?;
        let (start, _) = consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .with_context(|| format!("failed to ask where {topic}/{partition} begins"))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(from.max(start)))
            .context("failed to name a partition")?;
        consumer.assign(&list).with_context(|| format!("failed to read {topic}/{partition}"))?;
        let (topic, position) = (topic.to_owned(), from.max(start));
        Ok(Self { consumer, topic, partition, start, position, readable_again: Vec::new(), is_at_end: false })
    }

    /// Passes over these offsets, of which it is known that they cannot be read.
    pub(crate) fn passing_over(mut self, gaps: &[Gap]) -> Self {
        let unreadable = gaps.iter().filter(|gap| gap.reason == UNREADABLE);
        self.readable_again = unreadable.map(|gap| gap.to).collect();
        self
    }

    /// The next record; none at the end that the log has by then.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_at_end {
            match self.consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    self.position = message.offset() + 1;
                    return Ok(Some(record(&message)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => self.is_at_end = true,
                Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
                Some(Err(KafkaError::MessageConsumption(code)))
                    if is_unreadable(code) && self.next_readable().is_some() =>
                {
                    self.pass_over()?;
                }
                Some(Err(error)) => {
                    return Err(error)
                        .with_context(|| format!("failed to read {}/{}", self.topic, self.partition));
                }
                None => {}
            }
            if Instant::now() >= deadline {
                bail!("nothing came of {}/{} for {} s", self.topic, self.partition, PATIENCE.as_secs());
            }
        }
        Ok(None)
    }

    /// Goes on behind what cannot be read here.
    fn pass_over(&mut self) -> Result<()> {
        self.position = self.next_readable().unwrap_or(self.position);
        let offset = Offset::Offset(self.position);
        let sought = self.consumer.seek(&self.topic, self.partition, offset, PATIENCE);
        sought.with_context(|| format!("failed to go on in {}/{}", self.topic, self.partition))
    }

    fn next_readable(&self) -> Option<i64> {
        self.readable_again.iter().copied().find(|to| *to > self.position)
    }
}

/// Errors that librdkafka reports and then mends by itself.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut)
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let owned = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
        };
        headers.iter().map(owned).collect()
    });
    Record {
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        has_broker_time: matches!(message.timestamp(), Timestamp::LogAppendTime(_)),
        headers,
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
