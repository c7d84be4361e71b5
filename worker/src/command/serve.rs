//! `rollcall serve`: the HTTP API of one pipeline, without Kubernetes.
//!
//! Only reads, and only from Redis: lag is what the workers report.

use std::time::Duration;

use anyhow::Context as _;
use insights::http::{self, Pipelines};
use insights::store::Store;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::worker::store;
use crate::args::ServeArguments;
use crate::configuration;
use crate::exit::Failure;
use crate::signals::Signals;
use crate::telemetry::{self, Service, Telemetry};

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: &ServeArguments) -> Result<(), Failure> {
    let spec = configuration::load(&arguments.configuration)?;
    let store = store(&spec)?;
    let pipelines = Pipelines::default();
    pipelines.put(&spec.pipeline, store.clone());
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let telemetry = Telemetry::default();
        if let Some(address) = &arguments.metrics_address {
            telemetry::serve(address, telemetry.clone()).await.map_err(Failure::runtime)?;
            // There is no group to wait for.
            telemetry.health.joined(true);
        }
        let address = &arguments.address;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen on {address}: give another --address"))?;
        let bound = listener.local_addr().context("failed to ask for the address")?;
        tracing::info!(address = %bound, pipeline = spec.pipeline, "insights on /api/v1/pipelines");
        let shutdown = CancellationToken::new();
        let serve = http::serve(listener, pipelines, |routes| routes, shutdown.clone());
        tokio::pin!(serve);
        tokio::select! {
            result = &mut serve => return result.context("failed to serve").map_err(Failure::runtime),
            () = watch(&store, &telemetry) => {}
            () = signals.next() => tracing::info!("stopping; a second signal exits at once"),
        }
        shutdown.cancel();
        tokio::select! {
            result = serve => result.context("failed to serve").map_err(Failure::runtime),
            () = signals.exit_at_next() => Ok(()),
        }
    })
}

/// Asks Redis again and again, so that `/readyz` knows.
async fn watch(store: &Store, telemetry: &Telemetry) {
    loop {
        telemetry.health.answered(Service::Redis, store.published_tail().await);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

const LOOK_EVERY: Duration = Duration::from_secs(2);
