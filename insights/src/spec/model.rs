//! The settings themselves, as the rest of Rollcall uses them.
//!
//! Owns their types and names. It never reads, checks or prints them: its neighbours do.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Everything that one pipeline's workers need to know.
#[derive(Clone, Debug)]
pub struct PipelineSpec {
    /// Raised with each change of the settings that decide what is counted or written.
    pub revision: u64,
    /// The pipeline's id: names the Redis keys, the default group and the transactional ids.
    pub pipeline: String,
    /// How Kafka is reached.
    pub kafka: Kafka,
    /// How Redis is reached.
    pub redis: Redis,
    /// What is read.
    pub source: Source,
    /// What passes; all requirements must hold.
    pub filter: Vec<Requirement>,
    /// What is written.
    pub output: Output,
    /// Where rejected records go.
    pub dead_letter: DeadLetter,
    /// What is counted.
    pub insights: Insights,
}

/// How Kafka is reached.
#[derive(Clone)]
pub struct Kafka {
    /// `host:port` of the first brokers to ask.
    pub brokers: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// TLS, when any of its settings is given.
    pub tls: Option<Tls>,
    /// SASL, when a mechanism is given.
    pub sasl: Option<Sasl>,
    /// Further librdkafka properties; those that Rollcall locks are refused.
    pub properties: BTreeMap<String, String>,
}

/// TLS towards Kafka.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM file with the certificates of trusted authorities; the system's when absent.
    pub ca: Option<PathBuf>,
    /// PEM file with the client's certificate.
    pub certificate: Option<PathBuf>,
    /// PEM file with the client's key.
    pub key: Option<PathBuf>,
    /// Whether the broker's certificate must carry its host name.
    pub hostname_verification: bool,
}

/// SASL towards Kafka.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: SecretString,
}

/// How Redis is reached.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://`, `rediss://`, `redis-sentinel://` or `redis-cluster://`; may carry user and password.
    pub url: SecretString,
}

/// What is read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The source topic.
    pub topic: String,
    /// Where a group that never ran begins.
    pub start_from: StartFrom,
    /// The unit of the timestamp field.
    pub timestamp_unit: TimestampUnit,
    /// Largest value, in bytes, that is looked into.
    pub max_record_bytes: usize,
    /// Which field plays which part.
    pub fields: Fields,
    /// Fields that must be there. The timestamp is always last.
    pub required: Vec<String>,
    /// Values for fields that are missing or null, by field name.
    pub defaults: BTreeMap<String, String>,
}

/// Where a group that never ran begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record.
    Earliest,
    /// At the ends of the partitions, as seen at the very first start.
    Latest,
}

/// The unit of the timestamp field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds since 1970-01-01T00:00:00Z.
    Seconds,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Milliseconds,
}

/// Which field plays which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Who logs in.
    pub user: String,
    /// When.
    pub timestamp: String,
    /// With which version of the application.
    pub version: String,
}

/// One requirement of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The field that is looked at.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with.
    pub values: Vec<String>,
}

/// How a requirement compares its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Ge,
    Lt,
    Le,
    InNetwork,
    NotInNetwork,
}

/// What is written.
#[derive(Clone, Debug)]
pub struct Output {
    /// The sink topic.
    pub topic: String,
    /// The key of output records.
    pub key: OutputKey,
    /// Fields that are left out.
    pub drop: Vec<String>,
    /// Fields of which only the network address is kept.
    pub mask: Vec<String>,
    /// Fields that are replaced by their HMAC-SHA-256.
    pub hash: Vec<String>,
    /// The key of that HMAC.
    pub hash_key: SecretString,
}

/// The key of output records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKey {
    /// The source record's key.
    Source,
    /// The value of a field, after mask and hash.
    Field(String),
}

/// Where rejected records go.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The dead-letter topic.
    pub topic: String,
}

/// What is counted.
#[derive(Clone, Debug)]
pub struct Insights {
    /// Fields whose values are counted.
    pub dimensions: Vec<Dimension>,
    /// Fields of which distinct values a day are estimated.
    pub unique: Vec<String>,
    /// Secret under which ids are hashed before they are counted; empty: derived from the pipeline's id.
    pub hash_key: SecretString,
    /// What a day and an hour are in the published insights.
    pub time_zone: chrono_tz::Tz,
    /// Most values that a partition's table of a dimension holds; 1 to 100,000.
    pub max_values: NonZeroU32,
    /// How often insights are published.
    pub publish_every: Duration,
}

/// A field whose values are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimension {
    /// The field.
    pub field: String,
    /// How its values are folded first.
    pub fold: Fold,
}

/// How values are folded (ASCII only) before they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// As they are.
    None,
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
}

impl fmt::Debug for Kafka {
    /// Leaves out the values of the properties: some hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Kafka")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("tls", &self.tls)
            .field("sasl", &self.sasl)
            .field("properties", &self.properties.keys())
            .finish()
    }
}
