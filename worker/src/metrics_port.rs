//! What the metrics ports of worker and operator have in common.
//!
//! Owns how one is opened, how figures are sent, and `PUT /log`. What is told there is its callers'.

use std::fmt::Display;
use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::put;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::logs;

/// Listens, and says where.
pub async fn listen(
    address: impl ToSocketAddrs + Display,
) -> Result<(TcpListener, SocketAddr), anyhow::Error> {
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("failed to listen on the metrics address {address}"))?;
    let bound = listener.local_addr().context("failed to ask for the metrics address")?;
    tracing::info!(address = %bound, "metrics on /metrics, health on /healthz and /readyz");
    Ok((listener, bound))
}

/// Routes that every metrics port has: `PUT /log`, which changes the log's filter to the request's body.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/log", put(log))
}

/// Figures in the `OpenMetrics` text format, as an answer.
pub fn figures(text: String) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

async fn log(filter: String) -> (StatusCode, String) {
    match logs::set_filter(filter.trim()) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
