//! What the operator answers in the resource's status.
//!
//! Owns shape and bounds: a few numbers and sentences. The insights as a whole are served over HTTP.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scaling::State;

/// What the operator answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RollcallStatus {
    /// The generation that all of this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is so, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Worker pods that exist.
    pub replicas: i32,
    /// Worker pods that are ready.
    pub ready_replicas: i32,
    /// Worker pods that there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// Selects the worker pods.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// The consumer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<String>,
    /// Partitions of the source topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// How far the workers are behind; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<Lag>,
    /// When the number of workers changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<String>,
    /// What scaling remembers and did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// The headline numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insights: Option<InsightsSummary>,
}

/// How far the workers are behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    /// Records that are not counted yet.
    pub records: i64,
    /// Age of the oldest of them; absent while it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// When this was so.
    pub observed_time: String,
}

/// What scaling remembers and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Workers that mode Auto would run.
    pub recommended: i32,
    /// Why, in one word.
    pub reason: String,
    /// Why, in one sentence.
    pub sentence: String,
    /// What the next decision needs to know, with the latest steps.
    pub state: State,
}

/// The headline numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsightsSummary {
    /// Logins that were counted.
    pub logins: i64,
    /// Those that passed the filter.
    pub processed: i64,
    /// Records that are no logins.
    pub dead_letters: i64,
    /// The hour of the day with the most logins, in the pipeline's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_hour: Option<i32>,
    /// The most frequent value of each dimension.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub most_popular: BTreeMap<String, Popular>,
    /// When this was published.
    pub published_time: String,
}

/// A most frequent value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Popular {
    /// The value.
    pub value: String,
    /// Its logins.
    pub logins: i64,
}

/// `metav1.Condition`, one of each type.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string", "maxLength": 1024, "minLength": 1},
                "message": {"type": "string", "maxLength": 32768},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"}
            }
        }
    })
}
