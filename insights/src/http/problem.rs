//! What goes wrong, as RFC 9457 writes it down.
//!
//! Owns the kinds of problems and their statuses. It never tells an address, a name or a text of a store.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store;

/// A problem document. As a response it is complete once [`serve`](super::serve) has added the request's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

impl Problem {
    /// A problem of a kind (words with hyphens, for programs), and what it is (a sentence, for people).
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), headers: Vec::new() }
    }

    /// Adds a header, such as `WWW-Authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn unknown_pipeline() -> Self {
        let detail = "there is no pipeline of this id: /api/v1/pipelines lists those that there are";
        Self::new(StatusCode::NOT_FOUND, "unknown-pipeline", detail)
    }

    pub(super) fn nothing_published() -> Self {
        let detail = "nothing was published yet: a worker publishes after the first record";
        Self::new(StatusCode::NOT_FOUND, "nothing-published", detail)
    }

    pub(super) fn bad_time_zone() -> Self {
        let detail = "tz must be given once, as a name of the IANA time zone database, such as Asia/Kolkata";
        Self::new(StatusCode::BAD_REQUEST, "unknown-time-zone", detail)
    }

    pub(super) fn not_acceptable(offers: &[&str]) -> Self {
        let detail = format!("Accept allows none of what there is: {}", offers.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
    }

    pub(super) fn too_many_clients() -> Self {
        let detail = "as many clients as this server takes follow the events already: try again later";
        Self::unavailable("too-many-clients", detail, BUSY_RETRY_S)
    }

    pub(super) fn unsettled(detail: &str) -> Self {
        Self::unavailable("unsettled", detail, RETRY_S)
    }

    fn unavailable(kind: &'static str, detail: &str, retry_s: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_s))
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::debug!(%error, "failed to read from a pipeline's store");
        if error.is_transient() {
            let detail = "the pipeline's Redis is out of reach: nothing is lost, try again";
            return Self::unavailable("store-unavailable", detail, RETRY_S);
        }
        let detail =
            "what the pipeline's Redis holds cannot be read: see the log of this server at level debug";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store-unreadable", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl Problem {
    fn render(&self, instance: Option<&str>) -> Response {
        let document = Document {
            r#type: format!("tag:rollcall.dev,2026:{}", self.kind),
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance,
        };
        let text = serde_json::to_string(&document).expect("texts and numbers are always JSON");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Adds to each answer what it lacks: a problem's path, and what keeps browsers from guessing.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let (path, is_head) = (request.uri().path().to_owned(), request.method() == Method::HEAD);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem.render(Some(&path));
        if is_head {
            *response.body_mut() = Body::empty();
        }
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(super) async fn unknown_path() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "unknown-path",
        "there is nothing here: /openapi.json lists all paths",
    )
}

pub(super) async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "everything here is only to be read")
        .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
}

/// When to try again that for which a service must come back first.
const RETRY_S: u64 = 2;

/// When to try again that for which another client must leave first.
const BUSY_RETRY_S: u64 = 30;
