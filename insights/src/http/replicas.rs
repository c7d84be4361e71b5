//! The replicas of a pipeline, and why there are so many.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{JSON, answer};
use super::negotiate::choose;
use super::now_ms;
use super::pipelines::{self, Pipelines};
use super::problem::Problem;
use crate::report::Report;

/// `/api/v1/pipelines/{id}/workers`
pub(super) async fn workers(
    State(pipelines): State<Pipelines>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pipeline = pipelines::named(&pipelines, id)?;
    choose(&headers, &[JSON])?;
    let now_ms = now_ms();
    let reports = pipeline.store.reports().await?;
    let shown = reports.iter().map(|(name, stored)| {
        let report = Report::parse(stored);
        let is_alive = report.as_ref().is_some_and(|report| !report.is_of_the_gone(now_ms));
        json!({ "name": name, "alive": is_alive, "report": report })
    });
    let body = json!({ "pipeline": pipeline.id, "workers": shown.collect::<Vec<Value>>() });
    Ok(answer(&headers, JSON, body.to_string()))
}

/// `/api/v1/pipelines/{id}/decisions`
pub(super) async fn decisions(
    State(pipelines): State<Pipelines>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pipeline = pipelines::named(&pipelines, id)?;
    choose(&headers, &[JSON])?;
    let body = json!({ "pipeline": pipeline.id, "decisions": pipeline.decisions() });
    Ok(answer(&headers, JSON, body.to_string()))
}
