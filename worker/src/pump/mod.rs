//! The pump: one thread that owns the consumer and the transactional producer.
//!
//! Owns the loop from source records to committed transactions and flushes of partition states. It never waits for Redis
//! while it may go on, and never lets anything else touch its clients.

mod batch;
mod beginning;
mod bounds;
pub(crate) mod deliver;
mod event;
mod flush;
mod lease;
mod reading;
mod rebalance;
pub(crate) mod run;
mod spans;
mod transaction;
mod transactional_id;
mod unreadable;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use insights::record::Scratch;
use insights::spec::PipelineSpec;
use tokio::sync::mpsc::UnboundedSender;

use self::bounds::Progress;
use self::lease::{Leases, Phase};
use self::run::{Pause, Run};
use self::spans::Spans;
use crate::client::{self, Batch, Consumer, Generation, Position, Producer};
use crate::crash::{self, Point};
use crate::exit::Failure;
use crate::telemetry::{Place, Tally, Telemetry};
use crate::watchdog::Watchdog;

pub(crate) use self::beginning::Beginning;
pub(crate) use self::bounds::Bounds;
pub(crate) use self::deliver::{Delivery, Destination};
pub(crate) use self::event::{Cause, Event, LeftOpen, Origin, Report, Request};
pub(crate) use self::lease::LeaseId;
pub(crate) use self::transaction::LOG_AWAY_EVERY;
pub(crate) use self::transactional_id::end_left_open;

/// What a pump is made of.
pub(crate) struct Settings {
    /// The worker's own specification.
    pub(crate) spec: Arc<PipelineSpec>,
    /// The worker's name.
    pub(crate) name: String,
    /// The output topic.
    pub(crate) output: Destination,
    /// The dead-letter topic.
    pub(crate) dead_letters: Destination,
    /// When to stop by itself.
    pub(crate) bounds: Bounds,
    /// Set while this worker owns partition 0 and so publishes.
    pub(crate) publishes: Arc<AtomicBool>,
    /// Where requests go.
    pub(crate) requests: UnboundedSender<Request>,
    /// Where answers come from.
    pub(crate) events: Receiver<Event>,
    /// Ends the process when a call hangs.
    pub(crate) watchdog: Watchdog,
    /// What is told to the outside.
    pub(crate) telemetry: Telemetry,
}

/// What a pump did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Source records whose offsets were committed.
    pub(crate) records: u64,
    /// Whether everything that was committed is stored in Redis too.
    pub(crate) is_flushed: bool,
}

/// Runs a pump until it is told to stop, its bounds are reached, or it fails.
pub(crate) fn run(settings: Settings) -> Result<Outcome, Failure> {
    let consumer =
        Consumer::new(&client::consumer(&settings.spec, &settings.name), &settings.spec.source.topic)
            .map_err(Failure::runtime)?;
    let mut core = Core::new(settings)?;
    let mut batch = Batch::with_capacity(BATCH_RECORDS);
    let outcome = core.work(&consumer, &mut batch);
    batch.clear();
    core.watchdog().allow(DRAIN_LIMIT + WATCHDOG_MARGIN);
    core.drain(&consumer);
    core.watchdog().rest();
    outcome?;
    Ok(Outcome { records: core.progress.committed, is_flushed: core.drained_clean })
}

/// Everything of the pump but the consumer, which calls back into it while it polls.
struct Core {
    settings: Settings,
    transactional_id: String,
    leases: Leases,
    producer: Slot,
    /// When the open transaction began; none when none is open.
    transaction_since: Option<Instant>,
    generation: Option<Generation>,
    /// When the group gave this worker's partitions to others without asking.
    lost_at: Option<Instant>,
    delivery: Delivery,
    scratch: Scratch,
    progress: Progress,
    /// Events that came while something particular was waited for.
    deferred: VecDeque<Event>,
    /// Since when requests of the transaction go unanswered by a service that is away.
    away_since: Option<Instant>,
    away_logged_at: Option<Instant>,
    last_commit_at: Instant,
    last_housekeeping_at: Instant,
    last_positions_at: Instant,
    stalls: unreadable::Stalls,
    report_due: bool,
    spent: flush::Spent,
    /// Logins since the start, while none has passed the filter.
    unpassed: u32,
    /// Records read below a gate since the last report.
    gated: u64,
    /// What the batch at hand brought.
    tally: Tally,
    spans: Spans,
    /// When the open transaction began, for its spans.
    producing_since: Option<SystemTime>,
    /// When this worker leaves at the latest, once it was told to.
    leave_by: Option<Instant>,
    failure: Option<Failure>,
    drained_clean: bool,
}

