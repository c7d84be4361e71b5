//! Every metric, declared once: its name, its unit, what it says.
//!
//! Owns the words. The README's table is made of them.

use prometheus_client::registry::Unit;

/// What a metric is called and what it says.
pub(super) struct Declaration {
    pub(super) name: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the README"))]
    kind: &'static str,
    pub(super) unit: Option<Unit>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the README"))]
    labels: &'static [&'static str],
    pub(super) help: &'static str,
}

const fn declare(
    name: &'static str,
    kind: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
) -> Declaration {
    Declaration { name, kind, unit, labels, help }
}

/// Every metric, in the order of the README's table.
static DECLARATIONS: [Declaration; 22] = [
    declare(
        "rollcall_records",
        "counter",
        None,
        &["outcome"],
        "Source records: passed, filtered, rejected, or read again below a gate and skipped.",
    ),
    declare(
        "rollcall_dead_letters",
        "counter",
        None,
        &["reason"],
        "Records delivered as dead letters, in transactions that may still abort.",
    ),
    declare("rollcall_consumed", "counter", Some(Unit::Bytes), &[], "Values and keys of source records."),
    declare(
        "rollcall_produced",
        "counter",
        Some(Unit::Bytes),
        &[],
        "Values of outputs, in transactions that may still abort.",
    ),
    declare(
        "rollcall_batch",
        "histogram",
        Some(Unit::Seconds),
        &[],
        "Time to count and deliver a batch of records.",
    ),
    declare("rollcall_commit", "histogram", Some(Unit::Seconds), &[], "Time to commit a transaction."),
    declare(
        "rollcall_redis_merge",
        "histogram",
        Some(Unit::Seconds),
        &[],
        "Time to store what changed in a partition's state.",
    ),
    declare(
        "rollcall_produced_to_visible",
        "histogram",
        Some(Unit::Seconds),
        &[],
        "From a record's own timestamp until its count is stored, for the last record of each flush.",
    ),
    declare(
        "rollcall_transactions",
        "counter",
        None,
        &["outcome"],
        "Transactions: committed, aborted, or of unknown outcome, after which the producer is replaced.",
    ),
    declare(
        "rollcall_fenced",
        "counter",
        None,
        &["by"],
        "Writes refused because another worker was first: by the group, the transaction coordinator, or Redis.",
    ),
    declare(
        "rollcall_rebalances",
        "counter",
        None,
        &["kind"],
        "Partitions assigned, revoked, or lost without being asked.",
    ),
    declare("rollcall_lag_records", "gauge", None, &["partition"], "Records behind the last committed one."),
    declare(
        "rollcall_lag",
        "gauge",
        Some(Unit::Seconds),
        &["partition"],
        "Age of the oldest record that is not committed, by its timestamp.",
    ),
    declare(
        "rollcall_position",
        "gauge",
        None,
        &["partition", "sink"],
        "Next source offset of each sink: kafka, redis.",
    ),
    declare(
        "rollcall_replay_headroom_records",
        "gauge",
        None,
        &["partition"],
        "How far retention is behind the lower of both positions.",
    ),
    declare(
        "rollcall_client_queue_records",
        "gauge",
        None,
        &["client"],
        "Records that wait in librdkafka's queues.",
    ),
    declare("rollcall_client_queue", "gauge", Some(Unit::Bytes), &["client"], "Their bytes."),
    declare("rollcall_resident_memory", "gauge", Some(Unit::Bytes), &[], "Resident memory of the process."),
    declare(
        "rollcall_dropped_spans",
        "counter",
        None,
        &[],
        "Spans that were not exported because the collector was away or slow.",
    ),
    declare(
        "rollcall_invariant_violations",
        "counter",
        None,
        &["invariant"],
        "Broken promises of the protocol; anything but 0 is a bug.",
    ),
    declare("rollcall_busy_ratio", "gauge", None, &[], "Share of the time in which the worker worked."),
    declare("rollcall_build", "info", None, &["version"], "The version that runs."),
];

/// What was declared under a name.
pub(super) fn declaration(name: &str) -> &'static Declaration {
    DECLARATIONS.iter().find(|declaration| declaration.name == name).expect("every metric is declared")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    impl Declaration {
        /// Its name as a scrape shows it.
        fn shown(&self) -> String {
            let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
            let suffix = match self.kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            format!("{}{unit}{suffix}", self.name)
        }
    }

    /// The README's table.
    fn table() -> String {
        let mut table = String::from("| metric | labels | what it says |\n|---|---|---|\n");
        for declaration in &DECLARATIONS {
            let labels: Vec<String> = declaration.labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(table, "| `{}` | {} | {} |", declaration.shown(), labels.join(", "), declaration.help)
                .expect("a string takes all");
        }
        table
    }

    #[test]
    fn the_readme_lists_every_metric_as_it_is_declared() {
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&table()), "put this table into the README:\n{}", table());
    }
}
