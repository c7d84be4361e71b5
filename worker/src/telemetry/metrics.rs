//! The figures of a scrape.
//!
//! Owns the registry. The number of series is bounded whatever comes in: labels have fixed values but for the partitions.

use std::sync::Arc;
use std::time::Duration;

use insights::record::Reason;
use opentelemetry::trace::TraceContextExt as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use rollcall_worker::traces::DROPPED;

use super::declarations::declaration;
use super::places::Places;
use crate::client::Queues;
use crate::protocol::delivery::OUTPUT_REFUSED;
use crate::protocol::positions::INVARIANTS;

/// What became of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transaction {
    /// It is committed.
    Committed,
    /// It was aborted.
    Aborted,
    /// Nobody knows.
    Unknown,
}

/// Who refused a worker that came too late.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Zombie {
    /// The group's coordinator.
    Group,
    /// The transaction's coordinator.
    Producer,
    /// A compare-and-set.
    Redis,
}

/// What a rebalance did.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rebalance {
    /// It gave partitions.
    Assigned,
    /// It took partitions.
    Revoked,
    /// They were gone already.
    Lost,
}

/// Source records by outcome, as one batch adds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Logins that passed the filter.
    pub(crate) passed: u64,
    /// Logins that did not.
    pub(crate) filtered: u64,
    /// Records that are no logins.
    pub(crate) rejected: u64,
    /// Records that both sinks had.
    pub(crate) gated: u64,
    /// Bytes of keys and values read.
    pub(crate) consumed_bytes: u64,
    /// Bytes of values produced.
    pub(crate) produced_bytes: u64,
}

