//! Finding out where a partition stands in both sinks, and reading its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use insights::state::{PartitionState, Scope, Wanted, WantedParts};
use insights::store::{Flush, FlushOutcome, Loaded, Parts, StoredHead, Token};
use rdkafka::producer::{BaseProducer, Producer as _};

use super::{Away, Context, output_tail};
use crate::client;
use crate::exit::Failure;
use crate::protocol::progress::{HEAD_SCHEMA, Head, History, add_gap};
use crate::protocol::start::{self, Committed, Halt, Log, Plan};
use crate::pump::run::{Beginning, HISTORY, MANIFEST, PROGRESS, Run};
use crate::pump::{Cause, Event, LeaseId};
use crate::revision::{self, Timeline};

/// Why a partition could not be loaded.
enum Error {
    /// It halts until somebody looks at it.
    Halt(Halt),
    /// The configuration contradicts what is stored.
    Configuration(revision::Error),
    /// A service is away, or the state moved meanwhile: try again.
    Again(anyhow::Error),
    /// What is stored cannot be used.
    Unusable(anyhow::Error),
}

/// Loads these partitions, however long it takes; whoever's lease ends meanwhile is forgotten.
pub(super) async fn load(context: Arc<Context>, ids: Vec<LeaseId>) {
    // All in one question where possible; a partition with a transaction still open must not hold up the others.
    match ask_kafka(&context, &ids).await {
        Ok((committed, logs)) => {
            let mut rest = Vec::new();
            for id in ids {
                if !attempt(&context, &id, &committed, &logs, &mut None).await {
                    rest.push(id);
                }
            }
            futures_join(rest.into_iter().map(|id| load_one(Arc::clone(&context), id))).await;
        }
        Err(_) => futures_join(ids.into_iter().map(|id| load_one(Arc::clone(&context), id))).await,
    }
}

async fn futures_join(loads: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut tasks: tokio::task::JoinSet<()> = loads.collect();
    while tasks.join_next().await.is_some() {}
}

async fn load_one(context: Arc<Context>, id: LeaseId) {
    let mut away = Away::new("Kafka or Redis to load a partition");
    let started_at = Instant::now();
    let mut said = None;
    while !id.is_cancelled() {
        let only = std::slice::from_ref(&id);
        match ask_kafka(&context, only).await {
            Ok((committed, logs)) => {
                if attempt(&context, &id, &committed, &logs, &mut said).await {
                    return;
                }
            }
            Err(error) => {
                if started_at.elapsed() > FENCE_AFTER {
                    fence_former_owner(&context, id.partition).await;
                }
                away.pause(&error).await;
                continue;
            }
        }
        tokio::time::sleep(if said.is_some() { HALTED_EVERY } else { AGAIN_AFTER }).await;
    }
}

/// Whether the partition is done with (loaded, or the worker ends). `said` holds the halt that was already reported.
async fn attempt(
    context: &Arc<Context>,
    id: &LeaseId,
    committed: &BTreeMap<i32, Committed>,
    logs: &BTreeMap<i32, Log>,
    said: &mut Option<Halt>,
) -> bool {
    if id.is_cancelled() {
        return true;
    }
    let absent = Committed::Absent;
    let committed = committed.get(&id.partition).unwrap_or(&absent);
    let Some(log) = logs.get(&id.partition) else { return false };
    match load_partition(context, id, committed, log).await {
        Ok(run) => context.tell(Event::Loaded(id.clone(), Box::new(run))),
        Err(Error::Halt(halt)) => {
            if said.as_ref() != Some(&halt) {
                *said = Some(halt.clone());
                context.tell(Event::Halted(id.clone(), halt));
            }
            return false;
        }
        Err(Error::Configuration(error)) => context.tell(Event::Fatal(Failure::configuration(error))),
        Err(Error::Unusable(error)) => context.tell(Event::Fatal(Failure::runtime(error))),
        Err(Error::Again(error)) => {
            tracing::debug!(partition = id.partition, error = %format!("{error:#}"), "partition not loaded yet");
            return false;
        }
    }
    true
}

async fn ask_kafka(
    context: &Arc<Context>,
    ids: &[LeaseId],
) -> Result<(BTreeMap<i32, Committed>, BTreeMap<i32, Log>), anyhow::Error> {
    let partitions: Vec<i32> = ids.iter().map(|id| id.partition).collect();
    let control = Arc::clone(&context.control);
    tokio::task::spawn_blocking(move || {
        let committed = control.committed(&partitions)?;
        let mut logs = control.logs(&partitions)?;
        let topic_id = control.topic_id().unwrap_or(None);
        for log in logs.values_mut() {
            log.topic_id.clone_from(&topic_id);
        }
        Ok((committed, logs))
    })
    .await?
}

