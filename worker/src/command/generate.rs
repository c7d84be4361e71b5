//! `rollcall generate`: made-up logins into the source topic.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use opentelemetry::trace::{Span as _, SpanKind, Tracer as _};
use opentelemetry::{KeyValue, global};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Runtime;

use crate::args::GenerateArguments;
use crate::client;
use crate::clock::now_ms;
use crate::configuration;
use crate::control::Control;
use crate::exit::Failure;
use crate::logins::{Logins, Made};
use crate::signals::Signals;
use crate::telemetry;

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: GenerateArguments) -> Result<(), Failure> {
    let spec = configuration::load(&arguments.configuration)?;
    runtime.block_on(async move {
        let control = Control::new(&spec, "rollcall-generate").map_err(Failure::runtime)?;
        ensure_topic(&control, &spec.source.topic, arguments.partitions).await?;
        let config = client::plain_producer(&spec, "rollcall-generate");
        let producer: BaseProducer = config.create().context("failed to make a producer")?;
        let mut signals = Signals::listen()?;
        let topic = spec.source.topic.clone();
        tokio::select! {
            result = produce(&producer, &topic, &arguments) => result?,
            () = signals.next() => {}
        }
        tokio::task::spawn_blocking(move || producer.flush(FLUSH_LIMIT))
            .await
            .context("failed to wait for the last logins")?
            .context("failed to send the last logins")?;
        Ok(())
    })
}

async fn ensure_topic(control: &Control, topic: &str, partitions: i32) -> Result<(), Failure> {
    let deadline = Instant::now() + KAFKA_LIMIT;
    loop {
        let result = match control.partitions(topic) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => control.create_topic(topic, partitions).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => tracing::info!(topic, partitions, "topic created"),
            Err(error) if Instant::now() >= deadline => {
                let error = anyhow::Error::new(error)
                    .context(format!("failed to find or create the topic `{topic}`: check --brokers"));
                return Err(Failure::runtime(error));
            }
            Err(error) => {
                tracing::warn!(%error, "waiting for Kafka");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn produce(producer: &BaseProducer, topic: &str, arguments: &GenerateArguments) -> Result<(), Failure> {
    let mut logins =
        Logins::new(arguments.seed, arguments.users, arguments.malformed, arguments.late, arguments.skewed);
    let started_at = Instant::now();
    let mut count = 0_u64;
    let mut said_at = started_at;
    loop {
        let elapsed = started_at.elapsed();
        if arguments.count.is_some_and(|limit| count >= limit)
            || arguments.duration.is_some_and(|duration| elapsed >= duration)
        {
            tracing::info!(produced = count, "done");
            return Ok(());
        }
        let mut due = due(arguments.rate, elapsed).saturating_sub(count).min(BURST);
        if let Some(limit) = arguments.count {
            due = due.min(limit - count);
        }
        for _ in 0..due {
            send(producer, topic, &logins.next(now_ms()))?;
            count += 1;
        }
        producer.poll(Duration::ZERO);
        if said_at.elapsed() >= SAY_EVERY {
            said_at = Instant::now();
            tracing::info!(produced = count, "logins produced");
        }
        // Gives way to the signal, and to the brokers.
        tokio::time::sleep(if due == BURST { Duration::ZERO } else { TICK }).await;
    }
}

/// How many logins should have been produced by now.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rate and time are not negative")]
fn due(rate: f64, elapsed: Duration) -> u64 {
    if rate == 0.0 { u64::MAX } else { (rate * elapsed.as_secs_f64()) as u64 + 1 }
}

/// Queues a record; a full queue is waited for.
pub(crate) fn send(producer: &BaseProducer, topic: &str, made: &Made) -> Result<(), Failure> {
    let traceparent = telemetry::traces_are_on().then(|| traced(topic));
    loop {
        let mut record = BaseRecord::to(topic).key(&made.key).payload(&made.value);
        if let Some(traceparent) = &traceparent {
            let header = Header { key: "traceparent", value: Some(traceparent) };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(Failure::runtime(error)),
        }
    }
}

/// The span of one login's producer, and its context for the record.
fn traced(topic: &str) -> String {
    let tracer = global::tracer("rollcall");
    let attributes = [
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.client.id", "rollcall-generate"),
        KeyValue::new("messaging.operation.name", "send"),
        KeyValue::new("messaging.operation.type", "send"),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
    ];
    let span = tracer
        .span_builder(format!("send {topic}"))
        .with_kind(SpanKind::Producer)
        .with_attributes(attributes);
    let span = span.start_with_context(&tracer, &opentelemetry::Context::new());
    let context = span.span_context();
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

const BURST: u64 = 1000;
const TICK: Duration = Duration::from_millis(5);
const SAY_EVERY: Duration = Duration::from_secs(5);
const KAFKA_LIMIT: Duration = Duration::from_mins(1);
const FLUSH_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use crate::logins::Logins;

    #[test]
    fn the_same_seed_makes_the_same_logins() {
        let made = |seed| {
            let mut logins = Logins::new(seed, 100, 0.1, 0.1, 0.1);
            (0..500).map(|n| logins.next(1_790_000_000_000 + n).value).collect::<Vec<_>>()
        };
        assert_eq!(made(3), made(3));
        assert_ne!(made(3), made(4));
    }

    #[test]
    fn without_a_malformed_share_every_value_is_json() {
        let mut logins = Logins::new(1, 1000, 0.0, 0.5, 0.0);
        for _ in 0..1000 {
            let made = logins.next(1_790_000_000_000);
            let login: serde_json::Value = serde_json::from_slice(&made.value).unwrap();
            assert_eq!(login["user_id"], made.key);
        }
    }
}
