//! The metrics port: `/metrics`, `/healthz`, `/readyz`, and `PUT /log`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use rollcall_worker::metrics_port;

use crate::metrics::Metrics;

/// Listens, says where, and answers until the process ends.
pub(crate) async fn serve(address: SocketAddr, metrics: Arc<Metrics>) -> Result<(), anyhow::Error> {
    let (listener, _) = metrics_port::listen(address).await?;
    let router = metrics_port::routes()
        .route("/metrics", get(scrape))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .with_state(metrics);
    axum::serve(listener, router).await.context("the metrics port is gone")
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    metrics_port::figures(metrics.text())
}
