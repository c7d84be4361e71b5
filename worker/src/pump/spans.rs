//! Spans of the pump's work, named as OpenTelemetry's conventions for messaging say (semantic conventions 1.44).
//!
//! Owns what is recorded of a batch: `poll`, `process`, `send` and `commit`. A record gets a span of its own only when its
//! producer's is sampled, in the producer's trace, with a link to the batch. A batch that is not sampled costs two dice.

use std::time::SystemTime;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, ContextGuard, KeyValue, global};

use super::Settings;
use crate::client::{Batch, Error};
use crate::telemetry;

/// What the pump's spans have in common, and where they are in their trace.
pub(super) struct Spans {
    tracer: Option<BoxedTracer>,
    topic: String,
    output: String,
    common: Vec<KeyValue>,
    /// The span that handled the latest batch.
    latest: Context,
}

/// A span that is current while this lives.
pub(super) struct Current {
    context: Context,
    /// The spans of single records end with their batch's.
    _records: Vec<BoxedSpan>,
    _guard: ContextGuard,
}

impl Current {
    /// What it stood for failed.
    pub(super) fn failed(&self, error: &Error) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("error.type", format!("{:?}", error.code)));
        span.set_status(Status::error(error.to_string()));
    }
}

impl Spans {
    pub(super) fn new(settings: &Settings) -> Self {
        let spec = &settings.spec;
        Self {
            tracer: telemetry::traces_are_on().then(|| global::tracer("rollcall")),
            topic: spec.source.topic.clone(),
            output: spec.output.topic.clone(),
            common: vec![
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.client.id", settings.name.clone()),
                KeyValue::new("messaging.consumer.group.name", spec.kafka.group.clone()),
            ],
            latest: Context::new(),
        }
    }

    /// The time, where anything is recorded.
    pub(super) fn now(&self) -> Option<SystemTime> {
        self.tracer.as_ref().map(|_| SystemTime::now())
    }

    /// The span that handled the latest batch, as a parent.
    pub(super) fn latest(&self) -> Context {
        self.latest.clone()
    }

    /// A batch has come, asked for since `since`: its `poll` is over, its `process` begins.
    pub(super) fn batch(&mut self, since: Option<SystemTime>, batch: &Batch) -> Option<Current> {
        let (tracer, since) = (self.tracer.as_ref()?, since?);
        let count = batch.iter().filter(|message| message.error().is_none()).count();
        if count == 0 {
            return None;
        }
        let mut attributes = self.attributes("poll", "receive", &self.topic);
        attributes.push(message_count(count));
        let mut poll = tracer
            .span_builder(format!("poll {}", self.topic))
            .with_kind(SpanKind::Client)
            .with_start_time(since)
            .with_attributes(attributes)
            .start_with_context(tracer, &Context::new());
        let producers = if poll.is_recording() { producers(batch) } else { Producers::default() };
        for producer in &producers.links {
            poll.add_link(producer.span_context.clone(), producer.attributes.clone());
        }
        poll.end();
        let parent = Context::new().with_remote_span_context(poll.span_context().clone());
        let mut attributes = self.attributes("process", "process", &self.topic);
        attributes.push(message_count(count));
        if let Some(partition) = single_partition(batch) {
            attributes.push(KeyValue::new("messaging.destination.partition.id", partition.to_string()));
        }
        if producers.dropped > 0 {
            attributes.push(KeyValue::new("rollcall.links.dropped", producers.dropped));
        }
        let name = format!("process {}", self.topic);
        let process = tracer
            .span_builder(name.clone())
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes)
            .with_links(producers.links.clone())
            .start_with_context(tracer, &parent);
        let link = Link::with_context(process.span_context().clone());
        let records = producers.links.into_iter().map(|producer| {
            let mut attributes = self.attributes("process", "process", &self.topic);
            attributes.extend(producer.attributes);
            tracer
                .span_builder(name.clone())
                .with_kind(SpanKind::Consumer)
                .with_attributes(attributes)
                .with_links(vec![link.clone()])
                .start_with_context(tracer, &Context::new().with_remote_span_context(producer.span_context))
        });
        let records = records.collect();
        self.latest = Context::new().with_remote_span_context(process.span_context().clone());
        let context = Context::new().with_span(process);
        Some(Current { _records: records, _guard: context.clone().attach(), context })
    }

    /// A commit of so many partitions begins.
    pub(super) fn commit(&self, partitions: usize) -> Option<Current> {
        let tracer = self.tracer.as_ref()?;
        let mut attributes = self.attributes("commit", "settle", &self.topic);
        attributes.push(KeyValue::new("rollcall.partitions", i64::try_from(partitions).unwrap_or(i64::MAX)));
        let span = tracer
            .span_builder(format!("commit {}", self.topic))
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .start_with_context(tracer, &self.latest);
        let context = self.latest.with_span(span);
        Some(Current { _records: Vec::new(), _guard: context.clone().attach(), context })
    }

    /// So many outputs were produced since `since`, and are answered now; `error`: or are not.
    pub(super) fn sent(&self, since: Option<SystemTime>, outputs: usize, error: Option<&Error>) {
        let (Some(tracer), Some(since)) = (&self.tracer, since) else { return };
        if outputs == 0 {
            return;
        }
        let mut attributes = self.attributes("send", "send", &self.output);
        attributes.push(message_count(outputs));
        let mut span = tracer
            .span_builder(format!("send {}", self.output))
            .with_kind(SpanKind::Client)
            .with_start_time(since)
            .with_attributes(attributes)
            .start_with_context(tracer, &self.latest);
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", format!("{:?}", error.code)));
            span.set_status(Status::error(error.to_string()));
        }
    }

    fn attributes(&self, name: &'static str, kind: &'static str, topic: &str) -> Vec<KeyValue> {
        let mut attributes = self.common.clone();
        attributes.push(KeyValue::new("messaging.operation.name", name));
        attributes.push(KeyValue::new("messaging.operation.type", kind));
        attributes.push(KeyValue::new("messaging.destination.name", topic.to_owned()));
        attributes
    }
}