/// A former owner whose report is old is dead, and may have left a transaction open: taking its id ends that at once.
async fn fence_former_owner(context: &Arc<Context>, partition: i32) {
    let Ok(heads) = context.store.heads(&[partition]).await else { return };
    let Some(head) = heads.into_iter().flatten().next().and_then(|stored| read_head(&stored).ok()) else { return };
    let Some((_, name)) = head.owner.split_once('/') else { return };
    let Ok(reports) = context.store.reports().await else { return };
    let is_alive = reports.get(name).is_some_and(|report| super::report::age(report) < DEAD_AFTER);
    if is_alive || head.owner == context.transactional_id() {
        return;
    }
    tracing::info!(partition, owner = head.owner, "ending the transaction of a worker that is gone");
    let config = client::producer(&context.spec, &context.name, &head.owner);
    let fenced = tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = config.create()?;
        producer.init_transactions(FENCE_LIMIT)
    });
    match fenced.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "failed to end the transaction of a worker that is gone"),
        Err(error) => tracing::debug!(%error, "failed to end the transaction of a worker that is gone"),
    }
}

async fn load_partition(
    context: &Arc<Context>,
    id: &LeaseId,
    committed: &Committed,
    log: &Log,
) -> Result<Run, Error> {
    let partition = id.partition;
    let heads = context.store.heads(&[partition]).await.map_err(|error| Error::Again(error.into()))?;
    let stored = heads.into_iter().next().flatten();
    let mut token = stored.as_ref().map(|stored| stored.token.clone());
    let head = stored.as_ref().map(read_head).transpose()?;
    let history = stored.as_ref().map(read_history).transpose()?;
    let start_at_latest = context.spec.source.start_from == insights::spec::StartFrom::Latest;
    let mut plan =
        start::decide(partition, committed, head.as_ref(), log, &context.first_start, start_at_latest).map_err(Error::Halt)?;
    if plan.look_into_output {
        let found = output_tail::next_of(context, partition, &plan).await.map_err(Error::Halt)?;
        plan.kafka_next = plan.kafka_next.max(found);
    }
    let revisions = match committed {
        Committed::Ours(progress) if progress.metadata.incarnation == plan.incarnation => {
            progress.metadata.revisions.as_slice()
        }
        _ => &[],
    };
    let history = history.filter(|_| head.as_ref().is_some_and(|head| head.incarnation == plan.incarnation));
    let timeline = |plan: &Plan| {
        revision::timeline(&context.spec, history.as_ref(), revisions, plan.base, plan.state_next)
            .map_err(Error::Configuration)
    };
    let mut specifications = timeline(&plan)?;
    let mut state = None;
    if let (true, Some(stored)) = (plan.keep_state, &stored) {
        state = restore(context, partition, stored, &specifications).await?;
        if state.is_none() {
            tracing::warn!(partition, "the stored state is damaged: it is counted again from its base");
            plan.keep_state = false;
            plan.state_next = plan.base.max(log.start);
            plan.state_last = None;
            specifications = timeline(&plan)?;
        }
    }
    let mut state = state.unwrap_or_else(|| PartitionState::new(Arc::clone(&specifications.current.layout)));
    if !plan.keep_state && let Some(stored) = &stored {
        state.replaces(stored.fields.get(MANIFEST).map_or(&[][..], Vec::as_slice));
    }
    let mut level_at = None;
    let mut has_history = history.as_ref() == Some(&specifications.history);
    if specifications.takeover {
        let level = plan.kafka_next.max(plan.state_next);
        match (&token, plan.kafka_next == plan.state_next && plan.keep_state) {
            (Some(expected), true) => {
                token = Some(take_over(context, partition, expected, &plan, &mut specifications).await?);
                state.adopt(Arc::clone(&specifications.current.layout));
                has_history = true;
            }
            _ => level_at = Some(level),
        }
    }
    Ok(begin(context, partition, log, committed, plan, specifications, state, token.zip(head), level_at, has_history))
}

#[expect(clippy::too_many_arguments, reason = "gathers what was found into one value")]
fn begin(
    context: &Context,
    partition: i32,
    log: &Log,
    committed: &Committed,
    plan: Plan,
    timeline: Timeline,
    state: PartitionState,
    stored: Option<(Token, Head)>,
    level_at: Option<i64>,
    has_history: bool,
) -> Run {
    let same = stored.as_ref().map(|(_, head)| head).filter(|head| head.incarnation == plan.incarnation);
    let mut gaps = same.map_or_else(Vec::new, |head| head.gaps.clone());
    if let Some(gap) = &plan.gap {
        tracing::error!(partition, from = gap.from, to = gap.to, "records were lost to retention before they were read");
        add_gap(&mut gaps, gap.clone());
    }
    let delivery = match committed {
        Committed::Ours(progress) if progress.metadata.incarnation == plan.incarnation => progress.metadata.delivery,
        _ => same.map(|head| head.delivery).unwrap_or_default(),
    };
    let read_from = plan.read_from(log.start);
    Run::new(Beginning {
        partition,
        plan,
        topic_id: log.topic_id.clone(),
        timeline,
        state,
        stored,
        delivery,
        gaps,
        has_history,
        read_from,
        hold_at: if context.until_end { log.end } else { i64::MAX },
        level_at,
        now: Instant::now(),
    })
}

