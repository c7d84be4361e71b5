//! The operator's figures.
//!
//! Owns the registry. Series are bounded by the number of resources.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::reconcile::Error;
use crate::resource::Rollcall;
use crate::scaling::Decision;

type ByPipeline = Vec<(&'static str, String)>;

/// All figures of an operator.
pub struct Metrics {
    registry: Registry,
    reconcile: Histogram,
    errors: Family<[(&'static str, &'static str); 1], Counter>,
    writes: Family<[(&'static str, &'static str); 1], Counter>,
    leader: Gauge,
    desired: Family<ByPipeline, Gauge>,
    decisions: Family<ByPipeline, Counter>,
    lag: Family<ByPipeline, Gauge<f64, AtomicU64>>,
    /// Reasons that decisions had so far, of all pipelines.
    reasons: Mutex<BTreeSet<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            reconcile: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            errors: Family::default(),
            writes: Family::default(),
            leader: Gauge::default(),
            desired: Family::default(),
            decisions: Family::default(),
            lag: Family::default(),
            reasons: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register(
            "rollcall_operator_build",
            "The version that runs.",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_with_unit(
            "rollcall_operator_reconcile",
            "Time of one reconcile.",
            Unit::Seconds,
            metrics.reconcile.clone(),
        );
        registry.register(
            "rollcall_operator_reconcile_errors",
            "Reconciles that failed, by what failed; they are tried again.",
            metrics.errors.clone(),
        );
        registry.register(
            "rollcall_operator_writes",
            "Objects that were written, by kind; none while nothing changes.",
            metrics.writes.clone(),
        );
        registry.register(
            "rollcall_operator_leader",
            "1 while this operator leads, 0 while it stands by.",
            metrics.leader.clone(),
        );
        registry.register(
            "rollcall_operator_desired_replicas",
            "Workers that there should be.",
            metrics.desired.clone(),
        );
        registry.register(
            "rollcall_operator_decisions",
            "Decisions about the number of workers, by reason.",
            metrics.decisions.clone(),
        );
        registry.register(
            "rollcall_operator_lag_records",
            "Records that wait; no series while that is unknown.",
            metrics.lag.clone(),
        );
        for error in ["read", "write"] {
            drop(metrics.errors.get_or_create(&[("error", error)]));
        }
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// A reconcile is over.
    pub fn reconciled(&self, took: Duration, error: Option<&Error>) {
        self.reconcile.observe(took.as_secs_f64());
        if let Some(error) = error {
            self.errors.get_or_create(&[("error", error.category())]).inc();
        }
    }

    /// An object was written.
    pub fn wrote(&self, kind: &'static str) {
        self.writes.get_or_create(&[("kind", kind)]).inc();
    }

    /// Whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The number of workers was decided.
    pub fn decided(&self, key: &ObjectRef<Rollcall>, decision: &Decision) {
        let labels = labels(key);
        self.desired.get_or_create(&labels).set(i64::from(decision.replicas));
        match decision.figures.lag {
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            Some(lag) => {
                self.lag.get_or_create(&labels).set(lag as f64);
            }
            None => {
                self.lag.remove(&labels);
            }
        }
        let reason = decision.reason.to_string();
        self.decisions.get_or_create(&with_reason(labels, &reason)).inc();
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).insert(reason);
    }

    /// A resource is gone.
    pub fn forget(&self, key: &ObjectRef<Rollcall>) {
        self.desired.remove(&labels(key));
        self.lag.remove(&labels(key));
        for reason in self.reasons.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.decisions.remove(&with_reason(labels(key), reason));
        }
    }

    /// All figures in the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all");
        text
    }
}

fn with_reason(mut labels: ByPipeline, reason: &str) -> ByPipeline {
    labels.push(("reason", reason.to_owned()));
    labels
}

fn labels(key: &ObjectRef<Rollcall>) -> ByPipeline {
    vec![("namespace", key.namespace.clone().unwrap_or_default()), ("name", key.name.clone())]
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::scaling::{Figures, Reason};

    /// The README's table.
    fn table(exposition: &str) -> String {
        let mut rows = "| metric | what it says |\n|---|---|\n".to_owned();
        let types = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let types: std::collections::HashMap<&str, &str> = types.collect();
        for (name, help) in
            exposition.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '))
        {
            let suffix = match types.get(name) {
                Some(&"counter") => "_total",
                Some(&"info") => "_info",
                _ => "",
            };
            // The encoder adds a full stop of its own.
            writeln!(rows, "| `{name}{suffix}` | {}. |", help.trim_end_matches('.')).unwrap();
        }
        rows
    }

    fn key() -> ObjectRef<Rollcall> {
        ObjectRef::new("user-login").within("analytics")
    }

    fn decision() -> Decision {
        Decision {
            replicas: 2,
            recommended: 2,
            reason: Reason::WithinTarget,
            sentence: "2 workers: as many as are needed.".to_owned(),
            figures: Figures { lag: Some(1), ..Figures::default() },
        }
    }

    #[test]
    fn the_readme_has_all_metrics() {
        let readme = include_str!("../../README.md");
        let metrics = Metrics::default();
        // What has no series is not shown.
        metrics.wrote("Deployment");
        metrics.decided(&key(), &decision());
        let table = table(&metrics.text());
        assert!(readme.contains(&table), "put this table into the README:\n{table}");
    }

    #[test]
    fn a_resource_that_is_gone_leaves_no_series() {
        let metrics = Metrics::default();
        metrics.decided(&key(), &decision());
        assert!(metrics.text().contains("user-login"));
        metrics.forget(&key());
        assert!(!metrics.text().contains("user-login"), "{}", metrics.text());
    }
}
