//! Traces, as the standard `OTEL_*` variables set them.
//!
//! Owns when spans are made at all (once an endpoint is named), and how many: the sampler decides each batch by itself. A
//! producer's sampled flag adds a link, and within a recorded batch a span of its record; it never makes a batch be recorded.

mod export;

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use self::export::Export;
pub use self::export::{DROPPED, Flush};

static ARE_ON: AtomicBool = AtomicBool::new(false);

/// Whether spans are exported.
pub fn are_on() -> bool {
    ARE_ON.load(Ordering::Relaxed)
}

/// Starts to export, where an endpoint is named, as `service` unless `OTEL_SERVICE_NAME` says otherwise. Must be called within a runtime, which exports.
///
/// Errors: a variable that cannot be read.
pub fn start(service: &'static str) -> Result<Option<(SdkTracer, Flush)>, anyhow::Error> {
    let has_endpoint = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
        .iter()
        .any(|name| env::var(name).is_ok_and(|value| !value.is_empty()));
    let is_off = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"))
        || env::var("OTEL_TRACES_EXPORTER").is_ok_and(|value| value == "none");
    if !has_endpoint || is_off {
        return Ok(None);
    }
    let protocol = env::var("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        .or_else(|_| env::var("OTEL_EXPORTER_OTLP_PROTOCOL"))
        .unwrap_or_default();
    let exporter = match protocol.as_str() {
        "grpc" => SpanExporter::builder().with_tonic().build(),
        "" | "http/protobuf" => SpanExporter::builder().with_http().build(),
        other => anyhow::bail!(
            "OTEL_EXPORTER_OTLP_PROTOCOL is `{other}`: use `grpc` (port 4317) or `http/protobuf` (port 4318)"
        ),
    };
    let exporter = exporter.context("the OTEL_EXPORTER_OTLP_* variables name no collector")?;
    let (export, flush) = Export::new(exporter);
    let mut resource = Resource::builder();
    if env::var("OTEL_SERVICE_NAME").map_or(true, |name| name.is_empty()) {
        resource = resource.with_service_name(service);
    }
    let resource =
        resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampler()?)
        .with_span_processor(export)
        .build();
    let tracer = provider.tracer("rollcall");
    global::set_tracer_provider(provider);
    ARE_ON.store(true, Ordering::Relaxed);
    Ok(Some((tracer, flush)))
}

/// `OTEL_TRACES_SAMPLER` and its argument. What is under a recorded span is recorded with it, whatever the name says: only
/// batches are decided on.
fn sampler() -> Result<Sampler, anyhow::Error> {
    let name = env::var("OTEL_TRACES_SAMPLER").unwrap_or_default();
    let batches = match name.trim_start_matches("parentbased_") {
        "" | "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => {
            let share = env::var("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|_| "1".to_owned());
            match share.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Sampler::TraceIdRatioBased(ratio),
                _ => anyhow::bail!("OTEL_TRACES_SAMPLER_ARG is `{share}`: give a share from 0 to 1"),
            }
        }
        _ => anyhow::bail!("OTEL_TRACES_SAMPLER is `{name}`: use always_on, always_off or traceidratio"),
    };
    Ok(Sampler::ParentBased(Box::new(batches)))
}
