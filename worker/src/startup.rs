//! What must be so before a worker starts: services reached, topics there, the configuration in agreement.
//!
//! Owns waiting for services that are away and refusing what can never work. It never starts the pump.

use std::sync::Arc;
use std::time::{Duration, Instant};

use insights::spec::{PipelineSpec, StartFrom};
use insights::store::Store;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::backend::{Away, read_history};
use crate::control::{Control, TopicSettings};
use crate::exit::Failure;
use crate::protocol::progress::{FirstStart, incarnation};
use crate::pump::Destination;
use crate::revision;

/// What was found.
pub(crate) struct Ready {
    /// The source topic's partitions.
    pub(crate) partitions: i32,
    /// The output topic.
    pub(crate) output: Destination,
    /// The dead-letter topic.
    pub(crate) dead_letters: Destination,
    /// The record of the group's first start.
    pub(crate) first_start: FirstStart,
}

/// Waits for Kafka and Redis and checks everything. `wait`: how long an absent source topic is waited for.
pub(crate) async fn prepare(
    spec: &PipelineSpec,
    control: &Arc<Control>,
    store: &Store,
    wait: Option<Duration>,
) -> Result<Ready, Failure> {
    let partitions = wait_for_source(spec, control, wait).await?;
    let output = destination(spec, control, &spec.output.topic, partitions).await?;
    let dead_letters = destination(spec, control, &spec.dead_letter.topic, partitions).await?;
    check_topics(spec, control).await?;
    wait_for_redis(store).await?;
    check_history(spec, store, partitions).await?;
    let first_start = first_start(spec, control, store, partitions).await?;
    Ok(Ready { partitions, output, dead_letters, first_start })
}

/// Waits for the source topic, with a line every ten seconds that names it.
async fn wait_for_source(
    spec: &PipelineSpec,
    control: &Arc<Control>,
    wait: Option<Duration>,
) -> Result<i32, Failure> {
    let topic = &spec.source.topic;
    let mut away = Away::new("Kafka");
    let started_at = Instant::now();
    let mut said_at: Option<Instant> = None;
    loop {
        match ask(control, topic).await {
            Ok(Some(partitions)) => return Ok(partitions),
            Ok(None) => {
                away.is_back();
                if let Some(wait) = wait.filter(|wait| started_at.elapsed() >= *wait) {
                    return Err(Failure::runtime(anyhow::anyhow!(
                        "the source topic `{topic}` does not exist; waited {} s for it: create it, for example with \
                         `kafka-topics.sh --create --topic {topic} --bootstrap-server {}`",
                        wait.as_secs(),
                        spec.kafka.brokers.join(",")
                    )));
                }
                if said_at.is_none_or(|at| at.elapsed() >= SAY_ABSENT_EVERY) {
                    said_at = Some(Instant::now());
                    tracing::warn!(topic, "waiting for the source topic `{topic}`: it does not exist yet");
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
            Err(error) => away.pause(&kafka_text(spec, topic, &error)).await,
        }
    }
}

fn kafka_text(spec: &PipelineSpec, topic: &str, error: &KafkaError) -> String {
    let brokers = spec.kafka.brokers.join(",");
    match code_of(error) {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            format!(
                "not allowed to see the topic `{topic}`, which may not exist either ({error}): create it, or grant the right"
            )
        }
        _ => format!(
            "Kafka does not answer at {brokers} ({error}): check that it runs, and `kafka.brokers`, `kafka.tls` and \
             `kafka.sasl` (a wrong password looks the same from here)"
        ),
    }
}

async fn ask(control: &Arc<Control>, topic: &str) -> Result<Option<i32>, KafkaError> {
    let (control, topic) = (Arc::clone(control), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || control.partitions(&topic)).await;
    asked.unwrap_or(Err(KafkaError::Canceled))
}

/// A topic that is produced to; created with the source's partitions where it is absent and that is allowed.
async fn destination(
    spec: &PipelineSpec,
    control: &Arc<Control>,
    topic: &str,
    partitions: i32,
) -> Result<Destination, Failure> {
    let mut away = Away::new("Kafka");
    loop {
        match ask(control, topic).await {
            Ok(Some(partitions)) => {
                return Ok(Destination { name: topic.to_owned(), partitions });
            }
            Ok(None) => match control.create_topic(topic, partitions).await {
                Ok(()) => tracing::info!(topic, partitions, "topic created"),
                Err(error) if is_refusal(&error) => {
                    return Err(Failure::runtime(anyhow::anyhow!(
                        "the topic `{topic}` does not exist and may not be created by this worker ({error}): create it \
                         with `kafka-topics.sh --create --topic {topic} --partitions {partitions}`"
                    )));
                }
                Err(error) => away.pause(&kafka_text(spec, topic, &error)).await,
            },
            Err(error) => away.pause(&kafka_text(spec, topic, &error)).await,
        }
    }
}

/// The error's code; the crate tells none of an administration request that was refused as a whole.
fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        _ => error.rdkafka_error_code(),
    }
}

fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        code_of(error),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::PolicyViolation
                | RDKafkaErrorCode::InvalidReplicationFactor
        )
    )
}

/// Refuses topics that lose records, and warns of settings that surprise.
async fn check_topics(spec: &PipelineSpec, control: &Arc<Control>) -> Result<(), Failure> {
    let source = control.topic_settings(&spec.source.topic).await;
    let output = control.topic_settings(&spec.output.topic).await;
    let dead_letters = control.topic_settings(&spec.dead_letter.topic).await;
    for (topic, settings) in [(&spec.output.topic, &output), (&spec.dead_letter.topic, &dead_letters)] {
        if settings.text("cleanup.policy") == Some("compact") {
            return Err(Failure::runtime(anyhow::anyhow!(
                "the topic `{topic}` is compacted only, which deletes records with the same key: set its \
                 cleanup.policy to `delete` or `compact,delete`, or name another topic"
            )));
        }
    }
    warn(spec, &source, &output);
    Ok(())
}

fn warn(spec: &PipelineSpec, source: &TopicSettings, output: &TopicSettings) {
    let endless = |retention: i64| if retention < 0 { i64::MAX } else { retention };
    if let (Some(read), Some(written)) = (source.number("retention.ms"), output.number("retention.ms"))
        && endless(written) < endless(read)
    {
        tracing::warn!(
            topic = spec.output.topic,
            output_retention_ms = written,
            source_retention_ms = read,
            "the output's retention is shorter than the source's: outputs made from old records may be deleted early"
        );
    }
    if output.text("message.timestamp.type") == Some("LogAppendTime") {
        tracing::warn!(
            topic = spec.output.topic,
            "the output topic uses LogAppendTime: it replaces the timestamps of the source records"
        );
    }
    if let Some(ahead) = source.number("message.timestamp.after.max.ms").filter(|ahead| *ahead > DAY_MS) {
        tracing::warn!(
            topic = spec.source.topic,
            after_max_ms = ahead,
            "the source topic takes timestamps more than a day ahead: set its message.timestamp.after.max.ms to \
             86400000 or less, or such records push old days out of the insights"
        );
    }
}

async fn wait_for_redis(store: &Store) -> Result<(), Failure> {
    let mut away = Away::new("Redis");
    loop {
        match store.check_server().await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => away.pause(&error).await,
            Err(error) => return Err(Failure::runtime(error)),
        }
    }
}

/// Refuses a configuration that contradicts what the pipeline was started with.
async fn check_history(spec: &PipelineSpec, store: &Store, partitions: i32) -> Result<(), Failure> {
    let all: Vec<i32> = (0..partitions).collect();
    let mut away = Away::new("Redis");
    let heads = loop {
        match store.heads(&all).await {
            Ok(heads) => break heads,
            Err(error) if error.is_transient() => away.pause(&error).await,
            Err(error) => return Err(Failure::runtime(error)),
        }
    };
    let mut adopted = None;
    for head in heads.iter().flatten() {
        let Some(history) = read_history(head) else {
            continue;
        };
        revision::check(spec, &history).map_err(Failure::configuration)?;
        let newest = history.revisions.last().map_or(0, |entry| entry.revision);
        if newest > spec.revision {
            adopted = adopted.max(Some(newest));
        }
    }
    if let Some(revision) = adopted {
        tracing::warn!(
            own = spec.revision,
            stored = revision,
            "a higher revision of the configuration is in force: its settings are adopted"
        );
    }
    Ok(())
}

/// The record of the group's very first start: made once, kept for ever.
async fn first_start(
    spec: &PipelineSpec,
    control: &Arc<Control>,
    store: &Store,
    partitions: i32,
) -> Result<FirstStart, Failure> {
    let mut away = Away::new("Kafka or Redis");
    loop {
        let asked = Arc::clone(control);
        let all: Vec<i32> = (0..partitions).collect();
        let found = tokio::task::spawn_blocking(move || {
            let topic_id = asked.topic_id().unwrap_or(None);
            asked.logs(&all).map(|logs| (topic_id, logs))
        });
        let (topic_id, logs) = match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                away.pause(&error).await;
                continue;
            }
            Err(error) => return Err(Failure::runtime(error)),
        };
        let latest = spec.source.start_from == StartFrom::Latest;
        let starts = logs.values().map(|log| if latest { log.end } else { log.start }).collect();
        let proposal = FirstStart { incarnation: incarnation(1, rand::random()), topic_id, starts };
        let proposal = serde_json::to_vec(&proposal).expect("plain data is JSON");
        match store.first_start(&proposal).await {
            Ok(stored) => return serde_json::from_slice(&stored).map_err(Failure::runtime),
            Err(error) if error.is_transient() => away.pause(&error).await,
            Err(error) => return Err(Failure::runtime(error)),
        }
    }
}

const DAY_MS: i64 = 86_400_000;
const ASK_EVERY: Duration = Duration::from_millis(500);
const SAY_ABSENT_EVERY: Duration = Duration::from_secs(10);