/// Notes this worker's revision in Redis, in one compare-and-set, before anything is counted or delivered under it.
async fn take_over(
    context: &Context,
    partition: i32,
    expected: &Token,
    plan: &Plan,
    timeline: &mut Timeline,
) -> Result<Token, Error> {
    let first_offset = plan.state_next;
    revision::take_over(&context.spec, timeline, first_offset).map_err(Error::Configuration)?;
    let token = format!("{}|{first_offset}|{:016x}", plan.incarnation, rand::random::<u64>());
    let history = serde_json::to_vec(&timeline.history).expect("plain data is JSON");
    let flush = Flush {
        partition,
        expected: Some(expected.clone()),
        token: token.clone(),
        head: BTreeMap::from([(HISTORY.to_owned(), history)]),
        ..Flush::default()
    };
    match context.store.flush(&flush).await {
        Ok(FlushOutcome::Applied) => {
            tracing::info!(partition, revision = context.spec.revision, first_offset, "revision takes effect");
            Ok(token)
        }
        Ok(FlushOutcome::Conflict(_)) => Err(Error::Again(anyhow::anyhow!("another worker changed the state"))),
        Err(error) => Err(Error::Again(error.into())),
    }
}

/// Reads a state; none when it is damaged and must be counted again.
async fn restore(
    context: &Context,
    partition: i32,
    stored: &StoredHead,
    timeline: &Timeline,
) -> Result<Option<PartitionState>, Error> {
    let layout = &timeline.current.layout;
    let manifest = stored.fields.get(MANIFEST).map_or(&[][..], Vec::as_slice);
    let wanted = [Wanted { scope: Scope::AllTime, parts: WantedParts::All }];
    let loaded = context.store.load(partition, &stored.token, &wanted).await;
    let parts = match loaded.map_err(|error| Error::Again(error.into()))? {
        Loaded::Parts(mut scopes) => scopes.remove(&Scope::AllTime).unwrap_or_default(),
        Loaded::Moved(_) => return Err(Error::Again(anyhow::anyhow!("another worker changed the state"))),
    };
    match PartitionState::restore(Arc::clone(layout), manifest, &parts) {
        Ok(state) => Ok(Some(state)),
        Err(error) => {
            tracing::warn!(partition, %error, "failed to read the stored state");
            Ok(None)
        }
    }
}

/// Fetches parts of a state as of a token.
pub(super) async fn load_scopes(context: Arc<Context>, id: LeaseId, token: Token, scopes: Vec<Scope>) {
    let wanted: Vec<Wanted> =
        scopes.into_iter().map(|scope| Wanted { scope, parts: WantedParts::All }).collect();
    let mut away = Away::new("Redis");
    while !id.is_cancelled() {
        match context.store.load(id.partition, &token, &wanted).await {
            Ok(Loaded::Parts(scopes)) => {
                let scopes: BTreeMap<Scope, Parts> = scopes;
                return context.tell(Event::Scopes(id, scopes));
            }
            Ok(Loaded::Moved(_)) => return context.tell(Event::Conflict(id, Cause::Check)),
            Err(error) if error.is_transient() => away.pause(&error).await,
            Err(error) => return context.tell(Event::Fatal(Failure::runtime(error))),
        }
    }
}

fn read_head(stored: &StoredHead) -> Result<Head, Error> {
    let bytes = stored.fields.get(PROGRESS).map_or(&[][..], Vec::as_slice);
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|error| Error::Unusable(anyhow::Error::new(error).context("a stored head cannot be read")))?;
    if head.schema == HEAD_SCHEMA {
        return Ok(head);
    }
    Err(Error::Unusable(anyhow::anyhow!(
        "the stored state has schema {}, this version writes {HEAD_SCHEMA}: run the version that wrote it",
        head.schema
    )))
}

/// Reads the history of a stored head.
pub(crate) fn read_history(stored: &StoredHead) -> Result<History, Error> {
    let bytes = stored.fields.get(HISTORY).map_or(&[][..], Vec::as_slice);
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Unusable(anyhow::Error::new(error).context("a stored history cannot be read")))
}

/// How soon a load is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How often a halted partition is looked at again.
const HALTED_EVERY: Duration = Duration::from_secs(5);

/// How long a partition's offsets may stay uncertain before its former owner is looked for.
const FENCE_AFTER: Duration = Duration::from_secs(3);

/// A worker without a report for so long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// How long taking the id of a worker that is gone may take.
const FENCE_LIMIT: Duration = Duration::from_secs(5);
