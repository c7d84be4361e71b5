//! The log beside the work: how far it reaches, how old its next record is, and whether the services answer.
//!
//! Owns the questions behind lag and readiness, once a second. It runs only where somebody can see the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use insights::spec::PipelineSpec;
use insights::store::Store;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{self, Quiet};
use crate::control::Control;
use crate::telemetry::{Log, Place, Service, Telemetry};

/// What is asked, and who wants to know.
pub(crate) struct Watch {
    /// The worker's own specification.
    pub(crate) spec: Arc<PipelineSpec>,
    /// The worker's name.
    pub(crate) name: String,
    /// The store.
    pub(crate) store: Store,
    /// The client that asks Kafka.
    pub(crate) control: Arc<Control>,
    /// Where the answers go.
    pub(crate) telemetry: Telemetry,
}

/// Asks for as long as the worker lives, from before its start is over.
pub(crate) async fn watch(watch: Watch) {
    let watch = Arc::new(watch);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut former = BTreeMap::new();
    loop {
        tick.tick().await;
        let telemetry = &watch.telemetry;
        telemetry.health.answered(Service::Redis, watch.store.tokens(&[0]).await);
        let places = telemetry.metrics.places.get();
        let (shared, before) = (Arc::clone(&watch), std::mem::replace(&mut former, places.clone()));
        let asked = tokio::task::spawn_blocking(move || look(&shared, &places, &before)).await;
        let answer = asked.map_err(anyhow::Error::from).and_then(|answer| answer);
        for (partition, log) in telemetry.health.answered(Service::Kafka, answer).unwrap_or_default() {
            telemetry.metrics.places.set_log(partition, log);
        }
    }
}

fn look(
    watch: &Watch,
    places: &BTreeMap<i32, Place>,
    before: &BTreeMap<i32, Place>,
) -> Result<BTreeMap<i32, Log>, anyhow::Error> {
    if places.is_empty() {
        watch.control.logs(&[0])?;
        return Ok(BTreeMap::new());
    }
    let partitions: Vec<i32> = places.keys().copied().collect();
    let mut logs = BTreeMap::new();
    let mut looked_at = 0;
    for (partition, found) in watch.control.logs(&partitions)? {
        let mut log = Log { start: found.start, end: found.end, head: None };
        let Some(place) = places.get(&partition) else { continue };
        let stands = before.get(&partition).is_some_and(|before| before.kafka_next == place.kafka_next);
        if stands && log.end > place.kafka_next && looked_at < LOOKED_AT_MAX {
            looked_at += 1;
            log.head = timestamp_behind(watch, partition, place.kafka_next);
        }
        logs.insert(partition, log);
    }
    Ok(logs)
}

/// The first record at or behind an offset, and its timestamp.
fn timestamp_behind(watch: &Watch, partition: i32, offset: i64) -> Option<(i64, i64)> {
    let mut config = client::control(&watch.spec, &watch.name);
    config.set("fetch.message.max.bytes", "1024");
    let reader: BaseConsumer<Quiet> = config.create_with_context(Quiet).ok()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&watch.spec.source.topic, partition, Offset::Offset(offset)).ok()?;
    reader.assign(&list).ok()?;
    let message = reader.poll(LOOK_LIMIT)?.ok()?;
    Some((message.offset(), message.timestamp().to_millis()?))
}

/// How often the log is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// How many partitions that stand still are looked into at each turn.
const LOOKED_AT_MAX: usize = 16;

/// How long the record behind a position may take to come.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
