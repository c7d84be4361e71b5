//! The part of the resource that is the configuration file: what is read, written and counted.
//!
//! Owns shape and bounds. The defaults here are `insights::spec`'s, written out so that a rule can compare an unset field with
//! one that says the same; a test holds them together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretKeyRef;

/// What is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// The source topic. Cannot change.
    #[schemars(length(min = 1, max = 249), pattern("^[A-Za-z0-9._-]+$"))]
    pub topic: String,
    /// Where a group that never ran begins. Cannot change.
    pub start_from: StartFrom,
    /// The unit of the timestamp field. Cannot change.
    pub timestamp_unit: TimestampUnit,
    /// Largest value, in bytes, that is looked into.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_record_bytes: i64,
    /// Which field plays which part. Cannot change.
    pub fields: Fields,
    /// Fields that must be there. Default: user, version and `device_type`; the timestamp always must.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub required: Option<Vec<String>>,
    /// Values for fields that are missing or null, by field name; they are written to the output too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "defaults")]
    pub defaults: Option<BTreeMap<String, String>>,
}

/// Where a group that never ran begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StartFrom {
    /// At the oldest record.
    #[default]
    Earliest,
    /// At the ends of the partitions, as seen at the very first start.
    Latest,
}

/// The unit of the timestamp field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimestampUnit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// Which field plays which part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Fields {
    /// Who logs in.
    #[schemars(length(min = 1, max = 256))]
    pub user: String,
    /// When.
    #[schemars(length(min = 1, max = 256))]
    pub timestamp: String,
    /// With which version of the application.
    #[schemars(length(min = 1, max = 256))]
    pub version: String,
}

/// One requirement of the filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The field that is looked at.
    #[schemars(length(min = 1, max = 256))]
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with.
    #[serde(default)]
    #[schemars(length(max = 1000), inner(length(max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a requirement compares its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Output {
    /// The sink topic. Cannot change.
    #[schemars(length(min = 1, max = 249), pattern("^[A-Za-z0-9._-]+$"))]
    pub topic: String,
    /// The key of output records: Source, or a field's name.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// Fields that are left out.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub drop: Vec<String>,
    /// Fields of which only the network address is kept.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub mask: Vec<String>,
    /// Fields that are replaced by their HMAC-SHA-256.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub hash: Vec<String>,
    /// The key of that HMAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_key_secret_ref: Option<SecretKeyRef>,
}

/// Where rejected records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeadLetter {
    /// The dead-letter topic. Cannot change.
    #[schemars(length(min = 1, max = 249), pattern("^[A-Za-z0-9._-]+$"))]
    pub topic: String,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Insights {
    /// Fields whose values are counted. Default: `device_type`, `app_version` and `locale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["field"]))]
    pub dimensions: Option<Vec<Dimension>>,
    /// Fields of which distinct values a day are estimated. Default: `user_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub unique: Option<Vec<String>>,
    /// Secret under which ids are hashed before they are counted. Default: made from the pipeline's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_key_secret_ref: Option<SecretKeyRef>,
    /// What a day and an hour are in the published insights.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Most values that a partition's table of a dimension holds.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_values: i32,
    /// How often insights are published: a whole number with ms, s, m or h.
    #[schemars(length(max = 16), pattern("^[0-9]+(ms|s|m|h)$"))]
    pub publish_every: String,
}

/// A field whose values are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dimension {
    /// The field.
    #[schemars(length(min = 1, max = 256))]
    pub field: String,
    /// How its values are folded (ASCII only) before they are counted.
    #[serde(default)]
    pub fold: Fold,
}

/// How values are folded before they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fold {
    /// As they are.
    #[default]
    None,
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            topic: "user-login".to_owned(),
            start_from: StartFrom::default(),
            timestamp_unit: TimestampUnit::default(),
            max_record_bytes: 65_536,
            fields: Fields::default(),
            required: None,
            defaults: None,
        }
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            user: "user_id".to_owned(),
            timestamp: "timestamp".to_owned(),
            version: "app_version".to_owned(),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self {
            topic: "processed-user-login".to_owned(),
            key: "Source".to_owned(),
            drop: Vec::new(),
            mask: Vec::new(),
            hash: Vec::new(),
            hash_key_secret_ref: None,
        }
    }
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self { topic: "user-login-dlq".to_owned() }
    }
}

impl Default for Insights {
    fn default() -> Self {
        Self {
            dimensions: None,
            unique: None,
            hash_key_secret_ref: None,
            time_zone: "UTC".to_owned(),
            max_values: 1000,
            publish_every: "1s".to_owned(),
        }
    }
}

/// A map with bounded values, which the derive cannot say.
fn defaults(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 256}
    })
}
