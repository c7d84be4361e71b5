//! Questions to Kafka: partitions, both ends of their logs, what the group has committed, who is in it.
//!
//! Owns a client that never joins the group. Its calls block, with time-outs; they run on threads for blocking work.

use std::time::Duration;

use insights::spec::PipelineSpec;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use rollcall_worker::client::{self, End, Quiet};

use super::{Observed, Reach};
use crate::clock::now_ms;
use crate::scaling::{Offsets, PartitionOffsets};

/// Certificates and keys of TLS, as text.
#[derive(Clone, Default)]
pub struct Pem {
    /// Trusted authorities.
    pub ca: Option<String>,
    /// The client's certificate.
    pub certificate: Option<String>,
    /// The client's key.
    pub key: Option<String>,
}

/// A client that asks.
pub struct Questions {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    group: String,
}

/// What was answered.
pub(super) struct Look {
    offsets: Offsets,
    partitions: u32,
    members: Option<usize>,
}

impl Questions {
    /// Makes the client; nothing is asked yet.
    ///
    /// Errors in librdkafka's words: a property or a certificate that it cannot use.
    pub fn new(spec: &PipelineSpec, pem: &Pem) -> Result<Self, String> {
        let mut config = client::control(spec, "rollcall-operator");
        // The operator has the texts, not the files that the workers mount.
        for (file, property, text) in [
            ("ssl.ca.location", "ssl.ca.pem", &pem.ca),
            ("ssl.certificate.location", "ssl.certificate.pem", &pem.certificate),
            ("ssl.key.location", "ssl.key.pem", &pem.key),
        ] {
            if let Some(text) = text {
                config.remove(file);
                config.set(property, text);
            }
        }
        let consumer = config.create_with_context(Quiet).map_err(|error| error.to_string())?;
        Ok(Self { consumer, topic: spec.source.topic.clone(), group: spec.kafka.group.clone() })
    }

    /// Asks everything once.
    pub(super) fn look(&self) -> Result<Look, Reach> {
        let partitions = self.partitions()?;
        let numbers: Vec<i32> = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect();
        let client = self.consumer.client();
        let at_ms = now_ms();
        let (topic, group) = (self.topic.as_str(), self.group.as_str());
        // Committed offsets first: what is committed later cannot be beyond an end that was asked for before.
        let committed = client::committed(client, group, topic, &numbers, LIMIT).map_err(no_answer)?;
        let starts = client::log_offsets(client, topic, &numbers, End::Start, LIMIT).map_err(no_answer)?;
        let ends = client::log_offsets(client, topic, &numbers, End::Stable, LIMIT).map_err(no_answer)?;
        let members = client::members(client, group, topic, LIMIT).map_err(no_answer)?;
        let mut known = Vec::with_capacity(numbers.len());
        for partition in numbers {
            if let (Some(&start), Some(&end)) = (starts.get(&partition), ends.get(&partition)) {
                let committed = committed.get(&partition).copied();
                known.push(PartitionOffsets { partition, end, start, committed });
            }
        }
        Ok(Look {
            offsets: Offsets { at_ms, partitions: known },
            partitions,
            members: members.map(|members| members.len()),
        })
    }

    fn partitions(&self) -> Result<u32, Reach> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(&self.topic), LIMIT)
            .map_err(|error| Reach::Failed { reason: "NoAnswer", message: error.to_string() })?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let count = found.map_or(0, |topic| topic.partitions().len());
        let code = found.and_then(MetadataTopic::error).map(RDKafkaErrorCode::from);
        match (u32::try_from(count).unwrap_or(u32::MAX), code) {
            (count, None) if count > 0 => Ok(count),
            (_, None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {
                let message =
                    format!("the source topic {:?} does not exist yet, workers wait for it", self.topic);
                Err(Reach::Failed { reason: "NoSourceTopic", message })
            }
            (_, Some(code)) => Err(Reach::Failed { reason: "NoAnswer", message: code.to_string() }),
        }
    }
}

impl Look {
    /// Adds what was seen.
    pub(super) fn put_into(self, observed: &mut Observed) {
        observed.offsets.push(self.offsets);
        observed.partitions = Some(self.partitions);
        observed.members = self.members;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err takes")]
fn no_answer(error: client::Error) -> Reach {
    Reach::Failed { reason: "NoAnswer", message: error.to_string() }
}

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(5);