/// The producer; without topics it may not deliver yet.
struct Slot {
    // Dropped first: handles must go before their client.
    topics: Option<deliver::Topics>,
    producer: Producer,
    made_at: Instant,
    /// Whether the transactional id is its own.
    is_taken: bool,
}

impl Slot {
    fn new(producer: Producer) -> Self {
        Self { topics: None, producer, made_at: Instant::now(), is_taken: false }
    }

    fn is_ready(&self) -> bool {
        self.topics.is_some()
    }

    fn ready(&self) -> Option<(&Producer, &deliver::Topics)> {
        self.topics.as_ref().map(|topics| (&self.producer, topics))
    }
}

impl Core {
    fn new(settings: Settings) -> Result<Self, Failure> {
        let now = Instant::now();
        let transactional_id = client::transactional_id(&settings.spec, &settings.name);
        let producer = new_producer(&settings, &transactional_id)?;
        let delivery = Delivery::new(
            &settings.spec.source.topic,
            settings.output.clone(),
            settings.dead_letters.clone(),
        );
        Ok(Self {
            transactional_id,
            leases: Leases::default(),
            producer: Slot::new(producer),
            transaction_since: None,
            generation: None,
            lost_at: None,
            delivery,
            scratch: Scratch::default(),
            progress: Progress::new(settings.bounds),
            deferred: VecDeque::new(),
            away_since: None,
            away_logged_at: None,
            last_commit_at: now,
            last_housekeeping_at: now,
            last_positions_at: now,
            stalls: unreadable::Stalls::new(now),
            report_due: false,
            spent: flush::Spent::new(now),
            unpassed: 0,
            gated: 0,
            tally: Tally::default(),
            spans: Spans::new(&settings),
            producing_since: None,
            leave_by: None,
            failure: None,
            drained_clean: false,
            settings,
        })
    }

    fn watchdog(&self) -> &Watchdog {
        &self.settings.watchdog
    }

    fn telemetry(&self) -> &Telemetry {
        &self.settings.telemetry
    }

    /// Shows where each partition stands.
    fn show_places(&self) {
        let place = |run: &Run| Place {
            kafka_next: run.at.committed,
            redis_next: run.at.stored.next,
            timestamp_ms: run.last_timestamp_ms(),
        };
        self.telemetry().metrics.places.set(self.leases.runs().map(|run| (run.partition, place(run))));
    }

    /// The loop: read, count and deliver, commit on the beat, flush.
    fn work(&mut self, consumer: &Consumer, batch: &mut Batch) -> Result<(), Failure> {
        let mut subscribed = false;
        loop {
            self.watchdog().allow(TURN_LIMIT + WATCHDOG_MARGIN);
            self.telemetry().health.turned();
            self.apply_events(consumer);
            self.start_producer();
            if !subscribed && self.producer.is_ready() {
                consumer.subscribe().map_err(Failure::runtime)?;
                subscribed = true;
            }
            self.seek_due(consumer);
            let polled_since = self.spans.now();
            consumer.poll(batch, BEAT, self);
            let processing = self.spans.batch(polled_since, batch);
            let woke_at = Instant::now();
            if let Some(reason) = consumer.take_fatal() {
                return Err(Failure::runtime(anyhow::anyhow!(
                    "the Kafka consumer failed for good: {reason}"
                )));
            }
            self.process(consumer, batch);
            drop(processing);
            self.serve_producer(consumer);
            if woke_at.duration_since(self.last_commit_at) >= COMMIT_EVERY || self.progress.is_exhausted() {
                self.commit(consumer);
            }
            self.flush_due();
            self.housekeep(consumer);
            self.spent.busy += woke_at.elapsed();
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.may_leave(consumer) || self.is_finished(consumer) {
                return Ok(());
            }
        }
    }

    /// Serves what the asynchronous side had to say.
    fn apply_events(&mut self, consumer: &Consumer) {
        while let Some(event) = self.deferred.pop_front() {
            self.apply(consumer, event);
        }
        while let Ok(event) = self.settings.events.try_recv() {
            self.apply(consumer, event);
        }
    }

    fn apply(&mut self, consumer: &Consumer, event: Event) {
        match event {
            Event::Loaded(id, run) => self.begin(consumer, &id, run),
            Event::Halted(id, halt) => self.halted(&id, halt),
            Event::Scopes(id, scopes) => self.insert_scopes(consumer, &id, &scopes),
            Event::LeftOpen(made_at, left_open) => self.left_open(consumer, made_at, &left_open),
            Event::Owned(asked_at, partitions) => self.progress.owned(asked_at, partitions),
            Event::Stalled(id, from) => self.stalled(consumer, &id, from),
            Event::CheckedStalled => self.stalls.is_asked = false,
            Event::Readable(id, from, to) => self.readable(consumer, &id, from, to),
            Event::Flushed(id, token) => self.flushed(consumer, &id, &token),
            Event::Conflict(id, cause) => self.conflict(consumer, &id, cause),
            Event::Fatal(failure) => self.failure = Some(failure),
            Event::Stop => self.leave_soon(),
        }
    }

