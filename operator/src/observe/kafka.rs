//! Questions to Kafka: partitions, both ends of their logs, what the group has committed, who is in it.
//!
//! Owns clients that never join a group, one for each way to reach a Kafka. Their calls block, with time-outs; they run on
//! threads for blocking work, so many at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use insights::spec::PipelineSpec;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use rollcall_worker::client::{self, End, Quiet};
use tokio::sync::Semaphore;

use super::{Observed, Reach};
use crate::build::checksum;
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

struct Client {
    consumer: BaseConsumer<Quiet>,
    /// Tells its configuration from others.
    fingerprint: String,
    turns: Semaphore,
}

/// What is asked about one pipeline.
#[derive(Clone)]
pub(super) struct Questions {
    client: Arc<Client>,
    topic: String,
    group: String,
}

/// What was answered.
pub(super) struct Look {
    offsets: Offsets,
    partitions: u32,
    members: Option<usize>,
}

fn config(spec: &PipelineSpec, pem: &Pem) -> ClientConfig {
    let mut config = client::control(spec, "rollcall-operator");
    // Groups are asked about by their names.
    config.remove("group.id");
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
    config
}

impl Questions {
    /// What to ask about a pipeline; nothing is asked yet. It shares the client of one of `others` that reaches the same Kafka
    /// as the same user: each costs threads and about 1 MB.
    ///
    /// Errors in librdkafka's words: a property or a certificate that it cannot use.
    pub(super) fn new<'a>(
        spec: &PipelineSpec,
        pem: &Pem,
        others: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, String> {
        let config = config(spec, pem);
        let entries: BTreeMap<_, _> = config.config_map().into_iter().collect();
        let fingerprint = checksum(&format!("{entries:?}"));
        let same = others.into_iter().find(|other| other.client.fingerprint == fingerprint);
        let client = if let Some(other) = same {
            Arc::clone(&other.client)
        } else {
            let consumer = config.create_with_context(Quiet).map_err(|error| error.to_string())?;
            Arc::new(Client { consumer, fingerprint, turns: Semaphore::new(TURNS) })
        };
        Ok(Self { client, topic: spec.source.topic.clone(), group: spec.kafka.group.clone() })
    }

    /// Asks everything once, when its turn comes.
    pub(super) async fn ask(&self) -> Result<Look, Reach> {
        let _turn = self.client.turns.acquire().await;
        let questions = self.clone();
        match tokio::task::spawn_blocking(move || questions.look()).await {
            Ok(look) => look,
            Err(error) => Err(Reach::Failed { reason: "NoAnswer", message: error.to_string() }),
        }
    }

    fn look(&self) -> Result<Look, Reach> {
        let partitions = self.partitions()?;
        let numbers: Vec<i32> = (0..i32::try_from(partitions).unwrap_or(i32::MAX)).collect();
        let client = self.client.consumer.client();
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
            .client
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

/// Looks at one Kafka at a time; others wait for their turn.
const TURNS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<'a>(yaml: &str, others: impl IntoIterator<Item = &'a Questions>) -> Questions {
        let no_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let sources = insights::spec::Sources { environment: &|_| None, file: &no_file };
        let spec = insights::spec::read(yaml, &insights::spec::Overrides::default(), &sources).unwrap();
        Questions::new(&spec, &Pem::default(), others).unwrap()
    }

    #[test]
    fn pipelines_on_the_same_kafka_share_a_client() {
        let one = ask("{pipeline: a, kafka: {brokers: [\"k:9092\"]}, source: {topic: a}}", []);
        let other = ask("{pipeline: b, kafka: {brokers: [\"k:9092\"]}, source: {topic: b}}", [&one]);
        assert!(Arc::ptr_eq(&one.client, &other.client));
        assert_eq!((other.topic.as_str(), other.group.as_str()), ("b", "rollcall.b"));
        let elsewhere = ask("{pipeline: a, kafka: {brokers: [\"other:9092\"]}}", [&one, &other]);
        assert!(!Arc::ptr_eq(&one.client, &elsewhere.client));
        let client = Arc::downgrade(&one.client);
        drop((one, other));
        assert!(client.upgrade().is_none(), "clients that nobody needs are gone");
    }
}
