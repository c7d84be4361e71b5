//! What was decided, and why.
//!
//! Owns the reasons' names and the numbers that stand behind a decision. It decides nothing.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to do now.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Workers to run.
    pub replicas: u32,
    /// What Auto would run; differs from `replicas` in the other modes.
    pub recommended: u32,
    /// Why, as a condition's reason.
    pub reason: Reason,
    /// Why, in one sentence.
    pub sentence: String,
    /// What it was made from.
    pub figures: Figures,
}

/// Why. The names are the condition's reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// As many workers as are needed.
    WithinTarget,
    /// More workers are needed, and come.
    ScalingUp,
    /// Fewer workers have been enough for the whole window.
    ScalingDown,
    /// Another number is right, but a waiting time is not over.
    Stabilizing,
    /// More would help, but there are no more partitions.
    PartitionCount,
    /// More would help, but `maxReplicas` is reached.
    MaxReplicas,
    /// One partition gets more than a whole worker does: no number of workers helps.
    PartitionBound,
    /// Workers lag though they are not busy: they wait for Redis or Kafka, and more of them would not help.
    DownstreamBound,
    /// The last step up gained too little; no other is tried for a while.
    Ineffective,
    /// The lag is unknown: offsets are missing or too old.
    LagUnknown,
    /// Offsets have been unknown for long.
    Fallback,
    /// Not long enough observed, or capacity still unknown.
    Measuring,
    /// The consumer group rebalances, or workers start.
    GroupUnstable,
    /// A new version or configuration is being rolled out.
    RolloutInProgress,
    /// Nothing to do: the pipeline sleeps without a worker.
    Idle,
    /// Records came to a sleeping pipeline.
    Waking,
    /// The first workers start.
    Starting,
    /// `desiredState: Paused`.
    Paused,
    /// `mode: Manual`.
    Manual,
    /// `mode: External`.
    External,
}

impl fmt::Display for Reason {
    /// Its name, as conditions, events, metrics and the API show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The numbers behind a decision, for status, metrics and spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Records that wait; none when unknown.
    pub lag: Option<u64>,
    /// How long the oldest of them has waited, about, in milliseconds; none when unknown.
    pub lag_age_ms: Option<u64>,
    /// Records that arrive each second; none when unknown.
    pub arrival: Option<f64>,
    /// Records that one worker does each second; none when unknown.
    pub capacity: Option<f64>,
    /// What arrives at the hottest worker, as a share of what a worker does; none when unknown.
    pub hottest: Option<f64>,
    /// The partition with the most arrivals.
    pub hottest_partition: Option<i32>,
    /// Workers that are needed by demand alone, before any waiting time or limit.
    pub needed: Option<u32>,
    /// What stands in the way of more: `MaxReplicas`, `PartitionBound` or `PartitionCount`; none when nothing does.
    pub limit: Option<Reason>,
    /// The numbers of workers that make a difference with these partitions.
    pub useful: Vec<u32>,
}

/// A number of workers, in words.
pub(super) fn workers(replicas: u32) -> String {
    if replicas == 1 { "1 worker".to_owned() } else { format!("{replicas} workers") }
}