fn message_count(count: usize) -> KeyValue {
    KeyValue::new("messaging.batch.message_count", i64::try_from(count).unwrap_or(i64::MAX))
}

/// The sampled producers of a batch's records.
#[derive(Default)]
struct Producers {
    links: Vec<Link>,
    dropped: i64,
}

fn producers(batch: &Batch) -> Producers {
    let mut producers = Producers::default();
    for message in batch.iter().filter(|message| message.error().is_none()) {
        let Some(context) = message.header(c"traceparent").and_then(sampled) else { continue };
        if producers.links.len() == LINKS_MAX {
            producers.dropped += 1;
            continue;
        }
        let attributes = vec![
            KeyValue::new("messaging.destination.partition.id", message.partition().to_string()),
            KeyValue::new("messaging.kafka.offset", message.offset()),
        ];
        producers.links.push(Link::new(context, attributes, 0));
    }
    producers
}

fn single_partition(batch: &Batch) -> Option<i32> {
    let mut partitions = batch.iter().map(crate::client::Message::partition);
    let first = partitions.next()?;
    partitions.all(|partition| partition == first).then_some(first)
}

/// The context in a `traceparent` (W3C Trace Context, 3.2) whose sampled flag is set. The flag is looked at first: nothing is
/// parsed of the others.
fn sampled(header: &[u8]) -> Option<SpanContext> {
    let is_sampled = matches!(header.get(54), Some(b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'));
    if !is_sampled || header.get(2) != Some(&b'-') || header.starts_with(b"ff") {
        return None;
    }
    let text = std::str::from_utf8(header).ok()?;
    let mut parts = text.split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next().filter(|id| id.len() == 32)?).ok()?;
    let span_id = SpanId::from_hex(parts.next().filter(|id| id.len() == 16)?).ok()?;
    let context = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// What an OpenTelemetry SDK keeps of a span's links.
const LINKS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_and_sampled_context_is_taken() {
        let sound = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = sampled(sound).expect("it is the example of the specification");
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.is_sampled() && context.is_remote());
        for other in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "",
            "01",
        ] {
            assert_eq!(sampled(other.as_bytes()), None, "{other}");
        }
    }
}