    /// A partition is loaded: fetch it from where its sinks stand.
    fn begin(&mut self, consumer: &Consumer, id: &LeaseId, mut run: Box<Run>) {
        let Some(lease) = self.leases.of(id) else { return };
        let partition = run.partition;
        run.stop_at = run.level_at.unwrap_or(i64::MAX).min(*lease.hold_at.get_or_insert(run.hold_at));
        run.hold_at = lease.hold_at.unwrap_or(i64::MAX);
        let position = Position { partition, offset: run.at.read_next };
        // It is not fetched yet, and librdkafka knows where it stands: it noted a batch that was at hand while a rebalance took
        // the partition away.
        let is_stale = !lease.fetching && !consumer.positions(&[partition]).is_empty();
        run.seek_at = is_stale.then(Instant::now);
        tracing::info!(
            partition,
            read_from = run.at.read_next,
            committed = run.at.committed,
            counted = run.at.state_next,
            position_is_stale = is_stale,
            "partition loaded"
        );
        crash::point(Point::Loaded);
        let started = if lease.fetching {
            consumer.restart(position, reading::SEEK_LIMIT)
        } else {
            consumer.start(position)
        };
        lease.fetching = true;
        lease.phase = Phase::Running(Some(run));
        self.show_places();
        if let Err(error) = started {
            tracing::warn!(partition, %error, "failed to start reading a partition: it is loaded again");
            self.reload(consumer, &[partition]);
        }
        if self.leases.iter().all(|lease| matches!(lease.phase, Phase::Running(_))) {
            // Everybody who looks at the reports sees the new assignment soon.
            self.report_due = true;
        }
    }

    fn halted(&mut self, id: &LeaseId, halt: crate::protocol::start::Halt) {
        if self.leases.of(id).is_none() {
            return;
        }
        tracing::error!(partition = id.partition, "partition halted: {halt}");
        if self.settings.bounds.is_bounded() {
            self.failure = Some(Failure::runtime(
                anyhow::Error::new(halt).context(format!("partition {} halted", id.partition)),
            ));
        }
    }

    /// Starts these partitions again from what is stored, once the open transaction is over: it delivers records of theirs,
    /// and commits their offsets.
    fn reload(&mut self, consumer: &Consumer, partitions: &[i32]) {
        let mut ids = Vec::new();
        let mut fetching = Vec::new();
        for &partition in partitions {
            let has_run = self.leases.get_mut(partition).is_some_and(|lease| lease.run_mut().is_some());
            if has_run && self.transaction_since.is_some() {
                self.pause(consumer, partition, Pause::Reload);
                continue;
            }
            let is_fetching = self.leases.get_mut(partition).is_some_and(|lease| lease.fetching);
            if let Some(id) = self.leases.reload(partition) {
                ids.push(id);
                if is_fetching {
                    fetching.push(partition);
                }
            }
        }
        if !fetching.is_empty()
            && let Err(error) = consumer.pause(&fetching)
        {
            tracing::debug!(%error, "failed to pause partitions that are loaded again");
        }
        if !ids.is_empty() {
            self.send(Request::Load(ids));
        }
    }

    /// The asynchronous side outlives the pump, except when the process ends anyway.
    fn send(&mut self, request: Request) {
        if self.settings.requests.send(request).is_err() {
            self.leave_by = Some(Instant::now());
        }
    }
}

fn new_producer(settings: &Settings, transactional_id: &str) -> Result<Producer, Failure> {
    Producer::new(&client::producer(&settings.spec, &settings.name, transactional_id))
        .map_err(Failure::runtime)
}

/// Records of one batch call.
const BATCH_RECORDS: usize = 4096;

/// How long a batch call waits for its number of records. A fixed beat: waiting for the rest of the commit interval adds
/// half of it to the latency.
const BEAT: Duration = Duration::from_millis(20);

/// How often transactions are committed.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// Below the session's time-out, so that a slow drain does not cost the partitions anyway.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// The longest a turn of the loop may take: a commit and an abort that both run into their time-outs.
const TURN_LIMIT: Duration = Duration::from_secs(20);

/// What a call may take beyond its own time-out.
const WATCHDOG_MARGIN: Duration = Duration::from_secs(5);
