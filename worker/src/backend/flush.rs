//! Flushes and checks of what is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use insights::store::{Flush, FlushOutcome, Token};
use opentelemetry::global::BoxedSpan;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _};
use opentelemetry::{KeyValue, global};

use super::{Away, Context};
use crate::clock::now_ms;
use crate::crash::{self, Point};
use crate::exit::Failure;
use crate::pump::{Cause, Event, LeaseId, Origin};
use crate::telemetry;

/// Stores a state. A flush whose answer was lost is simply sent again: the token tells whether it is there.
pub(super) async fn flush(context: Arc<Context>, id: LeaseId, flush: Box<Flush>, origin: Origin) {
    let mut span = begin(&id, &origin);
    let mut away = Away::new("Redis");
    let started_at = Instant::now();
    while !id.is_cancelled() {
        crash::point_soon(Point::FlushSending);
        match context.store.flush(&flush).await {
            Ok(FlushOutcome::Applied) => {
                away.is_back();
                let age_ms = u64::try_from(now_ms() - origin.timestamp_ms).ok();
                let age = age_ms.filter(|_| origin.timestamp_ms >= 0).map(Duration::from_millis);
                context.telemetry.metrics.merged(started_at.elapsed(), age);
                crash::point(Point::FlushStored);
                return context.tell(Event::Flushed(id, flush.token));
            }
            Ok(FlushOutcome::Conflict(stored)) => {
                if let Some(span) = &mut span {
                    span.set_attribute(KeyValue::new("error.type", "conflict"));
                    span.set_status(Status::error("another state is stored"));
                }
                tracing::debug!(partition = id.partition, ?stored, expected = ?flush.expected, "flush refused");
                return context.tell(Event::Conflict(id, Cause::Flush));
            }
            Err(error) if error.is_transient() => away.pause(&error).await,
            Err(error) => {
                let error = anyhow::Error::new(error).context("failed to store a partition's state");
                return context.tell(Event::Fatal(Failure::runtime(error)));
            }
        }
    }
}

/// The span of a merge, as the conventions for databases name it; it ends when it is dropped.
fn begin(id: &LeaseId, origin: &Origin) -> Option<BoxedSpan> {
    if !telemetry::traces_are_on() {
        return None;
    }
    let tracer = global::tracer("rollcall");
    let attributes = [
        KeyValue::new("db.system.name", "redis"),
        KeyValue::new("db.operation.name", "EVALSHA"),
        KeyValue::new("rollcall.partition", i64::from(id.partition)),
    ];
    let builder = tracer.span_builder("EVALSHA").with_kind(SpanKind::Client).with_attributes(attributes);
    Some(builder.start_with_context(&tracer, &origin.trace))
}

/// Tells the pump of each partition whose stored token is not the one that this worker believes. This heals a partition in
/// which nothing flows, too.
pub(super) async fn check_tokens(context: Arc<Context>, tokens: Vec<(LeaseId, Token)>) {
    let partitions: Vec<i32> = tokens.iter().map(|(id, _)| id.partition).collect();
    let Ok(stored) = context.store.tokens(&partitions).await else {
        return;
    };
    for ((id, token), stored) in tokens.into_iter().zip(stored) {
        if stored.as_ref() != Some(&token) && !id.is_cancelled() {
            context.tell(Event::Conflict(id, Cause::Check));
        }
    }
}
