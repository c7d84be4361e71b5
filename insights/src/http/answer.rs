//! A representation as it goes out: its media type, its entity tag, and the answer to a client that has it already.
//!
//! Owns entity tags. It never compresses.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_128;

/// Answers with a representation, or with 304 when the client has it.
pub(super) fn answer(request: &HeaderMap, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let body = body.into();
    let tag = format!("\"{}\"", tag(&body));
    let is_known = is_known(request, &tag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let headers = response.headers_mut();
    if !is_known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("digits are a header"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The strong tag of a representation: it is of its bytes, so of its positions, its incarnations and all that is told of
/// them, and two representations of one document differ.
pub(super) fn tag(body: &[u8]) -> String {
    format!("{:032x}", xxh3_128(body))
}

/// Whether `If-None-Match` names the tag. A proxy may have made it a weak one.
fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let lines = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

/// JSON.
pub(super) const JSON: &str = "application/json";

/// Comma-separated values.
pub(super) const CSV: &str = "text/csv; charset=utf-8; header=present";
