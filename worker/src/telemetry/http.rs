//! The metrics port: `/metrics`, `/healthz`, `/readyz`, and `PUT /log`.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use tokio::net::TcpListener;

use super::Telemetry;

/// Listens, says where, and answers for as long as the process lives.
pub(crate) async fn serve(address: &str, telemetry: Telemetry) -> Result<SocketAddr, anyhow::Error> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on the metrics address {address}"))?;
    let bound = listener.local_addr().context("failed to ask for the metrics address")?;
    tracing::info!(address = %bound, "metrics on /metrics, health on /healthz and /readyz");
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/log", put(log))
        .with_state(telemetry);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics port is gone");
        }
    });
    Ok(bound)
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], telemetry.metrics.text()).into_response()
}

async fn healthz(State(telemetry): State<Telemetry>) -> (StatusCode, &'static str) {
    if telemetry.health.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the pump has not turned for 30 s\n")
    }
}

async fn readyz(State(telemetry): State<Telemetry>) -> Response {
    let (is_ready, body) = telemetry.health.readiness();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// Changes the log's filter to the request's body.
async fn log(filter: String) -> (StatusCode, String) {
    match crate::logs::set_filter(filter.trim()) {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
