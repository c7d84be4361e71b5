//! From the tree to the specification: every key, its type and its default.
//!
//! Owns the keys and the defaults, which together are the job of the scripts that Rollcall replaces. What more than one value
//! decides is left to `validate`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::Sources;
use super::error::Mistakes;
use super::filter;
use super::model::{
    DeadLetter, Dimension, Fields, Fold, Insights, Kafka, Output, OutputKey, PipelineSpec, Redis, Sasl,
    Source, StartFrom, TimestampUnit, Tls,
};
use super::redis_url;
use super::section::{Section, Value};
use super::substitute::read_file;
use super::tree::Node;

/// Decodes a tree. What is absent, null or wrong gets its default; what is wrong is noted.
pub(super) fn decode(root: &Node, sources: &Sources<'_>, mistakes: &Mistakes) -> PipelineSpec {
    let root = Section::root(root, ROOT_KEYS, mistakes);
    let pipeline = root.read("pipeline", Value::text).unwrap_or_else(|| PIPELINE.to_owned());
    let source = source(&root);
    let dead_letter = root.section("deadLetter", &["topic"]);
    PipelineSpec {
        revision: root.read("revision", |value| value.integer(0..=REVISION_MAX)).unwrap_or(1),
        kafka: kafka(&root, &pipeline, sources),
        redis: redis(&root),
        filter: filter::decode(&root, &source.fields.version),
        source,
        output: output(&root),
        dead_letter: DeadLetter {
            topic: dead_letter.read("topic", Value::text).unwrap_or_else(|| DEAD_LETTER_TOPIC.to_owned()),
        },
        insights: insights(&root),
        pipeline,
    }
}

fn kafka(root: &Section<'_>, pipeline: &str, sources: &Sources<'_>) -> Kafka {
    let kafka = root.section("kafka", &["brokers", "group", "tls", "sasl", "properties"]);
    Kafka {
        brokers: kafka.read("brokers", Value::texts).unwrap_or_else(|| vec![BROKER.to_owned()]),
        group: kafka.read("group", Value::text).unwrap_or_else(|| format!("rollcall.{pipeline}")),
        tls: tls(&kafka),
        sasl: sasl(&kafka, sources),
        properties: kafka
            .read("properties", |value| texts_by_name(value, Value::scalar_text))
            .unwrap_or_default(),
    }
}

fn tls(kafka: &Section<'_>) -> Option<Tls> {
    let tls = kafka.section("tls", &["ca", "certificate", "key", "hostnameVerification"]);
    if tls.is_empty() {
        return None;
    }
    Some(Tls {
        ca: tls.read("ca", path),
        certificate: tls.read("certificate", path),
        key: tls.read("key", path),
        hostname_verification: tls.read("hostnameVerification", Value::boolean).unwrap_or(true),
    })
}

fn sasl(kafka: &Section<'_>, sources: &Sources<'_>) -> Option<Sasl> {
    let sasl = kafka.section("sasl", &["mechanism", "username", "password", "passwordFile"]);
    if sasl.is_empty() {
        return None;
    }
    let mechanism = sasl.require("mechanism", |value| value.choice(&MECHANISMS));
    let username = sasl.require("username", Value::text);
    let password_file = sasl.read("passwordFile", Value::text);
    let password = match (sasl.has("password"), sasl.has("passwordFile")) {
        (true, true) => {
            sasl.mistake("password", "stands beside passwordFile, remove one");
            None
        }
        (false, false) => {
            sasl.mistake("password", "is missing, write password or passwordFile");
            None
        }
        (true, false) => sasl.read("password", Value::text),
        (false, true) => password_file.and_then(|file| match read_file(&file, sources) {
            Ok(password) => Some(password),
            Err(why) => {
                sasl.mistake("passwordFile", format!("{file} {why}"));
                None
            }
        }),
    };
    if password.as_ref().is_some_and(String::is_empty) {
        sasl.mistake(if sasl.has("password") { "password" } else { "passwordFile" }, "is empty");
    }
    Some(Sasl {
        mechanism: mechanism.unwrap_or("PLAIN").to_owned(),
        username: username.unwrap_or_default(),
        password: SecretString::from(password.unwrap_or_default()),
    })
}

