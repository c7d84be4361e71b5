//! Whether every partition of the source topic has an owner.
//!
//! A bounded run may end when its own part is done and nothing is on its way from one worker to another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Away, Context, blocking};
use crate::pump::Event;

/// Waits until it has, then tells the pump what this worker holds; `asked_at` says which question is answered.
pub(super) async fn wait(context: Arc<Context>, asked_at: Instant) {
    let mut away = Away::new("Kafka");
    loop {
        match blocking(&context, own).await {
            Ok(Some(own)) => return context.tell(Event::Owned(asked_at, own)),
            Ok(None) => tokio::time::sleep(PAUSE).await,
            Err(error) => away.pause(&format!("{error:#}")).await,
        }
    }
}

/// This worker's partitions; none while a partition has no owner.
fn own(context: &Context) -> anyhow::Result<Option<BTreeSet<i32>>> {
    let Some(mut members) = context.control.members()? else {
        return Ok(None);
    };
    let held: usize = members.values().map(BTreeSet::len).sum();
    let partitions = context.partitions.load(Ordering::Relaxed);
    let is_whole = i32::try_from(held).is_ok_and(|held| held >= partitions);
    Ok(is_whole.then(|| members.remove(&context.name).unwrap_or_default()))
}

/// How often the group is looked at. A rebalance takes longer.
const PAUSE: Duration = Duration::from_millis(50);
