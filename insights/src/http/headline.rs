//! The numbers that stand above all others, and the list of pipelines with them.
//!
//! Owns what is remembered of each latest publication. It never asks for a document twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::to_value;

use super::answer::{JSON, answer, tag};
use super::lag;
use super::negotiate::choose;
use super::pipelines::{Pipeline, Pipelines};
use super::problem::Problem;
use crate::store::{Error, Since, tail};

/// What is known of a pipeline's latest publication.
pub(super) struct Latest {
    /// The document's end, by which it is known again.
    tail: String,
    /// The entity tag of the document, without quotes.
    pub(super) tag: String,
    /// None when the document makes no sense.
    pub(super) headline: Option<Headline>,
    /// The published positions.
    pub(super) positions: BTreeMap<i32, i64>,
}

/// The numbers themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Headline {
    published_at: String,
    complete_through: Option<String>,
    rebuilding: bool,
    read: u64,
    logins: u64,
    processed: u64,
    dead_letters: u64,
    peak_hour: Option<PeakHour>,
    most_popular: BTreeMap<String, Option<MostPopular>>,
}

/// What is read of a document for it.
#[derive(Deserialize)]
struct Document {
    published_at: String,
    complete_through: Option<String>,
    #[serde(default)]
    rebuilding: bool,
    positions: BTreeMap<i32, i64>,
    records: Records,
    logins: Logins,
    most_popular: BTreeMap<String, Option<MostPopular>>,
}

#[derive(Deserialize)]
struct Records {
    read: u64,
    logins: u64,
    processed: u64,
    dead_letters: DeadLetters,
}

#[derive(Deserialize)]
struct DeadLetters {
    total: u64,
}

#[derive(Deserialize)]
struct Logins {
    peak_hour: Option<PeakHour>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PeakHour {
    hour: u8,
    logins: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MostPopular {
    value: String,
    logins: u64,
}

/// One pipeline in the list.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    state: &'static str,
    lag: Option<u64>,
    headline: Option<&'a Headline>,
}

/// `/api/v1/pipelines`
pub(super) async fn list(
    State(pipelines): State<Pipelines>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    choose(&headers, &[JSON])?;
    let all = pipelines.all();
    let mut listed = Vec::with_capacity(all.len());
    // One that is out of reach takes its time, and says so; the others do not wait behind it.
    let answers = join_all(all.iter().map(|pipeline| async move { (pipeline, look(pipeline).await) })).await;
    for (pipeline, (latest, lag)) in &answers {
        let headline =
            latest.as_ref().ok().and_then(Option::as_ref).and_then(|latest| latest.headline.as_ref());
        let state = match latest {
            Err(_) => "unreachable",
            Ok(None) => "empty",
            Ok(Some(_)) if headline.is_none() => "unreadable",
            Ok(Some(_)) => "published",
        };
        let entry = Listed { id: &pipeline.id, state, lag: *lag, headline };
        listed.push(to_value(entry).expect("texts and numbers are always JSON"));
    }
    let body = serde_json::json!({ "pipelines": listed });
    Ok(answer(&headers, JSON, body.to_string()))
}

async fn look(pipeline: &Pipeline) -> (Result<Option<Arc<Latest>>, Error>, Option<u64>) {
    let latest = pipeline.look().await;
    let lag = match &latest {
        Ok(latest) => lag::of(pipeline, latest.as_deref()).await.ok().and_then(|lag| lag.total()),
        Err(_) => None,
    };
    (latest, lag)
}

impl Pipeline {
    /// The latest publication; none when nothing was ever published. The document is only read when it is another one.
    pub(super) async fn look(&self) -> Result<Option<Arc<Latest>>, Error> {
        let known = self.latest().clone();
        match self.store.published_since(known.as_ref().map(|known| known.tail.as_str())).await? {
            Since::Same => Ok(known),
            Since::Nothing => Ok(None),
            Since::Document(document) => {
                let latest = Some(Arc::new(Latest::of(&document)));
                self.latest().clone_from(&latest);
                Ok(latest)
            }
        }
    }
}

impl Latest {
    fn of(document: &str) -> Self {
        let (tail, tag) = (tail(document), tag(document.as_bytes()));
        match serde_json::from_str::<Document>(document) {
            Ok(document) => {
                let positions = document.positions.clone();
                Self { tail, tag, headline: Some(document.into()), positions }
            }
            Err(_) => Self { tail, tag, headline: None, positions: BTreeMap::new() },
        }
    }
}

impl From<Document> for Headline {
    fn from(document: Document) -> Self {
        let records = document.records;
        Self {
            published_at: document.published_at,
            complete_through: document.complete_through,
            rebuilding: document.rebuilding,
            read: records.read,
            logins: records.logins,
            processed: records.processed,
            dead_letters: records.dead_letters.total,
            peak_hour: document.logins.peak_hour,
            most_popular: document.most_popular,
        }
    }
}