/// User and password may stand beside the URL, as they are: within it, some of their characters would mean something else.
fn redis(root: &Section<'_>) -> Redis {
    let redis = root.section("redis", &["url", "username", "password"]);
    let url = redis.read("url", Value::text).unwrap_or_else(|| REDIS_URL.to_owned());
    let username = redis.read("username", Value::text).unwrap_or_default();
    let Some(password) = redis.read("password", Value::text).filter(|password| !password.is_empty()) else {
        if redis.has("username") || redis.has("password") {
            redis.mistake("password", "is missing or empty, redis.username needs it");
        }
        return Redis { url: url.into() };
    };
    if let Some(url) = redis_url::with_credentials(&url, &username, &password) {
        return Redis { url: url.into() };
    }
    redis.mistake("password", "stands beside a url with a user or a password, remove one");
    Redis { url: url.into() }
}

fn source(root: &Section<'_>) -> Source {
    let source = root.section(
        "source",
        &["topic", "startFrom", "timestampUnit", "maxRecordBytes", "fields", "required", "defaults"],
    );
    let fields = source.section("fields", &["user", "timestamp", "version"]);
    let field =
        |part, default: &str| fields.read(part, Value::field_name).unwrap_or_else(|| default.to_owned());
    let fields = Fields {
        user: field("user", "user_id"),
        timestamp: field("timestamp", "timestamp"),
        version: field("version", "app_version"),
    };
    let required = source
        .read("required", Value::field_names)
        .unwrap_or_else(|| vec![fields.user.clone(), fields.version.clone(), "device_type".to_owned()]);
    let max_record_bytes = source.read("maxRecordBytes", |value| value.integer(1..=RECORD_BYTES_MAX));
    Source {
        topic: source.read("topic", Value::text).unwrap_or_else(|| SOURCE_TOPIC.to_owned()),
        start_from: source
            .read("startFrom", |value| value.choice(&START_FROM))
            .unwrap_or(StartFrom::Earliest),
        timestamp_unit: source
            .read("timestampUnit", |value| value.choice(&TIMESTAMP_UNITS))
            .unwrap_or(TimestampUnit::Seconds),
        max_record_bytes: max_record_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(RECORD_BYTES),
        required: with_timestamp_last(required, &fields.timestamp),
        defaults: source.read("defaults", |value| texts_by_name(value, Value::text)).unwrap_or_default(),
        fields,
    }
}

/// Each field once, and the timestamp, which always is required, behind all others.
fn with_timestamp_last(names: Vec<String>, timestamp: &str) -> Vec<String> {
    let mut required: Vec<String> = Vec::with_capacity(names.len() + 1);
    for name in names {
        if name != timestamp && !required.contains(&name) {
            required.push(name);
        }
    }
    required.push(timestamp.to_owned());
    required
}

fn output(root: &Section<'_>) -> Output {
    let output = root.section("output", &["topic", "key", "drop", "mask", "hash", "hashKey"]);
    let key = match output.read("key", Value::field_name) {
        Some(field) if field != "Source" => OutputKey::Field(field),
        _ => OutputKey::Source,
    };
    let fields = |key| output.read(key, Value::field_names).unwrap_or_default();
    Output {
        topic: output.read("topic", Value::text).unwrap_or_else(|| OUTPUT_TOPIC.to_owned()),
        key,
        drop: fields("drop"),
        mask: fields("mask"),
        hash: fields("hash"),
        hash_key: output.read("hashKey", Value::text).unwrap_or_default().into(),
    }
}

fn insights(root: &Section<'_>) -> Insights {
    let insights = root
        .section("insights", &["dimensions", "unique", "hashKey", "timeZone", "maxValues", "publishEvery"]);
    let max_values = insights.read("maxValues", |value| value.integer(1..=VALUES_MAX));
    Insights {
        dimensions: insights
            .read("dimensions", |value| Some(dimensions(value)))
            .unwrap_or_else(default_dimensions),
        unique: insights.read("unique", Value::field_names).unwrap_or_else(|| vec!["user_id".to_owned()]),
        hash_key: insights.read("hashKey", Value::text).unwrap_or_default().into(),
        time_zone: time_zone(&insights),
        max_values: max_values
            .and_then(|values| NonZeroU32::new(u32::try_from(values).ok()?))
            .unwrap_or(VALUES),
        publish_every: insights
            .read("publishEvery", |value| value.duration(PUBLISH_EVERY_MIN..=PUBLISH_EVERY_MAX))
            .unwrap_or(PUBLISH_EVERY),
    }
}

