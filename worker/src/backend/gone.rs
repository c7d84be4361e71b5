//! Workers that are gone, when they died in the middle of a transaction.
//!
//! Owns who is taken for gone. It never touches the transaction of a member of the group.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::head::read_head;
use super::report::silent_for;
use super::{Context, blocking, left_open};
use crate::client::{self, Producer};
use crate::pump;

/// Taking the id of a worker that is gone ends at once what it left open. Who that may be, Redis knows: the former owner of the
/// partition, and whoever has not reported for a while.
pub(super) async fn end_transactions(context: &Arc<Context>, partition: i32) {
    // The partitions of one worker wait for the same, and would fence each other: one does it, the others ask again.
    let Ok(_turn) = context.ending.try_lock() else { return };
    for name in names(context, partition).await {
        tracing::info!(partition, name, "ending the transaction of a worker that is gone");
        if let Err(error) = blocking(context, move |context| end(context, &name)).await {
            tracing::debug!(%error, "failed to end the transaction of a worker that is gone");
        }
    }
}

/// Names of workers that are gone.
async fn names(context: &Arc<Context>, partition: i32) -> Vec<String> {
    let Ok(Some(members)) = blocking(context, |context| Ok(context.control.members()?)).await else {
        return Vec::new();
    };
    let (Ok(heads), Ok(reports)) = (context.store.heads(&[partition]).await, context.store.reports().await)
    else {
        return Vec::new();
    };
    let head = heads.into_iter().flatten().next().and_then(|stored| read_head(&stored).ok()?);
    let owner = head.and_then(|head| Some(head.owner.split_once('/')?.1.to_owned()));
    owner
        .into_iter()
        .filter(|name| !reports.contains_key(name))
        .chain(silent_for(SILENCE, &reports))
        .filter(|name| *name != context.name && !members.contains_key(name))
        .collect()
}

/// Takes a worker's id, and ends what brokers forgot to end with it.
fn end(context: &Context, name: &str) -> Result<()> {
    let spec = &context.spec;
    let id = client::transactional_id(spec, name);
    let producer = Producer::new(&client::producer(spec, &context.name, &id))?;
    producer.init_transactions(INIT_LIMIT)?;
    let left_open = left_open::search(context)?;
    if !left_open.is_empty() {
        pump::end_left_open(&producer, spec, &left_open)?;
    }
    Ok(())
}

/// A worker without a report for so long, and that is no member of the group, is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// How long taking the id of a worker that is gone may take.
const INIT_LIMIT: Duration = Duration::from_secs(5);
