//! Log lines: text for people, JSON for machines, always on standard error.
//!
//! Owns the filter, which can be changed while the process runs. A line within a span bears its trace.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use std::sync::OnceLock;

use clap::{Args, ValueEnum};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::trace::SdkTracer;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// How the process logs.
#[derive(Debug, Args)]
pub struct Logs {
    /// How log lines are written; by default text on a terminal, one JSON object a line otherwise.
    #[arg(long, global = true, env = "ROLLCALL_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: a level (error, warn, info, debug, trace) or a filter such as `info,librdkafka=debug`.
    #[arg(long, global = true, env = "ROLLCALL_LOG", value_name = "LEVEL_OR_FILTER")]
    pub log: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts to log. `--log` beats `RUST_LOG`; a filter that cannot be read is said and passed over. Spans go to `tracer`.
pub fn start(arguments: &Logs, tracer: Option<SdkTracer>) {
    let wanted =
        arguments.log.clone().or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_else(|| "info".to_owned());
    let (filter, mistake) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let is_terminal = std::io::stderr().is_terminal();
    let text = arguments.log_format.map_or(is_terminal, |format| format == LogFormat::Text);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if text {
        lines.with_ansi(is_terminal).with_target(false).boxed()
    } else {
        lines.event_format(Json).boxed()
    };
    // Lines only: what a span says goes to the collector.
    let lines = lines.with_filter(filter).with_filter(filter_fn(|metadata| !metadata.is_span()));
    let spans = tracer.map(|tracer| {
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(filter_fn(|metadata| {
            metadata.is_span() && metadata.target().starts_with("rollcall")
        }))
    });
    tracing_subscriber::registry().with(lines).with(spans).init();
    if FILTER.set(handle).is_err() {
        tracing::debug!("the log was started twice");
    }
    if let Some(error) = mistake {
        tracing::warn!(%error, "the log filter cannot be read: `info` is used");
    }
}

/// Changes what is logged from now on.
///
/// Errors: a filter that cannot be read.
pub fn set_filter(wanted: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(wanted).map_err(|error| error.to_string())?;
    let handle = FILTER.get().ok_or("the log has not started")?;
    handle.reload(filter).map_err(|error| error.to_string())?;
    tracing::info!(filter = wanted, "the log filter was changed");
    Ok(())
}

thread_local! {
    /// The partition at hand on this thread, and the first offset of its batch.
    static BATCH: Cell<Option<(i32, i64)>> = const { Cell::new(None) };
}

/// While this lives, lines of this thread name the batch that they come from.
pub struct Batch;

impl Batch {
    /// Records of `partition` from `offset` on are at hand.
    pub fn enter(partition: i32, offset: i64) -> Self {
        BATCH.set(Some((partition, offset)));
        Self
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        BATCH.set(None);
    }
}

/// One JSON object a line, with the field names of OpenTelemetry's log data model.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line::default();
        line.add("timestamp", chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        line.add("level", metadata.level().as_str());
        event.record(&mut line);
        line.add("target", metadata.target());
        if let Some((partition, offset)) = BATCH.get() {
            line.add("batch_partition", partition);
            line.add("batch_offset", offset);
        }
        let context = Context::current();
        let span = context.span();
        if span.span_context().is_valid() {
            line.add("trace_id", span.span_context().trace_id().to_string());
            line.add("span_id", span.span_context().span_id().to_string());
        }
        writeln!(writer, "{{{}}}", line.0)
    }
}

/// The fields of an object, in the order in which they came.
#[derive(Default)]
struct Line(String);

impl Line {
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        let comma = if self.0.is_empty() { "" } else { "," };
        write!(self.0, "{comma}{}:{}", Value::from(name), value.into()).expect("a string takes all");
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }
}
