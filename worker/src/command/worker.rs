//! `rollcall worker`: one replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use insights::spec::PipelineSpec;
use insights::store::Store;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::args::{OutputFormat, WorkerArguments};
use crate::backend::{self, Publisher, Watch, read_document};
use crate::configuration;
use crate::control::Control;
use crate::exit::Failure;
use crate::output;
use crate::pump::{self, Bounds, Event, Outcome, Request, Settings};
use crate::signals::Signals;
use crate::startup;
use crate::telemetry::{self, Telemetry};
use crate::watchdog::Watchdog;

/// One replica's own settings.
pub(crate) struct Worker {
    /// The specification.
    pub(crate) spec: Arc<PipelineSpec>,
    /// The worker's name.
    pub(crate) name: String,
    /// The store.
    pub(crate) store: Store,
    /// When to stop by itself.
    pub(crate) bounds: Bounds,
    /// How long an absent source topic is waited for; none: for ever.
    pub(crate) wait: Option<Duration>,
    /// How insights are printed.
    pub(crate) output: OutputFormat,
    /// Whether Kafka is librdkafka's mock cluster.
    pub(crate) is_demo: bool,
    /// Where metrics and health are served.
    pub(crate) metrics_address: Option<String>,
}

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: WorkerArguments) -> Result<(), Failure> {
    let spec = configuration::load(&arguments.configuration)?;
    if arguments.print_config {
        print!("{}", spec.to_yaml());
        return Ok(());
    }
    let bounds = Bounds {
        max_messages: arguments.max_messages,
        until_end: arguments.until_end,
        insights_every: arguments.insights_every,
    };
    let worker = Worker {
        name: arguments.name.unwrap_or_else(default_name),
        store: store(&spec)?,
        spec: Arc::new(spec),
        bounds,
        wait: bounds.is_bounded().then_some(arguments.wait),
        output: arguments.output,
        is_demo: false,
        metrics_address: arguments.metrics_address,
    };
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let (stop, stopped) = oneshot::channel();
        let work = work(worker, stopped);
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result.map(|_| ()),
            () = signals.next() => tracing::info!("stopping: draining first; a second signal exits at once"),
        }
        if stop.send(()).is_err() {
            tracing::debug!("the worker is stopping already");
        }
        let limit = tokio::time::sleep(STOP_LIMIT);
        tokio::select! {
            result = work => result.map(|_| ()),
            () = signals.exit_at_next() => Ok(()),
            () = limit => Err(Failure::runtime(anyhow::anyhow!(
                "a service is away: stopped without storing everything; the next worker goes on from what is stored"
            ))),
        }
    })
}

/// The store that a specification names.
pub(crate) fn store(spec: &PipelineSpec) -> Result<Store, Failure> {
    use secrecy::ExposeSecret as _;
    let url =
        insights::spec::RedisUrl::parse(spec.redis.url.expose_secret()).map_err(Failure::configuration)?;
    Ok(Store::redis(url.into(), &spec.pipeline))
}

