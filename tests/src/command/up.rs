//! Owns `cargo lab up`: the services for a person to try Rollcall on.
//! It never outlives the terminal's Ctrl-C.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lab::components;
use lab::jaeger::Jaeger;
use lab::kafka::{self, Kafka};
use lab::kubernetes::{self, Cluster, IMAGE_VALUES, OPERATOR_IMAGE, WORKER_IMAGE};
use lab::redis::{self, Redis};
use tokio::signal::unix::{SignalKind, signal};

/// Starts the services, says where they are, and waits for Ctrl-C.
pub(crate) fn run() -> Result<ExitCode> {
    eprintln!("lab: starting Kafka, Redis and Jaeger …");
    let kafka = Kafka::start(kafka::Options::new())?;
    let redis = Redis::start(redis::Options::new())?;
    let jaeger = Jaeger::start()?;
    create_topics(&kafka)?;
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

/// The same within a Kubernetes.
pub(crate) fn run_kubernetes() -> Result<ExitCode> {
    kubernetes::ensure_root()?;
    components::install_all()?;
    super::build(&["--bins"])?;
    eprintln!("lab: starting Kubernetes, Kafka, Redis and Jaeger …");
    let cluster = Cluster::start()?;
    let (api, traces) = (cluster.forward(API_SERVER)?, cluster.forward(JAEGER_QUERY)?);
    let kubeconfig = cluster.outer_kubeconfig(&api)?;
    let place = cluster.place();
    let _services = cluster.inside(|| {
        let kafka = Kafka::start(kafka::Options::new().place(&place))?;
        create_topics(&kafka)?;
        let redis = Redis::start(redis::Options::new().place(&place))?;
        Ok((kafka, redis, Jaeger::start_at(&place)?))
    })?;
    let (kubeconfig, network) = (kubeconfig.display(), cluster.network()?);
    let programs = components::kubernetes::programs()?;
    println!(
        "Kafka  kafka:9092, topics user-login, processed-user-login, user-login-dlq, {PARTITIONS} partitions each
Redis  redis://redis:6379
Jaeger http://jaeger:4318 takes traces, http://{}/api/v3/services and so on give them out here
Images {WORKER_IMAGE}, {OPERATOR_IMAGE}

In other terminals:
  export KUBECONFIG={kubeconfig} PATH={}:{}:$PATH
  helm install rollcall charts/rollcall --namespace analytics --create-namespace --wait --set {IMAGE_VALUES}
  nsenter --net={} cargo run --release -- generate --brokers 172.30.0.1:9092 --rate 100 --for 10m
  nsenter --net={} cargo run --release -- insights --redis redis://172.30.0.1:6379 --pipeline analytics.user-login

Ctrl-C ends it, and nothing is left.",
        traces.address(),
        programs.display(),
        parent(&components::helm::helm()?),
        network.display(),
        network.display(),
    );
    wait_for_the_end()?;
    eprintln!("lab: stopping …");
    Ok(ExitCode::SUCCESS)
}

fn parent(program: &Path) -> String {
    program.parent().unwrap_or(program).display().to_string()
}

fn create_topics(kafka: &Kafka) -> Result<()> {
    for topic in ["user-login", "processed-user-login", "user-login-dlq"] {
        kafka.create_topic(topic, PARTITIONS, &[])?;
    }
    Ok(())
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
const API_SERVER: &str = "172.30.0.1:6443";
const JAEGER_QUERY: &str = "172.30.0.1:16686";
