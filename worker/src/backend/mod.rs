//! The asynchronous side of a worker: everything that the pump must not wait for.
//!
//! Owns loads, flushes, checks, reports and publications. It never touches the pump's Kafka clients.

mod flush;
mod former;
mod gone;
mod head;
mod left_open;
mod load;
mod loading;
mod output_tail;
mod owners;
mod publish;
mod report;
mod unreadable;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use insights::spec::PipelineSpec;
use insights::store::Store;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::args::OutputFormat;
use crate::control::Control;
use crate::output;
use crate::protocol::progress::FirstStart;
use crate::pump::{Destination, Event, LOG_AWAY_EVERY, Request};
use crate::telemetry::Telemetry;

pub(crate) use self::head::{read_head, read_history};
pub(crate) use self::publish::{Publisher, gap, read_document};
pub(crate) use self::unreadable::{SEARCHES_AT_ONCE, is_unreadable};
pub(crate) use self::watch::{Watch, watch};

/// What the asynchronous side works with.
pub(crate) struct Context {
    /// The worker's own specification.
    pub(crate) spec: Arc<PipelineSpec>,
    /// The worker's name.
    pub(crate) name: String,
    /// The store of states and publications.
    pub(crate) store: Store,
    /// The client that asks Kafka.
    pub(crate) control: Arc<Control>,
    /// The output topic.
    pub(crate) output_topic: Destination,
    /// The dead-letter topic.
    pub(crate) dead_letters: Destination,
    /// The record of the group's first start.
    pub(crate) first_start: FirstStart,
    /// The source topic's partitions, as last seen.
    pub(crate) partitions: Arc<AtomicI32>,
    /// Whether a bounded run stops at the log's end.
    pub(crate) until_end: bool,
    /// Held while transactions of workers that are gone are ended.
    pub(crate) ending: tokio::sync::Mutex<()>,
    /// Held while the end of an unreadable batch is looked for: that takes many clients.
    pub(crate) searching: tokio::sync::Semaphore,
    /// Where answers go.
    pub(crate) events: Sender<Event>,
    /// Set while this worker owns partition 0.
    pub(crate) publishes: Arc<AtomicBool>,
    /// How the merged insights are printed.
    pub(crate) output: OutputFormat,
    /// What is told to the outside.
    pub(crate) telemetry: Telemetry,
}

impl Context {
    /// Tells the pump; a pump that is gone needs no telling.
    fn tell(&self, event: Event) {
        if self.events.send(event).is_err() {
            tracing::debug!("the pump is gone");
        }
    }
}

/// Asks what blocks, on a thread for that.
async fn blocking<T: Send + 'static>(
    context: &Arc<Context>,
    ask: impl FnOnce(&Context) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let shared = Arc::clone(context);
    tokio::task::spawn_blocking(move || ask(&shared)).await?
}

/// Serves the pump's requests until it is gone, then finishes what is under way.
pub(crate) async fn serve(context: Arc<Context>, mut requests: UnboundedReceiver<Request>) {
    let mut tasks = JoinSet::new();
    let mut publisher = Publisher::new(&context);
    let mut tick = tokio::time::interval(context.spec.insights.publish_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Requests first: a flush must not wait for a publication's turn.
            biased;
            request = requests.recv() => {
                let Some(request) = request else { break };
                dispatch(&context, &mut tasks, &mut publisher, request).await;
            }
            Some(_) = tasks.join_next() => {}
            _ = tick.tick() => publisher.tick(&context).await,
        }
    }
    tasks.shutdown().await;
}

async fn dispatch(
    context: &Arc<Context>,
    tasks: &mut JoinSet<()>,
    publisher: &mut Publisher,
    request: Request,
) {
    let shared = Arc::clone(context);
    match request {
        Request::Load(ids) => {
            tasks.spawn(load::load(shared, ids));
        }
        Request::LoadScopes(id, token, scopes) => {
            tasks.spawn(load::load_scopes(shared, id, token, scopes));
        }
        Request::Flush(id, flush, origin) => {
            tasks.spawn(flush::flush(shared, id, flush, origin));
        }
        Request::FindLeftOpen(made_at) => {
            tasks.spawn(left_open::find_left_open(shared, made_at));
        }
        Request::AwaitOwners(asked_at) => {
            tasks.spawn(owners::wait(shared, asked_at));
        }
        Request::CheckStalled(suspects) => {
            tasks.spawn(unreadable::check_stalled(shared, suspects));
        }
        Request::FindReadable(id, from) => {
            tasks.spawn(unreadable::find_readable(shared, id, from));
        }
        Request::CheckTokens(tokens) => {
            tasks.spawn(flush::check_tokens(shared, tokens));
        }
        Request::Report(report) => {
            tasks.spawn(report::report(shared, report));
        }
        Request::Print => {
            publisher.publish_now(context).await;
            match read_document(&context.store).await {
                Ok(document) => output::print(context.output, document.as_deref()),
                Err(error) => tracing::warn!(%error, "failed to read the insights for printing"),
            }
        }
    }
}

/// Speaks of a service that is away: at once, then every 30 seconds; and paces the attempts.
pub(crate) struct Away {
    what: &'static str,
    since: Option<Instant>,
    logged_at: Option<Instant>,
    pause: Duration,
}

impl Away {
    /// Nothing is away yet.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, since: None, logged_at: None, pause: PAUSE_MIN }
    }

    /// Logs when it is time, then waits a little longer than the last time.
    pub(crate) async fn pause(&mut self, error: &(dyn std::fmt::Display + Send + Sync)) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        if self.logged_at.is_none_or(|at| now.duration_since(at) >= LOG_AWAY_EVERY) {
            self.logged_at = Some(now);
            let away_s = now.duration_since(since).as_secs();
            tracing::warn!(%error, away_s, "waiting for {}; nothing is lost", self.what);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// It is back.
    pub(crate) fn is_back(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(away_s = since.elapsed().as_secs(), "{} is back", self.what);
        }
        self.logged_at = None;
        self.pause = PAUSE_MIN;
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
