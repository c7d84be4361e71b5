//! The worker that had a partition before, when it died in the middle of a transaction.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, Producer as _};

use super::head::read_head;
use super::{Context, blocking};
use crate::client;

/// A former owner whose report is old is dead, and may have left a transaction open: taking its id ends that at once.
pub(super) async fn fence_former_owner(context: &Arc<Context>, partition: i32) {
    let Ok(heads) = context.store.heads(&[partition]).await else {
        return;
    };
    let Some(head) = heads.into_iter().flatten().next().and_then(|stored| read_head(&stored).ok()?) else {
        return;
    };
    let Some((_, name)) = head.owner.split_once('/') else {
        return;
    };
    let Ok(reports) = context.store.reports().await else {
        return;
    };
    let is_alive = reports.get(name).is_some_and(|report| super::report::age(report) < DEAD_AFTER);
    if is_alive || head.owner == context.transactional_id() {
        return;
    }
    tracing::info!(partition, owner = head.owner, "ending the transaction of a worker that is gone");
    let config = client::producer(&context.spec, &context.name, &head.owner);
    let fenced = blocking(context, move |context| {
        let producer: BaseProducer = config.create()?;
        producer.init_transactions(FENCE_LIMIT)?;
        // A broker may have forgotten to end it with the group: the end of another one ends both.
        let (offsets, nobody) = context.control.offset_of_nobody(partition)?;
        producer.begin_transaction()?;
        producer.send_offsets_to_transaction(&offsets, &nobody, FENCE_LIMIT)?;
        Ok(producer.abort_transaction(FENCE_LIMIT)?)
    });
    if let Err(error) = fenced.await {
        tracing::debug!(%error, "failed to end the transaction of a worker that is gone");
    }
}

/// A worker without a report for so long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// How long taking the id of a worker that is gone may take.
const FENCE_LIMIT: Duration = Duration::from_secs(5);
