//! What a user may say about scaling: `spec.scaling` of the custom resource.
//!
//! Owns names and defaults. All have one; most people set `maxReplicas` and nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// How the number of workers is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Who decides.
    pub mode: Mode,
    /// What counts for more, lag or cost: sets `utilization` and `scaleDown.window` where they are not given.
    pub profile: Profile,
    /// Never fewer workers than these; 0 lets an idle pipeline sleep.
    pub min_replicas: u32,
    /// Never more workers than these; besides, never more than partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<u32>,
    /// How old the oldest waiting record may become.
    pub latency_target: Span,
    /// In which time a backlog is to be worked off.
    pub catch_up: Span,
    /// How much of a worker is planned for.
    pub utilization: Utilization,
    /// How often the operator looks and decides.
    pub interval: Span,
    /// Steps up.
    pub scale_up: ScaleUp,
    /// Steps down.
    pub scale_down: ScaleDown,
    /// When an idle pipeline sleeps; only with `minReplicas: 0`.
    pub idle: Idle,
    /// Offsets and reports older than this are unknown.
    pub stale_after: Span,
    /// What happens when offsets stay unknown.
    pub fallback: Fallback,
    /// When a step up counts as useless.
    pub effectiveness: Effectiveness,
    /// Records a second that one worker does, until that is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_hint: Option<u64>,
}

/// Who decides how many workers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Rollcall decides.
    #[default]
    Auto,
    /// Rollcall says what it would do, and does nothing.
    DryRun,
    /// `spec.replicas` decides.
    Manual,
    /// `spec.replicas` decides, written through `/scale` by an HPA or KEDA.
    External,
}

/// What counts for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Profile {
    /// Little lag: workers are planned at 85 % and let go after 10 quiet minutes.
    #[default]
    Latency,
    /// Few workers: planned to the full, let go after 2 quiet minutes; lag up to a quarter of the target is let be.
    Economy,
}

/// How much of the hottest worker is planned for, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Utilization {
    /// What a step aims at: 85, Economy 102 (what is measured is not exact, and lag corrects it).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 110))]
    pub target_percent: Option<u32>,
    /// Above this a step up is due: 95, Economy 105.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 110))]
    pub high_percent: Option<u32>,
}

/// Steps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleUp {
    /// The least time between a step and the next one up; longer where workers take longer to start.
    pub cooldown: Span,
}

/// Steps down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleDown {
    /// Fewer workers must have been enough for so long: 600s, Economy 120s. Half of it is enough where three quarters of the
    /// workers go; six times as long where it is a fifth or less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// The largest share of the workers that one step takes away.
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: u32,
}

/// When an idle pipeline sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Idle {
    /// The log must not have grown for so long.
    pub after: Span,
}

/// What happens when offsets stay unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Fallback {
    /// For how long the present number is held.
    pub after: Span,
    /// Then at least so many workers run; the present number when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
}

/// When a step up counts as useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Effectiveness {
    /// How long after the step its gain is looked at.
    pub after: Span,
    /// The smallest share of the expected gain that counts as one.
    #[schemars(range(min = 0, max = 100))]
    pub threshold_percent: u32,
    /// How long no step up is tried afterwards; doubled each time, up to eight times this.
    pub backoff: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            profile: Profile::Latency,
            min_replicas: 1,
            max_replicas: None,
            latency_target: Span::seconds(60),
            catch_up: Span::seconds(120),
            utilization: Utilization::default(),
            interval: Span::seconds(10),
            scale_up: ScaleUp::default(),
            scale_down: ScaleDown::default(),
            idle: Idle::default(),
            stale_after: Span::seconds(60),
            fallback: Fallback::default(),
            effectiveness: Effectiveness::default(),
            capacity_hint: None,
        }
    }
}

impl Default for ScaleUp {
    fn default() -> Self {
        Self { cooldown: Span::seconds(30) }
    }
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self { window: None, max_percent: 100 }
    }
}

impl Default for Idle {
    fn default() -> Self {
        Self { after: Span::seconds(300) }
    }
}

impl Default for Fallback {
    fn default() -> Self {
        Self { after: Span::seconds(300), replicas: None }
    }
}

impl Default for Effectiveness {
    fn default() -> Self {
        Self { after: Span::seconds(90), threshold_percent: 20, backoff: Span::seconds(600) }
    }
}

impl Settings {
    /// The fewest and the most workers. A cap below the minimum wins over it.
    pub(super) fn limits(&self, partitions: Option<u32>) -> (u32, u32) {
        let cap = self.max_replicas.unwrap_or(u32::MAX).min(partitions.unwrap_or(u32::MAX)).max(1);
        (self.min_replicas.min(cap), cap)
    }

    /// The share of a worker that a step aims at.
    pub(super) fn target(&self) -> f64 {
        let default = match self.profile {
            Profile::Latency => 85,
            Profile::Economy => 102,
        };
        share(self.utilization.target_percent.unwrap_or(default))
    }

    /// The share of a worker above which a step up is due; never below the one that a step aims at.
    pub(super) fn high(&self) -> f64 {
        let default = match self.profile {
            Profile::Latency => 95,
            Profile::Economy => 105,
        };
        share(self.utilization.high_percent.unwrap_or(default)).max(self.target())
    }

    /// The records of so many seconds are no lag: they are on their way, or, with Economy, let be.
    pub(super) fn slack_s(&self) -> f64 {
        match self.profile {
            Profile::Latency => ON_THEIR_WAY_S,
            Profile::Economy => self.latency_target.0.as_secs_f64() / 4.0,
        }
    }

    /// For how long fewer workers must have been enough.
    pub(super) fn window_ms(&self) -> i64 {
        let default = match self.profile {
            Profile::Latency => Span::seconds(600),
            Profile::Economy => Span::seconds(120),
        };
        self.scale_down.window.unwrap_or(default).ms()
    }
}

/// A percentage as a share; nonsense is brought into its range.
pub(super) fn share(percent: u32) -> f64 {
    f64::from(percent.clamp(1, 110)) / 100.0
}

/// Records of so many seconds are on their way.
const ON_THEIR_WAY_S: f64 = 2.0;