/// Works until told to stop, or until the bounds are reached.
pub(crate) async fn work(worker: Worker, mut stopped: oneshot::Receiver<()>) -> Result<Outcome, Failure> {
    let telemetry = Telemetry::default();
    if let Some(address) = &worker.metrics_address {
        telemetry::serve(address, telemetry.clone()).await.map_err(Failure::runtime)?;
    }
    let control = if worker.is_demo { Control::of_mock } else { Control::new };
    let control = Arc::new(control(&worker.spec, &worker.name).map_err(Failure::runtime)?);
    if worker.metrics_address.is_some() {
        tokio::spawn(backend::watch(Watch {
            spec: Arc::clone(&worker.spec),
            name: worker.name.clone(),
            store: worker.store.clone(),
            control: Arc::clone(&control),
            telemetry: telemetry.clone(),
        }));
    }
    let ready = tokio::select! {
        ready = startup::prepare(&worker.spec, &control, &worker.store, worker.wait).instrument(tracing::info_span!("start")) => ready?,
        _ = &mut stopped => return Ok(Outcome::default()),
    };
    tracing::info!(
        name = worker.name,
        pipeline = worker.spec.pipeline,
        topic = worker.spec.source.topic,
        partitions = ready.partitions,
        revision = worker.spec.revision,
        "worker starts"
    );
    let (requests, received) = mpsc::unbounded_channel();
    let (events, answered) = std::sync::mpsc::channel();
    let publishes = Arc::new(AtomicBool::new(false));
    let context = Arc::new(backend::Context {
        spec: Arc::clone(&worker.spec),
        name: worker.name.clone(),
        store: worker.store.clone(),
        control,
        output_topic: ready.output.clone(),
        dead_letters: ready.dead_letters.clone(),
        first_start: ready.first_start,
        partitions: Arc::new(AtomicI32::new(ready.partitions)),
        ending: tokio::sync::Mutex::default(),
        searching: tokio::sync::Semaphore::new(backend::SEARCHES_AT_ONCE),
        until_end: worker.bounds.until_end,
        events: events.clone(),
        publishes: Arc::clone(&publishes),
        output: worker.output,
        telemetry: telemetry.clone(),
    });
    let settings = Settings {
        spec: Arc::clone(&worker.spec),
        name: worker.name.clone(),
        output: ready.output,
        dead_letters: ready.dead_letters,
        bounds: worker.bounds,
        publishes,
        requests,
        events: answered,
        watchdog: Watchdog::start(),
        telemetry,
    };
    let outcome = pump_until_done(&context, settings, received, events, stopped).await?;
    finish(&context, &worker, outcome).await
}

/// Runs the pump on its own thread, and the asynchronous side beside it until the pump is gone.
async fn pump_until_done(
    context: &Arc<backend::Context>,
    settings: Settings,
    requests: UnboundedReceiver<Request>,
    events: Sender<Event>,
    stopped: oneshot::Receiver<()>,
) -> Result<Outcome, Failure> {
    let (done, ended) = oneshot::channel();
    let pump = thread::Builder::new()
        .name("pump".to_owned())
        .spawn(move || {
            if done.send(pump::run(settings)).is_err() {
                tracing::debug!("nobody waits for the pump");
            }
        })
        .context("failed to start the pump's thread")?;
    let stop = async {
        if stopped.await.is_ok() && events.send(Event::Stop).is_err() {
            tracing::debug!("the pump is gone already");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = backend::serve(Arc::clone(context), requests) => {}
        () = stop => {}
    }
    let outcome = ended.await.map_err(|_| anyhow::anyhow!("the pump panicked"))?;
    if pump.join().is_err() {
        return Err(Failure::runtime(anyhow::anyhow!("the pump panicked")));
    }
    outcome
}

/// The last publication, and the last word of a bounded run.
async fn finish(
    context: &Arc<backend::Context>,
    worker: &Worker,
    outcome: Outcome,
) -> Result<Outcome, Failure> {
    let mut publisher = Publisher::new(context);
    publisher.publish_last(context).await;
    if let Err(error) = context.store.remove_report(&worker.name).await {
        tracing::debug!(%error, "failed to remove this worker's report");
    }
    let bounds = worker.bounds;
    if bounds.is_bounded() {
        let document = read_document(&context.store).await.map_err(Failure::runtime)?;
        output::print(worker.output, document.as_deref());
    }
    tracing::info!(records = outcome.records, "worker ends");
    if outcome.is_flushed {
        return Ok(outcome);
    }
    Err(Failure::runtime(anyhow::anyhow!(
        "stopped before Redis had everything; nothing is lost: the next worker goes on from what is stored"
    )))
}

/// The pod's name, else the host's and eight random digits.
fn default_name() -> String {
    if let Ok(name) = std::env::var("POD_NAME")
        && !name.is_empty()
    {
        return name;
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(80).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{:08x}", rand::random::<u32>())
}

/// After the signal a worker is gone within so long, even when a service is away.
const STOP_LIMIT: Duration = Duration::from_secs(22);
