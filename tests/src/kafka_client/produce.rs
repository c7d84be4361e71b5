//! Owns writing records, in and out of transactions, and knowing where each went.
//! It never hides a refusal: one record that is not delivered is an error.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::{Client, Position, Record};

impl Client {
    /// Writes `records` and returns where each is, in the same order.
    pub fn produce(&self, topic: &str, records: &[Record]) -> Result<Vec<Position>> {
        self.plain_producer()?.produce(topic, records)
    }

    /// A producer for many calls: making one takes half a second.
    pub fn plain_producer(&self) -> Result<PlainProducer> {
        Ok(PlainProducer { producer: self.producer(&[("enable.idempotence", "true")])? })
    }

    /// A producer whose records become visible only with [`TransactionalProducer::commit`].
    ///
    /// It fences any earlier producer of the same transactional id.
    pub fn transactional_producer(&self, transactional_id: &str) -> Result<TransactionalProducer> {
        let producer = self.producer(&[("transactional.id", transactional_id)])?;
        producer
            .init_transactions(DEADLINE)
            .with_context(|| format!("failed to take the transactional id {transactional_id}"))?;
        Ok(TransactionalProducer { producer, config: self.config() })
    }

    fn producer(&self, properties: &[(&str, &str)]) -> Result<Producer> {
        let mut config = self.config();
        config.set("linger.ms", "1").set("compression.type", "none");
        config.set("queue.buffering.max.messages", "1000000");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        // What the test itself asked for comes last.
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.remove("group.id");
        config.remove("enable.auto.commit");
        config.create_with_context(Deliveries::default()).context("failed to make a producer")
    }
}

/// A producer without transactions.
pub struct PlainProducer {
    producer: Producer,
}

impl PlainProducer {
    /// Writes `records` and returns where each is, in the same order.
    pub fn produce(&self, topic: &str, records: &[Record]) -> Result<Vec<Position>> {
        send_all(&self.producer, topic, records)
    }
}

/// A producer with a transactional id. Dropped with an open transaction, it leaves it open, as a crash does.
pub struct TransactionalProducer {
    producer: Producer,
    config: ClientConfig,
}

impl TransactionalProducer {
    /// Begins a transaction.
    pub fn begin(&self) -> Result<()> {
        self.producer.begin_transaction().context("failed to begin a transaction")
    }

    /// Writes `records` as part of the transaction and returns where each is, in the same order.
    pub fn produce(&self, topic: &str, records: &[Record]) -> Result<Vec<Position>> {
        send_all(&self.producer, topic, records)
    }

    /// Adds an offset of `group` to the transaction, as no member of it.
    pub fn send_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let consumer: BaseConsumer =
            self.config.clone().set("group.id", group).create().context("failed to make a consumer")?;
        let metadata = consumer.group_metadata().context("a consumer in a group has its metadata")?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        self.producer
            .send_offsets_to_transaction(&offsets, &metadata, DEADLINE)
            .context("failed to add an offset to a transaction")
    }

    /// Makes the transaction's records visible to all.
    pub fn commit(&self) -> Result<()> {
        self.producer.commit_transaction(DEADLINE).context("failed to commit a transaction")
    }

    /// Gives the transaction up: its records stay in the log, invisible to those who read what is committed.
    pub fn abort(&self) -> Result<()> {
        self.producer.abort_transaction(DEADLINE).context("failed to abort a transaction")
    }
}

type Producer = BaseProducer<Deliveries>;

/// What became of each record of the call that runs, by its place in the call.
#[derive(Default)]
struct Deliveries {
    outcomes: Mutex<BTreeMap<usize, Result<Position, KafkaError>>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let outcome = match result {
            Ok(message) => Ok(Position { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(index, outcome);
    }
}

fn send_all(producer: &Producer, topic: &str, records: &[Record]) -> Result<Vec<Position>> {
    let end = Instant::now() + DEADLINE;
    for (index, record) in records.iter().enumerate() {
        send(producer, topic, index, record)?;
        if index % POLL_EVERY == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    // Not `flush`, which waits in steps of 100 ms.
    while producer.in_flight_count() > 0 {
        if Instant::now() >= end {
            bail!("{} records to {topic} are not delivered", producer.in_flight_count());
        }
        producer.poll(Duration::from_millis(5));
    }
    let outcomes =
        std::mem::take(&mut *producer.context().outcomes.lock().unwrap_or_else(PoisonError::into_inner));
    if outcomes.len() != records.len() {
        return Err(anyhow!("{} of {} records were reported", outcomes.len(), records.len()));
    }
    let mut positions = Vec::with_capacity(records.len());
    for (index, outcome) in outcomes {
        positions.push(outcome.with_context(|| format!("record {index} to {topic} was refused"))?);
    }
    Ok(positions)
}

fn send(producer: &Producer, topic: &str, index: usize, record: &Record) -> Result<()> {
    let mut waiting = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, index);
    waiting.key = record.key.as_deref();
    waiting.payload = record.value.as_deref();
    waiting.partition = record.partition;
    waiting.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_deref() });
        }
        waiting.headers = Some(headers);
    }
    loop {
        match producer.send(waiting) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(5));
                waiting = back;
            }
            Err((error, _)) => {
                return Err(error).with_context(|| format!("failed to send record {index} to {topic}"));
            }
        }
    }
}

const POLL_EVERY: usize = 1_000;
const DEADLINE: Duration = Duration::from_mins(1);
