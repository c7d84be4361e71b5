//! Owns the tests' own Kafka clients: they write known records, and read back what is there, byte for byte.
//! It never takes part in a consumer group.

mod produce;
mod read;
mod record;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

pub use self::produce::{PlainProducer, TransactionalProducer};
pub use self::read::{Isolation, LogEnds};
pub use self::record::{Position, Record, StoredRecord};

/// How to reach a broker, and as whom. Making one costs nothing: each call makes the connections that it needs.
#[derive(Clone, Debug)]
pub struct Client {
    properties: Vec<(String, String)>,
}

impl Client {
    /// A client of `brokers`, `host:port` joined with commas.
    pub fn new(brokers: &str) -> Self {
        Self { properties: vec![("bootstrap.servers".to_owned(), brokers.to_owned())] }
    }

    /// Says who it is; `mechanism` is `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    #[must_use]
    pub fn login(self, mechanism: &str, user: &str, password: &str) -> Self {
        self.property("sasl.mechanism", mechanism)
            .property("sasl.username", user)
            .property("sasl.password", password)
    }

    /// Any other property of librdkafka; the last of a name counts.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The number of partitions of `topic`; an error when there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<i32> {
        let metadata = self.metadata(Some(topic))?;
        let found = metadata.topics().first().context("the broker did not answer about the topic")?;
        if let Some(error) = found.error() {
            return Err(anyhow!("{error:?}")).with_context(|| format!("no topic {topic}"));
        }
        i32::try_from(found.partitions().len()).context("too many partitions")
    }

    /// Proves that the broker answers, and leads each partition of `topic`, or of all topics.
    pub fn every_partition_has_a_leader(&self, topic: Option<&str>) -> Result<()> {
        let metadata = self.metadata(topic)?;
        if metadata.brokers().is_empty() {
            bail!("no broker has registered yet");
        }
        for topic in metadata.topics() {
            if let Some(error) = topic.error() {
                bail!("{}: {error:?}", topic.name());
            }
            if topic.partitions().is_empty() {
                bail!("{} has no partition yet", topic.name());
            }
            if let Some(orphan) = topic.partitions().iter().find(|partition| partition.leader() < 0) {
                bail!("{}/{} has no leader", topic.name(), orphan.id());
            }
        }
        Ok(())
    }

    /// The properties as librdkafka wants them.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("group.id", READER_GROUP)
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    fn metadata(&self, topic: Option<&str>) -> Result<rdkafka::metadata::Metadata> {
        let consumer: BaseConsumer = self.config().create().context("failed to make a client")?;
        let end = Instant::now() + METADATA_DEADLINE;
        loop {
            let error = match consumer.fetch_metadata(topic, METADATA_LOOK) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            if let Some(refusal) = refusal(&consumer) {
                return Err(refusal).context("the broker refuses this client, or is not there");
            }
            if Instant::now() >= end {
                return Err(error).context("the broker does not answer");
            }
        }
    }
}

/// What makes waiting for an answer pointless, if the client has met such a thing.
fn refusal(consumer: &BaseConsumer) -> Option<KafkaError> {
    while let Some(event) = consumer.poll(Duration::ZERO) {
        if let Err(error) = event
            && let Some(
                RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL | RDKafkaErrorCode::AllBrokersDown,
            ) = error.rdkafka_error_code()
        {
            return Some(error);
        }
    }
    None
}

/// librdkafka wants a group even of those who only assign themselves partitions.
const READER_GROUP: &str = "lab";

const METADATA_DEADLINE: Duration = Duration::from_secs(5);
const METADATA_LOOK: Duration = Duration::from_secs(1);