/// A histogram whose exemplars name a trace.
type Traced = HistogramWithExemplars<[(&'static str, String); 1]>;

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// All figures of a worker.
pub(crate) struct Metrics {
    registry: Registry,
    passed: Counter,
    filtered: Counter,
    rejected: Counter,
    gated: Counter,
    dead_letters: Labelled,
    consumed: Counter,
    produced: Counter,
    batch: Traced,
    commit: Traced,
    redis_merge: Histogram,
    produced_to_visible: Histogram,
    transactions: Labelled,
    fenced: Labelled,
    rebalances: Labelled,
    queue_records: Family<[(&'static str, &'static str); 1], Gauge>,
    queue_bytes: Family<[(&'static str, &'static str); 1], Gauge>,
    busy: Gauge<f64, std::sync::atomic::AtomicU64>,
    violations: Labelled,
    /// What is known of each partition.
    pub(crate) places: Arc<Places>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let places = Arc::<Places>::default();
        registered(&mut registry, "rollcall_dropped_spans", DROPPED.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("rollcall_build", declaration("rollcall_build").help, build);
        registry.register_collector(Box::new(Arc::clone(&places)));
        let records = registered(&mut registry, "rollcall_records", Labelled::default());
        let outcome = |outcome| records.get_or_create_owned(&[("outcome", outcome)]);
        let metrics = Self {
            passed: outcome("passed"),
            filtered: outcome("filtered"),
            rejected: outcome("rejected"),
            gated: outcome("gated"),
            dead_letters: registered(&mut registry, "rollcall_dead_letters", Labelled::default()),
            consumed: registered(&mut registry, "rollcall_consumed", Counter::default()),
            produced: registered(&mut registry, "rollcall_produced", Counter::default()),
            batch: registered(&mut registry, "rollcall_batch", traced()),
            commit: registered(&mut registry, "rollcall_commit", traced()),
            redis_merge: registered(&mut registry, "rollcall_redis_merge", histogram()),
            produced_to_visible: registered(&mut registry, "rollcall_produced_to_visible", histogram()),
            transactions: registered(&mut registry, "rollcall_transactions", Labelled::default()),
            fenced: registered(&mut registry, "rollcall_fenced", Labelled::default()),
            rebalances: registered(&mut registry, "rollcall_rebalances", Labelled::default()),
            queue_records: registered(&mut registry, "rollcall_client_queue_records", Family::default()),
            queue_bytes: registered(&mut registry, "rollcall_client_queue", Family::default()),
            busy: registered(&mut registry, "rollcall_busy_ratio", Gauge::default()),
            violations: registered(&mut registry, "rollcall_invariant_violations", Labelled::default()),
            places,
            registry,
        };
        metrics.start_at_zero();
        metrics
    }
}

impl Metrics {
    /// Every series that there can be is there from the start: an alert on a rate must not miss its first step.
    fn start_at_zero(&self) {
        for reason in Reason::ALL.iter().map(|reason| reason.code()).chain([OUTPUT_REFUSED]) {
            drop(self.dead_letters.get_or_create(&[("reason", reason)]));
        }
        for transaction in [Transaction::Committed, Transaction::Aborted, Transaction::Unknown] {
            drop(self.transactions.get_or_create(&transaction.label()));
        }
        for zombie in [Zombie::Group, Zombie::Producer, Zombie::Redis] {
            drop(self.fenced.get_or_create(&zombie.label()));
        }
        for rebalance in [Rebalance::Assigned, Rebalance::Revoked, Rebalance::Lost] {
            drop(self.rebalances.get_or_create(&rebalance.label()));
        }
        for invariant in INVARIANTS {
            drop(self.violations.get_or_create(&[("invariant", invariant)]));
        }
    }

    /// A batch was counted and delivered in `took`.
    pub(crate) fn processed(&self, tally: &Tally, took: Duration) {
        self.passed.inc_by(tally.passed);
        self.filtered.inc_by(tally.filtered);
        self.rejected.inc_by(tally.rejected);
        self.gated.inc_by(tally.gated);
        self.consumed.inc_by(tally.consumed_bytes);
        self.produced.inc_by(tally.produced_bytes);
        self.batch.observe(took.as_secs_f64(), trace(), None);
    }

    /// A dead letter was delivered.
    pub(crate) fn dead_letter(&self, reason: &'static str) {
        self.dead_letters.get_or_create(&[("reason", reason)]).inc();
    }

    /// A transaction is over. `took`: the commit alone.
    pub(crate) fn transaction(&self, outcome: Transaction, took: Option<Duration>) {
        self.transactions.get_or_create(&outcome.label()).inc();
        if let Some(took) = took {
            self.commit.observe(took.as_secs_f64(), trace(), None);
        }
    }

    /// A write came too late.
    pub(crate) fn fenced(&self, by: Zombie) {
        self.fenced.get_or_create(&by.label()).inc();
    }

    /// Partitions moved.
    pub(crate) fn rebalanced(&self, kind: Rebalance) {
        self.rebalances.get_or_create(&kind.label()).inc();
    }

    /// A partition's state is stored. `age`: of its last record; none where that bears no timestamp.
    pub(crate) fn merged(&self, took: Duration, age: Option<Duration>) {
        self.redis_merge.observe(took.as_secs_f64());
        if let Some(age) = age {
            self.produced_to_visible.observe(age.as_secs_f64());
        }
    }

    /// How the pump fares, and what its clients hold.
    pub(crate) fn pump(&self, busy: f64, queues: [(&'static str, Queues); 2]) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.busy.set(busy);
        for (client, queues) in queues {
            let label = [("client", client)];
            self.queue_records.get_or_create(&label).set(gauge(queues.records));
            self.queue_bytes.get_or_create(&label).set(gauge(queues.bytes));
        }
    }

    /// A promise was broken, one of those that are declared below.
    pub(crate) fn violated(&self, invariant: &'static str) {
        debug_assert!(INVARIANTS.contains(&invariant));
        tracing::error!(invariant, "an invariant is violated: this is a bug");
        self.violations.get_or_create(&[("invariant", invariant)]).inc();
    }

    /// All figures in the `OpenMetrics` text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all");
        text
    }
}

impl Transaction {
    fn label(self) -> [(&'static str, &'static str); 1] {
        [(
            "outcome",
            match self {
                Self::Committed => "committed",
                Self::Aborted => "aborted",
                Self::Unknown => "unknown",
            },
        )]
    }
}

impl Zombie {
    fn label(self) -> [(&'static str, &'static str); 1] {
        [(
            "by",
            match self {
                Self::Group => "group",
                Self::Producer => "producer",
                Self::Redis => "redis",
            },
        )]
    }
}

impl Rebalance {
    fn label(self) -> [(&'static str, &'static str); 1] {
        [(
            "kind",
            match self {
                Self::Assigned => "assigned",
                Self::Revoked => "revoked",
                Self::Lost => "lost",
            },
        )]
    }
}

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, metric: M) -> M {
    let declaration = declaration(name);
    match declaration.unit.clone() {
        Some(unit) => registry.register_with_unit(declaration.name, declaration.help, unit, metric.clone()),
        None => registry.register(declaration.name, declaration.help, metric.clone()),
    }
    metric
}

/// From half a millisecond to eight seconds.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 15))
}

fn traced() -> Traced {
    Traced::new(exponential_buckets(0.000_5, 2.0, 15))
}

/// The trace at hand, where it is recorded.
fn trace() -> Option<[(&'static str, String); 1]> {
    let context = opentelemetry::Context::current();
    let span = context.span();
    let is_there = span.span_context().is_sampled();
    is_there.then(|| [("trace_id", span.span_context().trace_id().to_string())])
}
