//! Owns a real Jaeger v2: an OpenTelemetry collector that keeps traces in memory and answers queries.
//! It never samples, and forgets everything with its end.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::folder::Folder;
use super::place::Place;
use crate::components::jaeger as component;
use crate::http;

/// A collector that ends with this value.
#[derive(Debug)]
pub struct Jaeger {
    query: u16,
    grpc: u16,
    http: u16,
    host: &'static str,
    daemon: Daemon,
    _folder: Folder,
}

impl Jaeger {
    /// Starts it, and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_at(&Place::default())
    }

    /// The same in a cluster's network, as `jaeger:4317`, `jaeger:4318` and, for queries, `jaeger:16686`.
    pub fn start_at(place: &Place) -> Result<Self> {
        let folder = Folder::new("jaeger")?;
        let (query, query_grpc, grpc, http) =
            (place.port(16_686)?, place.port(16_685)?, place.port(4317)?, place.port(4318)?);
        let path = folder.path().join("jaeger.yaml");
        fs::write(&path, settings(place.host(), query, query_grpc, grpc, http))
            .context("failed to write Jaeger's settings")?;
        let arguments = vec!["--config".to_owned(), path.to_string_lossy().into_owned()];
        let daemon = Daemon::new("jaeger", component::jaeger()?, arguments, folder.path()).at(place);
        let mut jaeger = Self { query, grpc, http, host: place.host(), daemon, _folder: folder };
        let address = jaeger.query();
        jaeger.daemon.start(START_DEADLINE, || http::get(&address, "/api/v3/services"))?;
        Ok(jaeger)
    }

    /// Where OTLP over gRPC goes.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}:{}", self.host, self.grpc)
    }

    /// Where OTLP over HTTP goes.
    pub fn http_endpoint(&self) -> String {
        format!("http://{}:{}", self.host, self.http)
    }

    /// `host:port` of the query API.
    pub fn query(&self) -> String {
        format!("{}:{}", self.host, self.query)
    }

    /// All spans of a service in the last hour, in OTLP's JSON.
    pub fn spans(&self, service: &str) -> Result<Vec<Value>> {
        let now = chrono::Utc::now();
        let time = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (from, to) = (now - chrono::Duration::hours(1), now + chrono::Duration::minutes(1));
        let path = format!(
            "/api/v3/traces?query.service_name={service}&query.start_time_min={}&query.start_time_max={}&query.num_traces=10000",
            time(from),
            time(to)
        );
        let answer = http::get(&self.query(), &path)?;
        ensure!([200, 404].contains(&answer.status), "Jaeger answered {}: {}", answer.status, answer.body);
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let body: Value = serde_json::from_str(&answer.body).context("Jaeger answered no JSON")?;
        let mut spans = Vec::new();
        let own = json!({"key": "service.name", "value": {"stringValue": service}});
        // A trace comes whole, with what other services had in it.
        for resource in list(body.pointer("/result/resourceSpans")) {
            if !list(resource.pointer("/resource/attributes")).contains(&own) {
                continue;
            }
            for scope in list(resource.get("scopeSpans")) {
                spans.extend(list(scope.get("spans")));
            }
        }
        Ok(spans)
    }
}

fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Without a batch processor: what is answered is stored.
fn settings(host: &str, query: u16, query_grpc: u16, grpc: u16, http: u16) -> String {
    format!(
        "service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry:
    metrics: {{level: none}}
    logs: {{level: warn}}
extensions:
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: \"{host}:{query}\"}}
    grpc: {{endpoint: \"{host}:{query_grpc}\"}}
  jaeger_storage:
    backends: {{memory: {{memory: {{max_traces: 100000}}}}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: \"{host}:{grpc}\"}}
      http: {{endpoint: \"{host}:{http}\"}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"
    )
}

const START_DEADLINE: Duration = Duration::from_secs(30);
