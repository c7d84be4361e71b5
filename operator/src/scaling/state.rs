//! What must survive the operator: kept in the custom resource's status.
//!
//! Owns the memory of the law, in whole numbers and bounded. Steady load leaves it as it is, so that status need not be
//! written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reason;

/// The law's memory. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// Records a second that one worker does, measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
    /// The last step up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_up_ms: Option<i64>,
    /// The last step down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_down_ms: Option<i64>,
    /// A step that the group has not settled after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settling_since_ms: Option<i64>,
    /// How long it takes from a step until the group is stable, smoothed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_ms: Option<i64>,
    /// Since when the group is stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_since_ms: Option<i64>,
    /// Since when offsets are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind_since_ms: Option<i64>,
    /// Since when so few workers are enough: rising times, falling numbers, all below the present one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enough: Vec<Level>,
    /// When that was last looked at, to the minute; none while nothing is noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_ms: Option<i64>,
    /// A step up whose gain is still to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Steps up are not tried: the last one was useless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// The sum of all log ends when they last grew; only with `minReplicas: 0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<i64>,
    /// When the log ends last grew; only with `minReplicas: 0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grown_ms: Option<i64>,
    /// Whether the pipeline sleeps.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asleep: bool,
    /// The last steps, newest first, at most ten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// So few workers are enough since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Workers.
    pub replicas: u32,
    /// Since when.
    pub since_ms: i64,
}

/// A step up, and what it should gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// When it was.
    pub at_ms: i64,
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// Records a second before.
    pub before: u64,
    /// Records a second that should come on top.
    pub expected: u64,
}

/// No steps up until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Until when.
    pub until_ms: i64,
    /// How long it was; the next one is twice as long.
    pub length_ms: i64,
    /// Records a second that were done then. It ends early when clearly more are: what held the workers up is gone.
    pub drained: u64,
}

/// One step, told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When it was.
    pub at_ms: i64,
    /// Workers before.
    pub from: u32,
    /// Workers after.
    pub to: u32,
    /// Why.
    pub reason: Reason,
    /// Why, in one sentence.
    pub sentence: String,
}

impl State {
    /// The last step in either direction.
    pub(super) fn last_step_ms(&self) -> Option<i64> {
        self.last_up_ms.max(self.last_down_ms)
    }

    /// Notes a step; the oldest is let go.
    pub(super) fn note(&mut self, step: Step) {
        self.steps.insert(0, step);
        self.steps.truncate(STEPS);
    }
}

/// Steps that are kept.
const STEPS: usize = 10;
