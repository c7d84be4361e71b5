//! The metrics port: `/metrics`, `/healthz`, `/readyz`, and `PUT /log`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, put};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Listens, says where, and answers until the process ends.
pub(crate) async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> Result<(), anyhow::Error> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on the metrics address {address}"))?;
    let bound = listener.local_addr().context("failed to ask for the metrics address")?;
    tracing::info!(address = %bound, "metrics on /metrics, health on /healthz and /readyz");
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .route("/log", put(log))
        .with_state(metrics);
    axum::serve(listener, router).await.context("the metrics port is gone")
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], metrics.text()).into_response()
}

/// Changes the log's filter to the request's body.
async fn log(filter: String) -> (StatusCode, String) {
    match rollcall_worker::logs::set_filter(filter.trim()) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
