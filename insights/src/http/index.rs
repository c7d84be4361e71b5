//! What is the same for everybody: the first page, and the description of the API.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::answer::{JSON, answer};
use super::negotiate::choose;
use super::problem::Problem;

/// `/`
pub(super) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    choose(&headers, &["text/html"])?;
    let mut response = answer(&headers, "text/html; charset=utf-8", INDEX);
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// `/openapi.json`
pub(super) async fn openapi(headers: HeaderMap) -> Result<Response, Problem> {
    choose(&headers, &[JSON])?;
    Ok(answer(&headers, JSON, OPENAPI))
}

const INDEX: &str = include_str!("index.html");

/// The description, which a test holds against the answers.
pub(super) const OPENAPI: &str = include_str!("openapi.json");
