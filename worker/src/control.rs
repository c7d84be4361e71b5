//! The control side of Kafka: what is asked, checked and created beside the pump.
//!
//! Owns a client that never joins the group. Its calls block, with time-outs; they run on threads for blocking work. It never
//! commits and never produces.

use std::collections::BTreeMap;
use std::time::Duration;

use insights::spec::PipelineSpec;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, End};
use crate::protocol::progress::{KafkaProgress, Metadata};
use crate::protocol::start::{Committed, Log};

/// A client that asks.
pub(crate) struct Control {
    consumer: BaseConsumer,
    admin: AdminClient<DefaultClientContext>,
    topic: String,
    group: String,
    pipeline: String,
    /// The mock cluster answers neither for topic ids nor for settings, and lets the questions time out.
    is_mock: bool,
}

/// What a topic's settings say that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicSettings(pub(crate) BTreeMap<String, String>);

impl Control {
    /// Makes the client; nothing is asked yet.
    pub(crate) fn new(spec: &PipelineSpec, name: &str) -> Result<Self, KafkaError> {
        Self::made_of(&client::control(spec, name), spec)
    }

    fn made_of(config: &ClientConfig, spec: &PipelineSpec) -> Result<Self, KafkaError> {
        Ok(Self {
            consumer: config.create()?,
            admin: config.create()?,
            topic: spec.source.topic.clone(),
            group: spec.kafka.group.clone(),
            pipeline: spec.pipeline.clone(),
            is_mock: false,
        })
    }

    /// Makes a client that is told of what is committed without waiting for transactions that are still open.
    pub(crate) fn impatient(spec: &PipelineSpec, name: &str) -> Result<Self, KafkaError> {
        let mut config = client::control(spec, name);
        config.set("isolation.level", "read_uncommitted");
        Self::made_of(&config, spec)
    }

    /// Makes the client for librdkafka's mock cluster.
    pub(crate) fn of_mock(spec: &PipelineSpec, name: &str) -> Result<Self, KafkaError> {
        Ok(Self { is_mock: true, ..Self::new(spec, name)? })
    }

    /// How many partitions a topic has; none where there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<i32>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), CALL_LIMIT)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        if let Some(code) = found.error() {
            return match RDKafkaErrorCode::from(code) {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(None),
                code => Err(KafkaError::MetadataFetch(code)),
            };
        }
        let count = i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
        Ok((count > 0).then_some(count))
    }

    /// The source topic's id; none where the cluster gives none.
    pub(crate) fn topic_id(&self) -> Result<Option<String>, client::Error> {
        if self.is_mock {
            return Ok(None);
        }
        client::topic_id(self.consumer.client(), &self.topic, CALL_LIMIT)
    }

    /// Which partitions of the source topic the group's members hold; none while the group is rebalancing.
    pub(crate) fn members(&self) -> Result<Option<client::Members>, client::Error> {
        client::members(self.consumer.client(), &self.group, &self.topic, CALL_LIMIT)
    }

    /// Whether it asks librdkafka's mock cluster.
    pub(crate) fn is_mock(&self) -> bool {
        self.is_mock
    }

    /// What the group has committed, by partition; waits for transactions that are still open.
    pub(crate) fn committed(&self, partitions: &[i32]) -> Result<BTreeMap<i32, Committed>, KafkaError> {
        self.committed_within(partitions, CALL_LIMIT)
    }

    /// The same, with a patience of its own.
    pub(crate) fn committed_within(
        &self,
        partitions: &[i32],
        limit: Duration,
    ) -> Result<BTreeMap<i32, Committed>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        let found = self.consumer.committed_offsets(list, limit)?;
        let mut committed = BTreeMap::new();
        for element in found.elements() {
            element.error()?;
            let progress = match element.offset() {
                Offset::Offset(next) => match Metadata::parse(element.metadata(), &self.pipeline) {
                    Some(metadata) => Committed::Ours(KafkaProgress { next, metadata }),
                    None => Committed::Foreign(next),
                },
                _ => Committed::Absent,
            };
            committed.insert(element.partition(), progress);
        }
        Ok(committed)
    }

    /// Oldest offsets and last stable offsets of partitions of the source topic.
    pub(crate) fn logs(&self, partitions: &[i32]) -> Result<BTreeMap<i32, Log>, KafkaError> {
        let starts = self.offsets(partitions, Offset::Beginning)?;
        let ends = self.offsets(partitions, Offset::End)?;
        let mut logs = BTreeMap::new();
        for (partition, start) in starts {
            if let Some(end) = ends.get(&partition) {
                logs.insert(partition, Log { start, end: *end, topic_id: None });
            }
        }
        Ok(logs)
    }

    /// Last stable offsets of partitions of the source topic.
    pub(crate) fn ends(&self, partitions: &[i32]) -> Result<BTreeMap<i32, i64>, KafkaError> {
        self.offsets(partitions, Offset::End)
    }

    /// One end of these partitions of any topic.
    pub(crate) fn ends_of(
        &self,
        topic: &str,
        partitions: &[i32],
        end: End,
    ) -> Result<BTreeMap<i32, i64>, client::Error> {
        client::log_offsets(self.consumer.client(), topic, partitions, end, CALL_LIMIT)
    }

    /// One call for all partitions: `fetch_watermarks` would cost a round trip for each.
    fn offsets(&self, partitions: &[i32], which: Offset) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for &partition in partitions {
            list.add_partition_offset(&self.topic, partition, which)?;
        }
        let found = self.consumer.offsets_for_times(list, CALL_LIMIT)?;
        let mut offsets = BTreeMap::new();
        for element in found.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    /// Creates a topic with the broker's own replication.
    pub(crate) async fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(BROKER_DEFAULT));
        let options =
            AdminOptions::new().request_timeout(Some(CALL_LIMIT)).operation_timeout(Some(CALL_LIMIT));
        for result in self.admin.create_topics([&new], &options).await? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        Ok(())
    }

    /// A topic's settings; empty where this worker may not see them.
    pub(crate) async fn topic_settings(&self, topic: &str) -> TopicSettings {
        if self.is_mock {
            return TopicSettings::default();
        }
        let options = AdminOptions::new().request_timeout(Some(CALL_LIMIT));
        let asked = self.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await;
        let mut settings = TopicSettings::default();
        for resource in asked.into_iter().flatten().flatten() {
            for entry in resource.entries {
                if let Some(value) = entry.value {
                    settings.0.insert(entry.name, value);
                }
            }
        }
        settings
    }
}

impl TopicSettings {
    /// A number, such as `retention.ms`.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.parse().ok()
    }

    /// A text, such as `cleanup.policy`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// How long one question may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Asks the broker for its `default.replication.factor`.
const BROKER_DEFAULT: i32 = -1;
