//! The client settings: what the specification says, and what Rollcall locks.

use std::time::Duration;

use insights::spec::PipelineSpec;
use rdkafka::config::ClientConfig;
use secrecy::ExposeSecret;

/// Settings of the pump's consumer.
pub fn consumer(spec: &PipelineSpec, name: &str) -> ClientConfig {
    let mut config = common(spec, name);
    group(&mut config, spec);
    config
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", SESSION_TIMEOUT_MS)
        // A member learns from its heartbeats that partitions move; a moved one waits for two members to learn it.
        .set("heartbeat.interval.ms", "300")
        .set("topic.metadata.refresh.interval.ms", "15000")
        .set("check.crcs", "true")
        // The default of one second starves a full queue; round trips are the cost of a lazy one.
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.min.bytes", "1000000")
        .set("fetch.wait.max.ms", "20")
        // One answer may go beyond the full queue by this much: the default is 50 MB.
        .set("fetch.max.bytes", "8388608")
        // A fifth of the default: the queue is measured in messages first, each of which costs far more than its bytes.
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", CONSUMER_QUEUE_KBYTES.to_string())
        .set("statistics.interval.ms", STATISTICS_EVERY_MS);
    overridden(config, spec)
}

/// A worker's transactional id: whoever starts under the same name ends what this one left.
pub fn transactional_id(spec: &PipelineSpec, name: &str) -> String {
    format!("{}/{name}", spec.pipeline)
}

/// Settings of the pump's producer.
pub fn producer(spec: &PipelineSpec, name: &str, transactional_id: &str) -> ClientConfig {
    let mut config = common(spec, name);
    config
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string())
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // Nothing is known of a record but that it failed: no queue of reports to be drained.
        .set("delivery.report.only.error", "true")
        // Each small batch costs, at the broker too, and librdkafka turns in circles while one is due and the one before it is
        // not answered. Visible at the same time as with 5 ms, with a quarter less CPU at 5,000 logins a second; with 100 ms
        // the commits have more to wait for.
        .set("linger.ms", "30")
        .set("retry.backoff.ms", "10")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "32768")
        .set("message.max.bytes", MESSAGE_BYTES_MAX)
        .set("statistics.interval.ms", STATISTICS_EVERY_MS)
        // Below the topics' usual limit of 1 MB: a broker refuses batches, not records.
        .set("batch.size", "500000");
    overridden(config, spec)
}

/// Settings of a producer without transactions, for made-up logins.
pub fn plain_producer(spec: &PipelineSpec, name: &str) -> ClientConfig {
    let mut config = common(spec, name);
    config.set("linger.ms", "5").set("acks", "all").set("enable.idempotence", "true");
    overridden(config, spec)
}

/// Settings of the client that asks for offsets and watermarks, and never joins the group.
pub fn control(spec: &PipelineSpec, name: &str) -> ClientConfig {
    let mut config = common(spec, &format!("{name}-control"));
    group(&mut config, spec);
    config
        .set("queued.max.messages.kbytes", "1024")
        .set("fetch.wait.max.ms", "100")
        .set("enable.partition.eof", "true");
    overridden(config, spec)
}

fn common(spec: &PipelineSpec, name: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", spec.kafka.brokers.join(","))
        .set("client.id", name)
        .set("socket.timeout.ms", SOCKET_TIMEOUT_MS)
        .set("reconnect.backoff.max.ms", "1000")
        .set("log.connection.close", "false");
    security(&mut config, spec);
    config
}

fn group(config: &mut ClientConfig, spec: &PipelineSpec) {
    config
        .set("group.id", &spec.kafka.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "false");
}

fn security(config: &mut ClientConfig, spec: &PipelineSpec) {
    let protocol = match (&spec.kafka.tls, &spec.kafka.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &spec.kafka.tls {
        let files = [
            ("ssl.ca.location", &tls.ca),
            ("ssl.certificate.location", &tls.certificate),
            ("ssl.key.location", &tls.key),
        ];
        for (property, path) in files {
            if let Some(path) = path {
                config.set(property, path.to_string_lossy());
            }
        }
        let identification = if tls.hostname_verification { "https" } else { "none" };
        config.set("ssl.endpoint.identification.algorithm", identification);
    }
    if let Some(sasl) = &spec.kafka.sasl {
        config
            .set("sasl.mechanism", &sasl.mechanism)
            .set("sasl.username", &sasl.username)
            .set("sasl.password", sasl.password.expose_secret());
    }
}

/// The user's own properties come last; those that are locked were refused when the file was read.
fn overridden(mut config: ClientConfig, spec: &PipelineSpec) -> ClientConfig {
    for (property, value) in &spec.kafka.properties {
        config.set(property, value);
    }
    config
}

/// As often as the worker reports.
const STATISTICS_EVERY_MS: &str = "5000";

/// Bounds the records that wait in the consumer; nothing is gained above.
const CONSUMER_QUEUE_KBYTES: u32 = 16_384;

/// How long a transaction may stay open before the broker ends it.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(8);

/// The three time-outs fall in this order: a hung commit dies before its member is replaced.
const SESSION_TIMEOUT_MS: &str = "10000";
const SOCKET_TIMEOUT_MS: &str = "6000";

/// The topic decides what is too large, not the client.
const MESSAGE_BYTES_MAX: &str = "100000000";
