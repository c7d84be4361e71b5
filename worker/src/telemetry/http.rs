//! The metrics port: `/metrics`, `/healthz`, `/readyz`, and `PUT /log`.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rollcall_worker::metrics_port;

use super::Telemetry;

/// Listens, says where, and answers for as long as the process lives.
pub(crate) async fn serve(address: &str, telemetry: Telemetry) -> Result<SocketAddr, anyhow::Error> {
    let (listener, bound) = metrics_port::listen(address).await?;
    let router = metrics_port::routes()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(telemetry);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics port is gone");
        }
    });
    Ok(bound)
}

async fn metrics(State(telemetry): State<Telemetry>) -> Response {
    metrics_port::figures(telemetry.metrics.text())
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
