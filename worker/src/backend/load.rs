//! Finding out where a partition stands in both sinks, and reading its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use insights::state::{Scope, Wanted, WantedParts};
use insights::store::{Loaded, Parts, Token};

use super::{Away, Context, blocking, gone, left_open, loading};
use crate::exit::Failure;
use crate::protocol::start::{Committed, Halt, Log};
use crate::pump::{Cause, Event, LeaseId};
use crate::revision;

/// Why a partition could not be loaded.
pub(super) enum Error {
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
                if started_at.elapsed() > END_AFTER {
                    gone::end_transactions(&context, id.partition).await;
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
    let Some(log) = logs.get(&id.partition) else {
        return false;
    };
    match loading::load_partition(context, id.partition, committed, log).await {
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
    blocking(context, move |context| {
        // Whoever ends what a former owner left open may set back first what is committed.
        left_open::wait_for(context, &partitions)?;
        let Context { control, .. } = context;
        let committed = control.committed(&partitions)?;
        let mut logs = control.logs(&partitions)?;
        let topic_id = control.topic_id().unwrap_or(None);
        for log in logs.values_mut() {
            log.topic_id.clone_from(&topic_id);
        }
        Ok((committed, logs))
    })
    .await
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

/// How soon a load is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How often a halted partition is looked at again.
const HALTED_EVERY: Duration = Duration::from_secs(5);

/// How long it may stay uncertain what was delivered of a partition before it is looked for workers that are gone.
const END_AFTER: Duration = Duration::from_secs(1);
