//! The custom resource: what people write, and what the operator answers.
//!
//! Owns shape, bounds and the rules that a schema cannot say. What a setting means, its default and all that more than one of
//! them decides is `insights::spec`'s: the rendered file is read by it before anything is applied.

#[cfg(test)]
mod cases;
mod crd;
mod kafka;
mod pipeline;
mod rules;
mod status;
mod workers;

#[cfg(test)]
mod tests;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::crd::{crd, yaml};
pub use self::kafka::{
    FileKind, FileRef, Kafka, Mechanism, Redis, RedisCredentials, Sasl, SecretKeyRef, Tls,
};
pub use self::pipeline::{
    DeadLetter, Dimension, Fields, Fold, Insights, Operator, Output, Requirement, Source, StartFrom,
    TimestampUnit,
};
pub use self::status::{InsightsSummary, Lag, Popular, RollcallStatus, ScalingStatus};
pub use self::workers::{Budget, EnvVar, LogFormat, Protocol, Resources, Telemetry, Toleration, Workers};
use crate::scaling::Settings;

/// Counts the logins of a Kafka topic, exactly once, and scales its workers with the load.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "rollcall.dev",
    version = "v1alpha1",
    kind = "Rollcall",
    plural = "rollcalls",
    shortname = "rcl",
    category = "rollcall",
    namespaced,
    status = "RollcallStatus",
    derive = "PartialEq",
    doc = "Counts the logins of a Kafka topic, exactly once, and scales its workers with the load.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    selectable = ".spec.desiredState"
)]
#[serde(rename_all = "camelCase")]
pub struct RollcallSpec {
    /// How Kafka is reached.
    pub kafka: Kafka,
    /// How Redis is reached.
    pub redis: Redis,
    /// What is read.
    #[serde(default)]
    pub source: Source,
    /// What passes: all requirements must hold; [] lets all through. Default: Android with a version above 3.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub filter: Option<Vec<Requirement>>,
    /// What is written.
    #[serde(default)]
    pub output: Output,
    /// Where rejected records go.
    #[serde(default)]
    pub dead_letter: DeadLetter,
    /// What is counted.
    #[serde(default)]
    pub insights: Insights,
    /// Paused: no workers, whatever scaling says. Nothing is lost: they go on where they were.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// How many workers there are, with scaling.mode Manual; with External, an autoscaler writes it through /scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
    /// How the number of workers follows the load.
    #[serde(default)]
    pub scaling: Settings,
    /// How the workers' pods are made.
    #[serde(default)]
    pub workers: Workers,
    /// Traces and logs of the workers.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// Whether workers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DesiredState {
    /// They do.
    #[default]
    Running,
    /// None runs.
    Paused,
}

impl Rollcall {
    /// The pipeline's id: `<namespace>.<name>`.
    pub fn pipeline(&self) -> String {
        let metadata = &self.metadata;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}.{}", part(&metadata.namespace), part(&metadata.name))
    }
}
