//! How far a pipeline is behind, by partition.
//!
//! Owns what the workers' reports say of it, where nobody has told a lag that Kafka was asked for.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use super::answer::{JSON, answer};
use super::headline::Latest;
use super::negotiate::choose;
use super::pipelines::{Lag, PartitionLag, Pipeline, Pipelines};
use super::problem::Problem;
use super::{now_ms, pipelines};
use crate::report::Report;
use crate::store::Error;
use crate::time::rfc3339;

/// The answer.
#[derive(Serialize)]
struct Document<'a> {
    pipeline: &'a str,
    observed_at: Option<String>,
    total: Option<u64>,
    partitions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    partition: i32,
    #[serde(flatten)]
    lag: PartitionLag,
}

/// `/api/v1/pipelines/{id}/lag`
pub(super) async fn lag(
    State(pipelines): State<Pipelines>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pipeline = pipelines::named(&pipelines, id)?;
    choose(&headers, &[JSON])?;
    let latest = pipeline.look().await?;
    let lag = of(&pipeline, latest.as_deref()).await?;
    let rows = lag.partitions.iter().map(|(partition, lag)| Row { partition: *partition, lag: *lag });
    let document = Document {
        pipeline: &pipeline.id,
        observed_at: lag.observed_at_ms.map(rfc3339),
        total: lag.total(),
        partitions: rows.collect(),
    };
    let body = serde_json::to_string(&document).expect("texts and numbers are always JSON");
    Ok(answer(&headers, JSON, body))
}

/// The lag that was told, else the one that the workers report.
pub(super) async fn of(pipeline: &Pipeline, latest: Option<&Latest>) -> Result<Lag, Error> {
    if let Some(told) = pipeline.lag() {
        return Ok(told);
    }
    let reports = pipeline.store.reports().await?;
    let reports = reports.values().filter_map(|report| Report::parse(report)).collect();
    let published = latest.map(|latest| latest.positions.clone()).unwrap_or_default();
    Ok(reported(reports, &published, now_ms()))
}

/// What living workers say, the newest of each partition; a partition of nobody has its published position, and no known end.
fn reported(mut reports: Vec<Report>, published: &BTreeMap<i32, i64>, now_ms: i64) -> Lag {
    reports.retain(|report| !report.is_of_the_gone(now_ms));
    reports.sort_by_key(|report| report.time_ms);
    let mut positions: BTreeMap<i32, (i64, Option<i64>, i64)> = BTreeMap::new();
    for report in &reports {
        for (partition, position) in &report.positions {
            let end = report.log_ends.get(partition).copied();
            positions.insert(*partition, (*position, end, report.time_ms));
        }
    }
    let all: BTreeSet<i32> = positions.keys().chain(published.keys()).copied().collect();
    let mut lag = Lag { observed_at_ms: None, partitions: BTreeMap::new() };
    let mut oldest_ms = Some(i64::MAX);
    for partition in all {
        let found = positions.get(&partition).copied();
        let position = found.map(|(position, _, _)| position).or(published.get(&partition).copied());
        let end = found.and_then(|(_, end, _)| end);
        oldest_ms = oldest_ms.zip(found).map(|(oldest_ms, (_, _, time_ms))| oldest_ms.min(time_ms));
        lag.partitions.insert(partition, PartitionLag::between(position, end));
    }
    lag.observed_at_ms = oldest_ms.filter(|_| !lag.partitions.is_empty());
    lag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(time_ms: i64, positions: &[(i32, i64)], ends: &[(i32, i64)]) -> Report {
        Report {
            positions: positions.iter().copied().collect(),
            log_ends: ends.iter().copied().collect(),
            ..Report::at(time_ms)
        }
    }

    #[test]
    fn the_newest_report_of_each_partition_counts_and_the_gone_do_not() {
        let reports = vec![
            report(90_000, &[(0, 7)], &[(0, 10)]),
            report(95_000, &[(0, 9), (1, 4)], &[(0, 10), (1, 4)]),
            report(60_000, &[(2, 1)], &[(2, 100)]),
        ];
        let all = reported(reports.clone(), &BTreeMap::from([(0, 5), (1, 4)]), 100_000);
        assert_eq!(all.observed_at_ms, Some(95_000));
        assert_eq!(all.partitions[&0], PartitionLag { position: Some(9), log_end: Some(10), lag: Some(1) });
        assert_eq!(all.total(), Some(1));

        let some = reported(reports, &BTreeMap::from([(2, 1)]), 100_000);
        assert_eq!(some.partitions[&2], PartitionLag { position: Some(1), log_end: None, lag: None });
        assert_eq!((some.total(), some.observed_at_ms), (None, None));
        assert_eq!(reported(Vec::new(), &BTreeMap::new(), 0).total(), None);
    }
}
