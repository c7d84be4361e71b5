//! Spans on their way to the collector.
//!
//! Owns a bounded queue: a collector that is away or slow costs spans, which are counted, and nothing else.

use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};

/// Spans that were not exported.
pub static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

enum Message {
    Span(Box<SpanData>),
    Flush(oneshot::Sender<()>),
}

/// Hands spans to a task that exports them in batches.
#[derive(Debug)]
pub(super) struct Export<E> {
    queue: mpsc::Sender<Message>,
    waiting: Mutex<Option<(E, mpsc::Receiver<Message>)>>,
}

/// Waits until what was handed over is exported.
pub struct Flush(mpsc::Sender<Message>);

impl Flush {
    /// Returns at the latest after `limit`.
    pub async fn flush(&self, limit: Duration) {
        let (done, is_done) = oneshot::channel();
        let flushed = async {
            if self.0.send(Message::Flush(done)).await.is_err() || is_done.await.is_err() {
                tracing::debug!("the export of spans is gone");
            }
        };
        if tokio::time::timeout(limit, flushed).await.is_err() {
            tracing::debug!("the last spans were not exported in time");
        }
    }
}

impl<E: SpanExporter + 'static> Export<E> {
    /// It exports from the moment on in which its provider is made, which must be within a runtime.
    pub(super) fn new(exporter: E) -> (Self, Flush) {
        let (queue, receiver) = mpsc::channel(QUEUE_SPANS);
        let flush = Flush(queue.clone());
        (Self { queue, waiting: Mutex::new(Some((exporter, receiver))) }, flush)
    }
}

impl<E: SpanExporter + 'static> SpanProcessor for Export<E> {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.try_send(Message::Span(Box::new(span))).is_err() {
            DROPPED.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some((mut exporter, receiver)) = waiting.take() {
            exporter.set_resource(resource);
            tokio::spawn(export(exporter, receiver));
        }
    }
}

async fn export<E: SpanExporter>(exporter: E, mut queue: mpsc::Receiver<Message>) {
    let mut complained_at: Option<Instant> = None;
    let mut batch = Vec::new();
    let mut flushes = Vec::new();
    while let Some(first) = queue.recv().await {
        take(first, &mut batch, &mut flushes);
        let gathered = tokio::time::sleep(GATHER);
        tokio::pin!(gathered);
        while batch.len() < BATCH_SPANS && flushes.is_empty() {
            tokio::select! {
                message = queue.recv() => match message {
                    Some(message) => take(message, &mut batch, &mut flushes),
                    None => break,
                },
                () = &mut gathered => break,
            }
        }
        let count = batch.len() as u64;
        if count > 0 {
            let sent = exporter.export(std::mem::take(&mut batch));
            let why = match tokio::time::timeout(EXPORT_LIMIT, sent).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer".to_owned()),
            };
            if let Some(why) = why {
                DROPPED.inc_by(count);
                if complained_at.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                    complained_at = Some(Instant::now());
                    tracing::warn!(why, spans = count, "failed to export spans: they are dropped");
                }
            }
        }
        for flush in flushes.drain(..) {
            if flush.send(()).is_err() {
                tracing::debug!("nobody waits for the flush");
            }
        }
    }
}

fn take(message: Message, batch: &mut Vec<SpanData>, flushes: &mut Vec<oneshot::Sender<()>>) {
    match message {
        Message::Span(span) => batch.push(*span),
        Message::Flush(flush) => flushes.push(flush),
    }
}

/// Some seconds of spans at full sampling; about 1 KiB each.
const QUEUE_SPANS: usize = 4096;
const BATCH_SPANS: usize = 512;
const GATHER: Duration = Duration::from_millis(500);
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);
