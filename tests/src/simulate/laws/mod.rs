//! The laws that are compared: Rollcall's own, and its rivals' as published.
//!
//! Owns what a law may see. None sees the load itself.

mod flink;
mod hpa;
mod numaflow;
mod rollcall;

use super::plant::Metrics;

/// What a law sees, every second.
pub(super) struct View<'a> {
    /// The time.
    pub(super) second: usize,
    /// Workers that are wanted.
    pub(super) replicas: usize,
    /// Workers that are members.
    pub(super) ready: usize,
    /// Whether the group is stable.
    pub(super) is_stable: bool,
    /// Whether metrics come.
    pub(super) has_metrics: bool,
    /// How long the first workers took to start, in seconds.
    pub(super) first_start: f64,
    /// The topic's partitions.
    pub(super) partitions: usize,
    /// The newest metrics.
    pub(super) metrics: &'a Metrics,
}

/// Decides how many workers there shall be.
pub(super) trait Law {
    /// Called every second; answers the present number while it is not its turn.
    fn decide(&mut self, view: &View<'_>) -> usize;
}

/// One law with one setting.
#[derive(Clone, Copy)]
pub struct Contender {
    /// The law.
    pub family: &'static str,
    /// Its setting.
    pub setting: &'static str,
    make: fn() -> Box<dyn Law>,
}

impl Contender {
    /// A law that remembers nothing yet.
    pub(super) fn start(&self) -> Box<dyn Law> {
        (self.make)()
    }

    /// Both, as one name.
    pub fn name(&self) -> String {
        if self.setting.is_empty() {
            self.family.to_owned()
        } else {
            format!("{} {}", self.family, self.setting)
        }
    }
}

/// Rollcall's name.
pub const ROLLCALL: &str = "Rollcall";
/// The name of its thrifty profile.
pub const ECONOMY: &str = "Rollcall economy";

/// All laws with all settings.
pub const CONTENDERS: [Contender; 22] = [
    Contender { family: ROLLCALL, setting: "", make: || rollcall::latency() },
    Contender { family: ECONOMY, setting: "", make: || rollcall::economy() },
    Contender { family: "KEDA", setting: "10 records", make: || hpa::keda(10.0, false) },
    Contender { family: "KEDA", setting: "1 s", make: || hpa::keda(1000.0, false) },
    Contender { family: "KEDA", setting: "3 s", make: || hpa::keda(3000.0, false) },
    Contender { family: "KEDA", setting: "10 s", make: || hpa::keda(10_000.0, false) },
    Contender { family: "KEDA", setting: "20 s", make: || hpa::keda(20_000.0, false) },
    Contender { family: "KEDA", setting: "60 s", make: || hpa::keda(60_000.0, false) },
    Contender { family: "KEDA", setting: "1 s even", make: || hpa::keda(1000.0, true) },
    Contender { family: "KEDA", setting: "10 s even", make: || hpa::keda(10_000.0, true) },
    Contender { family: "KEDA", setting: "20 s even", make: || hpa::keda(20_000.0, true) },
    Contender { family: "KEDA", setting: "60 s even", make: || hpa::keda(60_000.0, true) },
    Contender { family: "HPA busy", setting: "50 %", make: || hpa::busy(0.5) },
    Contender { family: "HPA busy", setting: "60 %", make: || hpa::busy(0.6) },
    Contender { family: "HPA busy", setting: "70 %", make: || hpa::busy(0.7) },
    Contender { family: "HPA busy", setting: "80 %", make: || hpa::busy(0.8) },
    Contender { family: "Flink", setting: "default", make: || flink::law(&flink::DEFAULT) },
    Contender { family: "Flink", setting: "docs", make: || flink::law(&flink::DOCS) },
    Contender { family: "Flink", setting: "fast", make: || flink::law(&flink::FAST) },
    Contender { family: "Numaflow", setting: "20 s", make: || numaflow::law(20.0, 2) },
    Contender { family: "Numaflow", setting: "5 s", make: || numaflow::law(5.0, 2) },
    Contender { family: "Numaflow", setting: "20 s, 8 a step", make: || numaflow::law(20.0, 8) },
];
