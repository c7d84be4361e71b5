//! Owns reading a topic while it grows: when each record came to be seen.
//! It never keeps keys or values.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::Kafka;

/// A record as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// When its producer made it.
    pub(super) made_ms: i64,
    /// When a reader of what is committed had it.
    pub(super) came_ms: i64,
}

/// A reader on a thread of its own.
pub(super) struct Tail {
    is_over: Arc<AtomicBool>,
    reader: JoinHandle<Result<Vec<Seen>>>,
}

impl Tail {
    /// Reads a topic from its beginning.
    pub(super) fn start(kafka: &Kafka, topic: &str) -> Result<Self> {
        let client = kafka.client();
        let consumer: BaseConsumer = client
            .config()
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .context("failed to make a reader")?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..client.partitions(topic)? {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment).context("failed to assign a reader its partitions")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let reader = thread::Builder::new().name("lab-tail".to_owned()).spawn(move || read(&consumer, &over));
        Ok(Self { is_over, reader: reader.context("failed to start a thread")? })
    }

    /// Reads until nothing comes for a while, and returns all.
    pub(super) fn finish(self) -> Result<Vec<Seen>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.reader.join().map_err(|_| anyhow!("the reader panicked"))?
    }
}

fn read(consumer: &BaseConsumer, is_over: &AtomicBool) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    let mut quiet = 0;
    loop {
        match consumer.poll(LOOK) {
            Some(message) => {
                quiet = 0;
                let message = message.context("a reader failed")?;
                all.push(Seen {
                    partition: message.partition(),
                    offset: message.offset(),
                    made_ms: message.timestamp().to_millis().unwrap_or(-1),
                    came_ms: now_ms(),
                });
            }
            None if quiet >= QUIET_LOOKS && is_over.load(Ordering::Relaxed) => return Ok(all),
            None => quiet += 1,
        }
    }
}

/// The wall clock, which producers in other processes share.
pub(super) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

const LOOK: Duration = Duration::from_millis(500);
/// Longer than a reader takes to connect.
const QUIET_LOOKS: u32 = 4;
