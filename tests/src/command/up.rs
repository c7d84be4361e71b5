//! Owns `cargo lab up`: the services for a person to try Rollcall on.
//! It never outlives the terminal's Ctrl-C.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lab::jaeger::Jaeger;
use lab::kafka::{self, Kafka};
use lab::redis::{self, Redis};
use tokio::signal::unix::{SignalKind, signal};

/// Starts the services, says where they are, and waits for Ctrl-C.
pub(crate) fn run() -> Result<ExitCode> {
    eprintln!("lab: starting Kafka, Redis and Jaeger …");
    let kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(redis::Options::new())?;
    let jaeger = Jaeger::start()?;
    for topic in ["user-login", "processed-user-login", "user-login-dlq"] {
        kafka.create_topic(topic, PARTITIONS, &[])?;
    }
    let folder = tempfile::tempdir().context("failed to create a temporary folder")?;
    let config = folder.path().join("rollcall.yaml");
    let text =
        format!("kafka: {{brokers: [\"{}\"]}}\nredis: {{url: \"{}\"}}\n", kafka.brokers(), redis.url());
    std::fs::write(&config, text).with_context(|| format!("failed to write {}", config.display()))?;
    println!("{}", greeting(&kafka.brokers(), &redis.url(), &jaeger, &config));
    wait_for_the_end()?;
    eprintln!("lab: stopping …");
    Ok(ExitCode::SUCCESS)
}

fn greeting(brokers: &str, redis: &str, jaeger: &Jaeger, config: &Path) -> String {
    let (config, traces, query) = (config.display(), jaeger.http_endpoint(), jaeger.query());
    format!(
        "Kafka  {brokers}, topics user-login, processed-user-login, user-login-dlq, {PARTITIONS} partitions each
Redis  {redis}
Jaeger {traces} takes traces, http://{query}/api/v3/services and so on give them out

In other terminals:
  cargo run --release -- generate --brokers {brokers} --rate 100 --for 10m
  OTEL_EXPORTER_OTLP_ENDPOINT={traces} cargo run --release -- worker --config {config} --metrics-address 127.0.0.1:9090
  cargo run --release -- insights --redis {redis}

Ctrl-C ends it, and nothing is left."
    )
}

fn wait_for_the_end() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("failed to make an asynchronous runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("failed to wait for SIGTERM")?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

const PARTITIONS: i32 = 6;
