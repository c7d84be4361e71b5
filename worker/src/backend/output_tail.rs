//! The tail of the output, which tells how far a pipeline got when the group's own offsets are gone.
//!
//! Owns one short-lived reader. It never writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use insights::spec::PipelineSpec;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::Context;
use crate::client;
use crate::protocol::start::{Halt, Plan};

/// The source offset behind the last record of a partition that stands in the output or among the dead letters, at
/// least what the plan says already.
pub(super) async fn next_of(context: &Arc<Context>, partition: i32, plan: &Plan) -> Result<i64, Halt> {
    let spec = Arc::clone(&context.spec);
    let name = context.name.clone();
    let (incarnation, known) = (plan.incarnation.clone(), plan.kafka_next);
    let searched = tokio::task::spawn_blocking(move || {
        let mut next = known;
        for topic in [&spec.output.topic, &spec.dead_letter.topic] {
            let search =
                Search { spec: &spec, name: &name, topic, partition, incarnation: &incarnation, known };
            next = next.max(search.run()?);
        }
        Ok::<i64, KafkaError>(next)
    });
    let found = match searched.await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let next = found.map_err(|reason| Halt::OutputUnreadable { reason })?;
    tracing::info!(
        partition,
        mirrored = known,
        next,
        "the group's offsets are gone: going on from the output's tail"
    );
    Ok(next)
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
        let consumer: BaseConsumer = client::control(self.spec, self.name).create()?;
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
    fn read(
        &self,
        consumer: &BaseConsumer,
        place: i32,
        from: i64,
        high: i64,
    ) -> Result<(i64, bool), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(self.topic, place, Offset::Offset(from))?;
        consumer.assign(&list)?;
        let deadline = Instant::now() + READ_LIMIT;
        let (mut next, mut reached) = (self.known, false);
        if from >= high {
            return Ok((next, reached));
        }
        loop {
            match consumer.poll(CALL_LIMIT) {
                Some(Ok(message)) => {
                    if let Some(offset) = self.source_offset(&message) {
                        reached |= offset < self.known;
                        next = next.max(offset + 1);
                    }
                    if message.offset() + 1 >= high {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(error),
                None if Instant::now() < deadline => {}
                None => {
                    return Err(KafkaError::MessageConsumption(
                        rdkafka::types::RDKafkaErrorCode::OperationTimedOut,
                    ));
                }
            }
        }
        Ok((next, reached))
    }

    /// The source offset of one of our records of the partition; the last header of the name counts.
    fn source_offset(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> Option<i64> {
        let headers = message.headers()?;
        let source = headers.iter().filter(|header| header.key == SOURCE).last()?.value?;
        let mut parts = std::str::from_utf8(source).ok()?.split(':');
        let is_ours = parts.next()? == self.incarnation && parts.next()?.parse() == Ok(self.partition);
        is_ours.then(|| parts.next()?.parse().ok()).flatten()
    }
}

const SOURCE: &str = "rollcall-source";
const WINDOW_RECORDS: i64 = 1000;
const CALL_LIMIT: Duration = Duration::from_secs(5);
const READ_LIMIT: Duration = Duration::from_mins(1);
