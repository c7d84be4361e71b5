//! Owns reading a topic from its beginning to its end, and asking where its logs begin and end.
//! It never waits for records that are not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{Client, Position, StoredRecord};

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Those of committed transactions, and those outside of transactions, up to the last stable offset.
    Committed,
    /// All that is in the log.
    Uncommitted,
}

/// Where a partition's log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// The first offset that is still there.
    pub start: i64,
    /// The next offset: the last stable one for [`Isolation::Committed`], else the high watermark.
    pub end: i64,
}

impl Client {
    /// All records of `topic`, sorted by partition and offset.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Result<Vec<StoredRecord>> {
        let consumer = self.reader(isolation)?;
        let partitions = self.partitions(topic)?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment).context("failed to assign a reader its partitions")?;
        let mut records = read_to_the_ends(&consumer, (0..partitions).collect())
            .with_context(|| format!("failed to read {topic}"))?;
        records.sort_by_key(|record| record.position);
        Ok(records)
    }

    /// Where each partition of `topic` begins and ends.
    pub fn log_ends(&self, topic: &str, isolation: Isolation) -> Result<BTreeMap<i32, LogEnds>> {
        let consumer = self.reader(isolation)?;
        let mut ends = BTreeMap::new();
        for partition in 0..self.partitions(topic)? {
            let (start, end) = consumer
                .fetch_watermarks(topic, partition, DEADLINE)
                .with_context(|| format!("failed to ask for the ends of {topic}/{partition}"))?;
            ends.insert(partition, LogEnds { start, end });
        }
        Ok(ends)
    }

    fn reader(&self, isolation: Isolation) -> Result<BaseConsumer> {
        let level = match isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        self.config()
            .set("isolation.level", level)
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "20")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .context("failed to make a reader")
    }
}

fn read_to_the_ends(consumer: &BaseConsumer, mut open: BTreeSet<i32>) -> Result<Vec<StoredRecord>> {
    let mut records = Vec::new();
    let mut progress_at = Instant::now();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                // Behind its end, a partition's later records belong to the next look.
                if open.contains(&message.partition()) {
                    records.push(stored(&message));
                }
                progress_at = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
                progress_at = Instant::now();
            }
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        if progress_at.elapsed() >= DEADLINE {
            bail!("nothing came from the partitions {open:?} for {} s", DEADLINE.as_secs());
        }
    }
    Ok(records)
}

/// Errors that librdkafka reports and then mends by itself.
fn is_passing(code: rdkafka::types::RDKafkaErrorCode) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(code, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut)
}

fn stored(message: &BorrowedMessage<'_>) -> StoredRecord {
    let mut headers = Vec::new();
    if let Some(all) = message.headers() {
        for header in all.iter() {
            headers.push((header.key.to_owned(), header.value.map(<[u8]>::to_vec)));
        }
    }
    StoredRecord {
        position: Position { partition: message.partition(), offset: message.offset() },
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

const DEADLINE: Duration = Duration::from_secs(30);
