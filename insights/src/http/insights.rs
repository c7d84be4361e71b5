//! The insights of one pipeline: as they are stored, in another time zone, or as a table.
//!
//! Owns what another time zone changes of a document. Without one the stored text goes out byte for byte.

use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::answer::{CSV, JSON, answer};
use super::csv;
use super::negotiate::choose;
use super::pipelines::{self, Pipeline, Pipelines};
use super::problem::Problem;
use super::zones::{Places, counter};
use crate::document::{Clock, InZone};

/// `/api/v1/pipelines/{id}/insights`
pub(super) async fn negotiated(
    State(pipelines): State<Pipelines>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pipeline = pipelines::named(&pipelines, id)?;
    let media_type = choose(&headers, &[JSON, TEXT_CSV])?;
    represent(&pipeline, query.as_deref(), &headers, media_type).await
}

/// `/api/v1/pipelines/{id}/insights.csv`
pub(super) async fn csv(
    State(pipelines): State<Pipelines>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let pipeline = pipelines::named(&pipelines, id)?;
    let media_type = choose(&headers, &[TEXT_CSV])?;
    represent(&pipeline, query.as_deref(), &headers, media_type).await
}

async fn represent(
    pipeline: &Pipeline,
    query: Option<&str>,
    headers: &HeaderMap,
    media_type: &str,
) -> Result<Response, Problem> {
    let zone = zone(query.unwrap_or_default())?;
    let stored = pipeline.store.published().await?.ok_or_else(Problem::nothing_published)?;
    if media_type == JSON && zone.is_none() {
        return Ok(answer(headers, JSON, stored));
    }
    let mut document: Value = serde_json::from_str(&stored)
        .map_err(|_| Problem::unsettled("the stored document is no JSON: the next publication mends it"))?;
    if let Some(zone) = zone {
        show_in(pipeline, &mut document, zone).await?;
    }
    if media_type == JSON {
        return Ok(answer(headers, JSON, document.to_string()));
    }
    let mut response = answer(headers, CSV, csv::table(&document));
    let attachment = HeaderValue::from_static("attachment; filename=\"insights.csv\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, attachment);
    Ok(response)
}

/// The time zone that is asked for.
fn zone(query: &str) -> Result<Option<Tz>, Problem> {
    let mut named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "tz");
    let Some((_, name)) = named.next() else { return Ok(None) };
    if named.next().is_some() {
        return Err(Problem::bad_time_zone());
    }
    name.parse().map(Some).map_err(|_| Problem::bad_time_zone())
}

/// Puts the hours and days of a zone in the place of the pipeline's own.
async fn show_in(pipeline: &Pipeline, document: &mut Value, zone: Tz) -> Result<(), Problem> {
    let published = places(document);
    let partitions: Vec<i32> = published.keys().copied().collect();
    let (in_zone, places) = pipeline.zoned.lock().await.read(&pipeline.store, &partitions, zone).await?;
    let falls =
        published.iter().any(|(partition, place)| places.get(partition).is_none_or(|now| now < place));
    if falls {
        let detail = "the logins are being counted again: until then there is only the document without tz";
        return Err(Problem::unsettled(detail));
    }
    let Some(document) = document.as_object_mut() else {
        return Err(Problem::unsettled("the stored document is no object: the next publication mends it"));
    };
    put(document, &in_zone);
    let positions: BTreeMap<i32, i64> =
        places.into_iter().map(|(partition, (_, position))| (partition, position)).collect();
    let about = json!({ "name": zone.name(), "positions": positions, "not_rebinned": ["unique"] });
    document.insert("time_zone".to_owned(), about);
    Ok(())
}

fn put(document: &mut Map<String, Value>, in_zone: &InZone) {
    match in_zone.days_from {
        Some(day) => document.insert("days_from".to_owned(), day.to_string().into()),
        None => document.remove("days_from"),
    };
    for (name, clock) in [("logins", &in_zone.logins), ("processed", &in_zone.processed)] {
        if let Some(side) = document.get_mut(name).and_then(Value::as_object_mut) {
            put_clock(side, clock);
        }
    }
}

fn put_clock(side: &mut Map<String, Value>, clock: &Clock) {
    let peak = clock.peak_hour.map(|(hour, logins)| json!({ "hour": hour, "logins": logins }));
    let days: Map<String, Value> =
        clock.days.iter().map(|(day, logins)| (day.to_string(), (*logins).into())).collect();
    side.insert("hour_of_day".to_owned(), clock.hour_of_day.clone().into());
    side.insert("peak_hour".to_owned(), peak.unwrap_or_default());
    side.insert("days".to_owned(), days.into());
}

/// The places that a document names.
fn places(document: &Value) -> Places {
    let of_partition = |name: &str, partition: &str| document.get(name)?.get(partition).cloned();
    let positions = document.get("positions").and_then(Value::as_object);
    let place = |(partition, next): (&String, &Value)| {
        let incarnation = of_partition("incarnations", partition);
        let counter = incarnation.as_ref().and_then(Value::as_str).map_or(0, counter);
        Some((partition.parse().ok()?, (counter, next.as_i64()?)))
    };
    positions.into_iter().flatten().filter_map(place).collect()
}

const TEXT_CSV: &str = "text/csv";
