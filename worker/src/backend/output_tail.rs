//! The tails of the topics that are produced to, which tell how far a pipeline got where the group's own offsets do not.
//!
//! Owns one short-lived reader. It never writes.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use insights::spec::PipelineSpec;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::Context;
use crate::client::{self, Quiet};
use crate::protocol::progress::Tails;
use crate::protocol::start::{Halt, Plan};

/// The source offsets behind the last records of a partition that stand in the output and among the dead letters, each at
/// least what the plan says already.
pub(super) async fn tails_of(context: &Arc<Context>, partition: i32, plan: &Plan) -> Result<Tails, Halt> {
    let spec = Arc::clone(&context.spec);
    let name = context.name.clone();
    let (incarnation, known) = (plan.incarnation.clone(), plan.kafka_next);
    let searched = tokio::task::spawn_blocking(move || {
        let search = |topic| {
            Search { spec: &spec, name: &name, topic, partition, incarnation: &incarnation, known }.run()
        };
        let tails =
            Tails { output: search(&spec.output.topic)?, dead_letters: search(&spec.dead_letter.topic)? };
        Ok::<Tails, KafkaError>(tails)
    });
    let found = match searched.await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    found.map_err(|reason| Halt::OutputUnreadable { reason })
}

struct Search<'a> {
    spec: &'a PipelineSpec,
    name: &'a str,
    topic: &'a str,
    partition: i32,
    incarnation: &'a str,
    known: i64,
}

impl Search<'_> {
    /// Looks back from the end, twice as far each time, until a record from below `known` comes.
    fn run(&self) -> Result<i64, KafkaError> {
        let consumer: Reader = client::control(self.spec, self.name).create_with_context(Quiet)?;
        let metadata = consumer.fetch_metadata(Some(self.topic), CALL_LIMIT)?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let Ok(count @ 1..) = i32::try_from(count) else {
            return Ok(self.known);
        };
        let place = self.partition % count;
        let (low, high) = consumer.fetch_watermarks(self.topic, place, CALL_LIMIT)?;
        let mut window = WINDOW_RECORDS;
        loop {
            let from = (high - window).max(low);
            let (next, reached) = self.read(&consumer, place, from, high)?;
            if reached || from == low {
                return Ok(next);
            }
            window *= 2;
        }
    }

    /// The source offset behind the last of our records, and whether one from below `known` came.
    fn read(&self, consumer: &Reader, place: i32, from: i64, high: i64) -> Result<(i64, bool), KafkaError> {
        let (mut next, mut reached) = (self.known, false);
        for_each(consumer, (self.topic, place), from..high, |message| {
            if let Some(offset) = self.source_offset(message) {
                reached |= offset < self.known;
                next = next.max(offset + 1);
            }
        })?;
        Ok((next, reached))
    }

    /// The source offset of one of our records of the partition.
    fn source_offset(&self, message: &BorrowedMessage<'_>) -> Option<i64> {
        let (incarnation, partition, offset) = source_of(message)?;
        (incarnation == self.incarnation && partition == self.partition).then_some(offset)
    }
}

/// Reads these offsets of a partition.
pub(super) fn for_each(
    consumer: &Reader,
    (topic, partition): (&str, i32),
    offsets: Range<i64>,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), KafkaError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offsets.start))?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + READ_LIMIT;
    loop {
        match consumer.poll(CALL_LIMIT) {
            Some(Ok(message)) => {
                take(&message);
                if message.offset() + 1 >= offsets.end {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => return Err(error),
            None if Instant::now() < deadline => {}
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
}

/// What a record that was produced says of its source: incarnation, partition and offset. The last header of the name counts.
pub(super) fn source_of<'a>(message: &'a BorrowedMessage<'_>) -> Option<(&'a str, i32, i64)> {
    let source = message.headers()?.iter().filter(|header| header.key == SOURCE).last()?.value?;
    let mut parts = std::str::from_utf8(source).ok()?.split(':');
    Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What reads.
pub(super) type Reader = BaseConsumer<Quiet>;

const SOURCE: &str = "rollcall-source";
const WINDOW_RECORDS: i64 = 1000;
const CALL_LIMIT: Duration = Duration::from_secs(5);
const READ_LIMIT: Duration = Duration::from_mins(1);
