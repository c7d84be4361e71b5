//! What workers say of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use insights::report::{GONE_AFTER, Report};

use super::{Context, blocking};
use crate::clock::now_ms;
use crate::protocol::progress::Head;
use crate::pump;

/// Adds the log ends to a report and stores it.
pub(super) async fn report(context: Arc<Context>, report: pump::Report) {
    let partitions: Vec<i32> = report.positions.keys().copied().collect();
    let looked_at_ms = now_ms();
    let ends = ends_of(&context, partitions.clone()).await;
    let mut through_ms = BTreeMap::new();
    let mut positions = BTreeMap::new();
    for (partition, (next, timestamp_ms)) in report.positions {
        positions.insert(partition, next);
        // Read to its end: nothing older than the look can be missing. Otherwise the producers' clocks must do.
        if ends.get(&partition).is_some_and(|end| next >= *end) {
            through_ms.insert(partition, looked_at_ms);
        } else if timestamp_ms >= 0 {
            through_ms.insert(partition, timestamp_ms);
        }
    }
    let now_ms = now_ms();
    refresh_partitions(&context).await;
    let stored = Report {
        partitions,
        records_per_second: (report.records_per_second * 10.0).round() / 10.0,
        since_ms: Some(report.since_ms),
        busy: thousandths(report.busy),
        blocked: Some(thousandths(report.blocked)),
        positions,
        log_ends: ends,
        through_ms,
        ..Report::at(now_ms)
    };
    if let Err(error) = context.store.report(&context.name, &stored.to_json()).await {
        tracing::debug!(%error, "failed to store this worker's report");
    }
}

fn thousandths(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// Partitions that were added to the source topic are published too.
async fn refresh_partitions(context: &Arc<Context>) {
    let asked =
        blocking(context, |context| Ok(context.control.partitions(&context.spec.source.topic)?)).await;
    if let Ok(Some(partitions)) = asked {
        context.partitions.store(partitions, Ordering::Relaxed);
    }
}

/// Last stable offsets of the source topic; empty while Kafka is away.
pub(crate) async fn ends_of(context: &Arc<Context>, partitions: Vec<i32>) -> BTreeMap<i32, i64> {
    if partitions.is_empty() {
        return BTreeMap::new();
    }
    blocking(context, move |context| Ok(context.control.ends(&partitions)?)).await.unwrap_or_default()
}

/// How old a stored report is; one that cannot be read is as old as can be.
fn age(report: &str) -> Duration {
    Report::parse(report).map_or(Duration::MAX, |report| report.age(now_ms()))
}

/// Up to when all partitions are counted: the smallest over all; none when one of them is unknown.
pub(super) fn complete_through_ms(
    reports: &BTreeMap<String, String>,
    heads: &BTreeMap<i32, Head>,
) -> Option<i64> {
    let mut through: BTreeMap<i32, i64> = BTreeMap::new();
    for report in reports.values().filter(|report| age(report) < GONE_AFTER) {
        let Some(report) = Report::parse(report) else { continue };
        for (partition, through_ms) in report.through_ms {
            let latest = through.entry(partition).or_insert(through_ms);
            *latest = through_ms.max(*latest);
        }
    }
    let mut smallest: Option<i64> = None;
    for (partition, head) in heads {
        let counted = Some(head.last_timestamp_ms).filter(|timestamp_ms| *timestamp_ms >= 0);
        let known = through.get(partition).copied().max(counted)?;
        smallest = Some(smallest.map_or(known, |other| other.min(known)));
    }
    smallest
}

/// Workers whose last report is at least so old.
pub(super) fn silent_for(limit: Duration, reports: &BTreeMap<String, String>) -> Vec<String> {
    let old = reports.iter().filter(|(_, report)| age(report) >= limit);
    old.map(|(worker, _)| worker.clone()).collect()
}
