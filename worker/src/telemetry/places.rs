//! What a scrape shows of each partition: positions, lag, and how far retention is.
//!
//! Owns the table that the pump and the watch of the log fill in. A partition that is given up is gone from the next scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::declarations::declaration;
use crate::clock::now_ms;

/// Where a partition stands, as the pump knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The next offset that Kafka has committed.
    pub(crate) kafka_next: i64,
    /// The next offset of the state in Redis.
    pub(crate) redis_next: i64,
    /// The timestamp of the last counted record in milliseconds; -1 when unknown.
    pub(crate) timestamp_ms: i64,
}

/// What the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Its oldest offset.
    pub(crate) start: i64,
    /// Its last stable offset.
    pub(crate) end: i64,
    /// The record at an offset that was looked at, and its timestamp in milliseconds.
    pub(crate) head: Option<(i64, i64)>,
}

/// All partitions of a worker.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<BTreeMap<i32, (Place, Option<Log>)>>);

impl Places {
    /// The pump's partitions, all of them.
    pub(crate) fn set(&self, places: impl Iterator<Item = (i32, Place)>) {
        let mut table = self.lock();
        let former = std::mem::take(&mut *table);
        for (partition, place) in places {
            let log = former.get(&partition).and_then(|(_, log)| *log);
            table.insert(partition, (place, log));
        }
    }

    /// What the log of a partition says now.
    pub(crate) fn set_log(&self, partition: i32, log: Log) {
        if let Some((_, known)) = self.lock().get_mut(&partition) {
            *known = Some(log);
        }
    }

    /// Where each partition stands.
    pub(crate) fn get(&self) -> BTreeMap<i32, Place> {
        self.lock().iter().map(|(partition, (place, _))| (*partition, *place)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, (Place, Option<Log>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records that are not committed yet.
fn lag_records(place: Place, log: Log) -> i64 {
    (log.end - place.kafka_next).max(0)
}

/// The age of the oldest of them. While the partition moves, the last counted record stands for the next one; when it does
/// not, that one has been looked at.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of some years are exact")]
fn lag_seconds(place: Place, log: Log, now_ms: i64) -> f64 {
    if lag_records(place, log) == 0 {
        return 0.0;
    }
    let timestamp_ms = match log.head {
        Some((offset, timestamp_ms)) if offset >= place.kafka_next => timestamp_ms,
        _ => place.timestamp_ms,
    };
    if timestamp_ms < 0 { 0.0 } else { (now_ms - timestamp_ms).max(0) as f64 / 1000.0 }
}

impl Collector for Places {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (table, now_ms) = (self.lock().clone(), now_ms());
        let known =
            || table.iter().filter_map(|(partition, (place, log))| log.map(|log| (*partition, *place, log)));
        let mut gauge = start(&mut encoder, "rollcall_lag_records")?;
        for (partition, place, log) in known() {
            put(&mut gauge, partition, lag_records(place, log))?;
        }
        let mut gauge = start(&mut encoder, "rollcall_lag")?;
        for (partition, place, log) in known() {
            let seconds = ConstGauge::new(lag_seconds(place, log, now_ms));
            seconds.encode(gauge.encode_family(&[("partition", partition.to_string())])?)?;
        }
        let mut gauge = start(&mut encoder, "rollcall_replay_headroom_records")?;
        for (partition, place, log) in known() {
            put(&mut gauge, partition, place.kafka_next.min(place.redis_next) - log.start)?;
        }
        let mut gauge = start(&mut encoder, "rollcall_position")?;
        for (partition, (place, _)) in &table {
            for (sink, next) in [("kafka", place.kafka_next), ("redis", place.redis_next)] {
                let labels = [("partition", partition.to_string()), ("sink", sink.to_owned())];
                ConstGauge::new(next).encode(gauge.encode_family(&labels)?)?;
            }
        }
        let memory = start(&mut encoder, "rollcall_resident_memory")?;
        ConstGauge::new(resident_bytes()).encode(memory)
    }
}

fn start<'a>(encoder: &'a mut DescriptorEncoder<'_>, name: &str) -> Result<MetricEncoder<'a>, fmt::Error> {
    let declared = declaration(name);
    encoder.encode_descriptor(declared.name, declared.help, declared.unit.as_ref(), MetricType::Gauge)
}

fn put(gauge: &mut MetricEncoder<'_>, partition: i32, value: i64) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(gauge.encode_family(&[("partition", partition.to_string())])?)
}

/// From `/proc/self/statm`, whose second figure counts pages in memory; 0 where there is none.
fn resident_bytes() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * PAGE_BYTES
}

/// Of every Linux that Rollcall is built for.
const PAGE_BYTES: i64 = 4096;