fn dimensions(value: Value<'_>) -> Vec<Dimension> {
    let mut dimensions: Vec<Dimension> = Vec::new();
    for item in value.items().unwrap_or_default() {
        let Some(dimension) = item.section(&["field", "fold"]) else {
            continue;
        };
        let fold = dimension.read("fold", |value| value.choice(&FOLDS)).unwrap_or(Fold::None);
        let Some(field) = dimension.require("field", Value::field_name) else {
            continue;
        };
        if dimensions.iter().any(|earlier| earlier.field == field) {
            dimension.mistake("field", format!("{field:?} is repeated, remove one"));
            continue;
        }
        dimensions.push(Dimension { field, fold });
    }
    dimensions
}

fn default_dimensions() -> Vec<Dimension> {
    let dimension = |field: &str, fold| Dimension { field: field.to_owned(), fold };
    vec![
        dimension("device_type", Fold::Lower),
        dimension("app_version", Fold::None),
        dimension("locale", Fold::Upper),
    ]
}

fn time_zone(insights: &Section<'_>) -> chrono_tz::Tz {
    let Some(name) = insights.read("timeZone", Value::text) else {
        return chrono_tz::Tz::UTC;
    };
    name.parse().unwrap_or_else(|_| {
        insights
            .mistake("timeZone", format!("{name:?} is no known time zone, write for example Europe/Berlin"));
        chrono_tz::Tz::UTC
    })
}

fn path(value: Value<'_>) -> Option<PathBuf> {
    value.text().map(PathBuf::from)
}

/// A mapping of free names to texts; what is none is noted and left out.
fn texts_by_name<'a>(
    value: Value<'a>,
    read: impl Fn(Value<'a>) -> Option<String>,
) -> Option<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for (name, value) in value.pairs()? {
        if let Some(text) = read(value) {
            texts.insert(name.to_owned(), text);
        }
    }
    Some(texts)
}

const ROOT_KEYS: &[&str] =
    &["revision", "pipeline", "kafka", "redis", "source", "filter", "output", "deadLetter", "insights"];

const PIPELINE: &str = "user-login";
const BROKER: &str = "localhost:29092";
const REDIS_URL: &str = "redis://localhost:6379";
const SOURCE_TOPIC: &str = "user-login";
const OUTPUT_TOPIC: &str = "processed-user-login";
const DEAD_LETTER_TOPIC: &str = "user-login-dlq";

/// Kubernetes' generations are signed.
const REVISION_MAX: u64 = i64::MAX.unsigned_abs();

const RECORD_BYTES: usize = 65_536;

/// librdkafka takes no larger answer by default (`receive.message.max.bytes`).
const RECORD_BYTES_MAX: u64 = 100_000_000;

const VALUES: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not zero");

/// Each value of each partition's tables is held in memory.
const VALUES_MAX: u64 = 100_000;

const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Each publication reads what all partitions have changed.
const PUBLISH_EVERY_MIN: Duration = Duration::from_millis(100);

const PUBLISH_EVERY_MAX: Duration = Duration::from_hours(24);

const MECHANISMS: [(&str, &str); 3] =
    [("PLAIN", "PLAIN"), ("SCRAM-SHA-256", "SCRAM-SHA-256"), ("SCRAM-SHA-512", "SCRAM-SHA-512")];

pub(super) const START_FROM: [(&str, StartFrom); 2] =
    [("Earliest", StartFrom::Earliest), ("Latest", StartFrom::Latest)];

pub(super) const TIMESTAMP_UNITS: [(&str, TimestampUnit); 2] =
    [("Seconds", TimestampUnit::Seconds), ("Milliseconds", TimestampUnit::Milliseconds)];

pub(super) const FOLDS: [(&str, Fold); 3] =
    [("None", Fold::None), ("Lower", Fold::Lower), ("Upper", Fold::Upper)];
