//! What librdkafka holds in its queues, by its own statistics (STATISTICS.md).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};

use rdkafka::bindings as sys;
use serde::Deserialize;

/// Records in a client's queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// How many.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Queues {
    /// None when the statistics are not what is expected.
    fn read(json: &[u8]) -> Option<Self> {
        let statistics: Statistics = serde_json::from_slice(json).ok()?;
        let mut queues = Self { records: statistics.msg_cnt, bytes: statistics.msg_size };
        // All partitions of a consumer share one queue, and each shows it whole.
        for partition in statistics.topics.into_values().flat_map(|topic| topic.partitions.into_values()) {
            queues.records = queues.records.max(partition.fetchq_cnt);
            queues.bytes = queues.bytes.max(partition.fetchq_size);
        }
        Some(queues)
    }
}

/// A client's opaque that keeps what the latest statistics said.
pub(super) trait HoldsQueues {
    /// Where it is kept.
    fn queues(&self) -> &Cell<Queues>;
}

/// librdkafka's callback for statistics, of a client whose opaque is an `H`.
pub(super) unsafe extern "C" fn counted<H: HoldsQueues>(
    _client: *mut sys::rd_kafka_t,
    json: *mut c_char,
    length: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka passes its statistics and the opaque that was set at creation.
    let (holder, json) =
        unsafe { (&*opaque.cast::<H>(), std::slice::from_raw_parts(json.cast_const().cast(), length)) };
    holder.queues().set(Queues::read(json).unwrap_or_default());
    // librdkafka keeps the text, and frees it.
    0
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    msg_cnt: u64,
    #[serde(default)]
    msg_size: u64,
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: BTreeMap<String, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    #[serde(default)]
    fetchq_cnt: u64,
    #[serde(default)]
    fetchq_size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producers_own_and_a_consumers_shared_queue_are_read() {
        let producer = br#"{"name":"p","msg_cnt":3,"msg_size":700,"topics":{}}"#;
        assert_eq!(Queues::read(producer), Some(Queues { records: 3, bytes: 700 }));
        let consumer = br#"{"msg_cnt":0,"msg_size":0,"topics":{"t":{"partitions":{
            "0":{"fetchq_cnt":9,"fetchq_size":90,"txbytes":1},"1":{"fetchq_cnt":9,"fetchq_size":90}}}}}"#;
        assert_eq!(Queues::read(consumer), Some(Queues { records: 9, bytes: 90 }));
        assert_eq!(Queues::read(b"no"), None);
    }
}
