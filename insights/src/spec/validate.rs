//! The rules that more than one setting, or more than a type, decides.
//!
//! Owns what is refused (exit code 2) although it could be decoded. It never changes a setting.

use super::error::Mistakes;
use super::model::{Kafka, Output, OutputKey, PipelineSpec, Source};
use super::names::{host_and_port, is_pipeline_id, is_topic};
use super::properties;
use super::redis_url::RedisUrl;
use super::section::{EMPTY_FIELD, join, join_index};
use secrecy::ExposeSecret;

/// Notes all that is wrong with a specification.
pub(super) fn validate(spec: &PipelineSpec, mistakes: &Mistakes) {
    if !is_pipeline_id(&spec.pipeline) {
        let what = format!(
            "{:?} is no id: write at most 128 of a-z, 0-9, \".\", \"_\" and \"-\", with a letter or digit at both ends",
            spec.pipeline
        );
        mistakes.setting("pipeline", what);
    }
    kafka(&spec.kafka, mistakes);
    if let Err(error) = RedisUrl::parse(spec.redis.url.expose_secret()) {
        mistakes.setting("redis.url", error.to_string());
    }
    topics(spec, mistakes);
    source(&spec.source, mistakes);
    output(&spec.output, mistakes);
    timestamp(spec, mistakes);
}

fn kafka(kafka: &Kafka, mistakes: &Mistakes) {
    if kafka.brokers.is_empty() {
        mistakes.setting("kafka.brokers", "is empty, name at least one broker as host:port");
    }
    for (index, broker) in kafka.brokers.iter().enumerate() {
        if host_and_port(broker, None).is_none() {
            let path = join_index("kafka.brokers", index);
            mistakes.setting(path, format!("{broker:?} is not host:port"));
        }
    }
    if kafka.group.is_empty()
        || kafka.group.len() > GROUP_BYTES_MAX
        || kafka.group.chars().any(char::is_control)
    {
        mistakes.setting(
            "kafka.group",
            format!("is not 1 to {GROUP_BYTES_MAX} bytes of text without control characters"),
        );
    }
    if let Some(tls) = &kafka.tls {
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => mistakes.setting("kafka.tls.key", "is missing, the certificate needs its key"),
            (None, Some(_)) => {
                mistakes.setting("kafka.tls.certificate", "is missing, the key needs its certificate");
            }
            _ => {}
        }
    }
    if kafka.sasl.as_ref().is_some_and(|sasl| sasl.username.is_empty()) {
        mistakes.setting("kafka.sasl.username", "is empty");
    }
    for name in kafka.properties.keys() {
        let path = join("kafka.properties", name);
        if name.is_empty() {
            mistakes.setting(path, "has an empty name");
        } else if let Some(what) = properties::refusal(name) {
            mistakes.setting(path, what);
        }
    }
}

/// Each topic is well-formed, and none plays two parts: a worker would read what it writes.
fn topics(spec: &PipelineSpec, mistakes: &Mistakes) {
    let topics = [
        ("source.topic", &spec.source.topic),
        ("output.topic", &spec.output.topic),
        ("deadLetter.topic", &spec.dead_letter.topic),
    ];
    for (index, (path, topic)) in topics.into_iter().enumerate() {
        if !is_topic(topic) {
            let what = "is no name of a topic: write 1 to 249 of a-z, A-Z, 0-9, \".\", \"_\" and \"-\"";
            mistakes.setting(path, format!("{topic:?} {what}"));
            continue;
        }
        if let Some((other, _)) = topics.into_iter().take(index).find(|(_, earlier)| *earlier == topic) {
            mistakes.setting(path, format!("{topic:?} is {other} already, name another topic"));
        }
    }
}

fn source(source: &Source, mistakes: &Mistakes) {
    let fields = &source.fields;
    for (part, field) in [("user", &fields.user), ("version", &fields.version)] {
        if *field == fields.timestamp {
            let path = join("source.fields", part);
            mistakes.setting(path, format!("{field:?} is the timestamp already, name another field"));
        }
    }
    for (name, value) in &source.defaults {
        let path = join("source.defaults", name);
        if name.is_empty() {
            mistakes.setting(path, EMPTY_FIELD);
        } else if value.is_empty() || value.len() > DEFAULT_BYTES_MAX {
            mistakes.setting(path, format!("is {} bytes long, not 1 to {DEFAULT_BYTES_MAX}", value.len()));
        } else if value.starts_with('~') {
            mistakes.setting(path, "begins with \"~\", which marks Rollcall's own values");
        }
    }
}

fn output(output: &Output, mistakes: &Mistakes) {
    let lists = [("output.drop", &output.drop), ("output.mask", &output.mask), ("output.hash", &output.hash)];
    for (index, (path, fields)) in lists.into_iter().enumerate() {
        for (other, earlier) in lists.into_iter().take(index) {
            for field in fields.iter().filter(|field| earlier.contains(field)) {
                mistakes.setting(path, format!("{field:?} is in {other} already, remove one"));
            }
        }
    }
    if !output.hash.is_empty() && output.hash_key.expose_secret().is_empty() {
        mistakes.setting(
            "output.hashKey",
            "is missing, output.hash needs it: write for example ${file:/etc/rollcall/hash-key}",
        );
    }
}

/// The timestamp is rewritten, and is no text of its own: it cannot play another part.
fn timestamp(spec: &PipelineSpec, mistakes: &Mistakes) {
    let timestamp = &spec.source.fields.timestamp;
    let insights = &spec.insights;
    let parts = [
        ("source.defaults", spec.source.defaults.contains_key(timestamp)),
        ("output.key", matches!(&spec.output.key, OutputKey::Field(field) if field == timestamp)),
        ("output.mask", spec.output.mask.contains(timestamp)),
        ("output.hash", spec.output.hash.contains(timestamp)),
        ("insights.dimensions", insights.dimensions.iter().any(|dimension| dimension.field == *timestamp)),
        ("insights.unique", insights.unique.contains(timestamp)),
    ];
    for (path, _) in parts.into_iter().filter(|(_, names_it)| *names_it) {
        mistakes.setting(path, format!("{timestamp:?} is the timestamp, which cannot be used here"));
    }
}

/// What Kafka's tools and our own keys can take.
const GROUP_BYTES_MAX: usize = 255;

/// As long as any counted value.
const DEFAULT_BYTES_MAX: usize = 256;
