//! Sending dead letters back, each once: records and progress go in one transaction.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use insights::spec::PipelineSpec;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::letter::Letter;
use super::partitions;
use super::progress::Progress;
use crate::args::ReplayArguments;
use crate::client::{self, Quiet};
use crate::command::reader::{Reader, Record};
use crate::protocol::delivery::OUTPUT_REFUSED;

/// What a replay did, or would do.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    replayed: u64,
    before: u64,
    refused: u64,
    cut: u64,
    foreign: u64,
}

/// Runs `rollcall dlq replay`.
pub(super) fn run(spec: &PipelineSpec, arguments: &ReplayArguments) -> Result<()> {
    let replay = Replay::new(spec, arguments)?;
    let mut tally = Tally::default();
    for partition in 0..partitions(spec, &spec.dead_letter.topic)? {
        replay.partition(partition, &mut tally)?;
    }
    let verb = if arguments.dry_run { "would be replayed" } else { "replayed" };
    println!("{} dead letters {verb} to `{}`", tally.replayed, spec.source.topic);
    let others = [
        (tally.before, "were replayed before"),
        (
            tally.refused,
            "are logins that are counted already (output_refused): name the reason to replay them too",
        ),
        (
            tally.cut,
            "lack their value, which no topic took: read it from the source topic at the place that `dlq list` names",
        ),
        (tally.foreign, "were not written by Rollcall"),
    ];
    for (count, what) in others {
        if count > 0 {
            println!("{count} {what}");
        }
    }
    Ok(())
}

struct Replay<'a> {
    spec: &'a PipelineSpec,
    arguments: &'a ReplayArguments,
    /// Asks for and names the group whose offsets are the progress.
    member: BaseConsumer<Quiet>,
    group: ConsumerGroupMetadata,
    /// None in a dry run.
    producer: Option<BaseProducer>,
    source_partitions: i32,
}

impl<'a> Replay<'a> {
    fn new(spec: &'a PipelineSpec, arguments: &'a ReplayArguments) -> Result<Self> {
        let mut config = client::control(spec, NAME);
        config.set("group.id", format!("{}.dlq", spec.kafka.group)).set("isolation.level", "read_committed");
        let member: BaseConsumer<Quiet> =
            config.create_with_context(Quiet).context("failed to make a reader")?;
        let group = member.group_metadata().context("the replay's group has no metadata")?;
        let producer = if arguments.dry_run { None } else { Some(producer(spec)?) };
        let source_partitions = partitions(spec, &spec.source.topic)?;
        Ok(Self { spec, arguments, member, group, producer, source_partitions })
    }

    fn partition(&self, partition: i32, tally: &mut Tally) -> Result<()> {
        let reason = self.arguments.reason.as_deref();
        let mut progress = self.committed(partition)?;
        let start = progress.start(reason);
        let mut reader = Reader::open(self.spec, &self.spec.dead_letter.topic, partition, start)?;
        let mut batch: Vec<Letter> = Vec::new();
        let mut next = start;
        while let Some(record) = reader.next()? {
            next = record.offset + 1;
            if let Some(letter) = self.select(&record, &progress, tally) {
                batch.push(letter);
            }
            if batch.len() >= BATCH {
                progress.advance(reason, next);
                self.send(partition, &std::mem::take(&mut batch), &progress)?;
            }
        }
        if next > start {
            progress.advance(reason, next);
            self.send(partition, &batch, &progress)?;
        }
        Ok(())
    }

    fn select(&self, record: &Record, progress: &Progress, tally: &mut Tally) -> Option<Letter> {
        let Some(letter) = Letter::read(record) else {
            tally.foreign += 1;
            return None;
        };
        let wanted = self.arguments.reason.as_deref();
        if wanted.is_some_and(|wanted| wanted != letter.reason) {
            return None;
        }
        let skipped = if progress.is_done(&letter.reason, record.offset) {
            &mut tally.before
        } else if wanted.is_none() && letter.reason == OUTPUT_REFUSED {
            &mut tally.refused
        } else if letter.is_cut {
            &mut tally.cut
        } else {
            tally.replayed += 1;
            return Some(letter);
        };
        *skipped += 1;
        None
    }

    fn committed(&self, partition: i32) -> Result<Progress> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.spec.dead_letter.topic, partition);
        let found =
            self.member.committed_offsets(list, PATIENCE).context("failed to ask what was replayed")?;
        let element = found.elements().into_iter().next();
        let text = element.map(|element| element.metadata().to_owned()).unwrap_or_default();
        Progress::parse(&text).with_context(|| {
            format!("the group `{}.dlq` has offsets of another tool: delete the group", self.spec.kafka.group)
        })
    }

    /// Sends letters and the progress behind them, in one transaction.
    fn send(&self, partition: i32, letters: &[Letter], progress: &Progress) -> Result<()> {
        let Some(producer) = &self.producer else { return Ok(()) };
        producer.begin_transaction().context("failed to begin a transaction")?;
        let sent = self.send_open(producer, partition, letters, progress);
        if sent.is_err()
            && let Err(error) = producer.abort_transaction(PATIENCE)
        {
            tracing::debug!(%error, "failed to abort a replay: the broker does");
        }
        sent
    }

    fn send_open(
        &self,
        producer: &BaseProducer,
        partition: i32,
        letters: &[Letter],
        progress: &Progress,
    ) -> Result<()> {
        for letter in letters {
            self.produce(producer, letter)?;
        }
        let mut list = TopicPartitionList::new();
        let next = progress.start(self.arguments.reason.as_deref());
        list.add_partition_offset(&self.spec.dead_letter.topic, partition, Offset::Offset(next))
            .context("failed to name a partition")?;
        list.elements().into_iter().for_each(|mut element| element.set_metadata(progress.to_text()));
        producer
            .send_offsets_to_transaction(&list, &self.group, PATIENCE)
            .context("failed to note what was replayed")?;
        producer
            .commit_transaction(PATIENCE)
            .context("failed to commit a replay: run it again, nothing goes twice")
    }

    fn produce(&self, producer: &BaseProducer, letter: &Letter) -> Result<()> {
        let Record { key, value, timestamp_ms, headers, .. } = &letter.original;
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.spec.source.topic);
        record.partition = Some(letter.partition % self.source_partitions.max(1));
        record.key = key.as_deref();
        record.payload = value.as_deref();
        record.timestamp = (*timestamp_ms > 0).then_some(*timestamp_ms);
        if !headers.is_empty() {
            let mut owned = OwnedHeaders::new_with_capacity(headers.len());
            for (key, value) in headers {
                owned = owned.insert(Header { key, value: value.as_deref() });
            }
            record.headers = Some(owned);
        }
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    producer.poll(Duration::from_millis(10));
                    record = back;
                }
                Err((error, _)) => {
                    bail!("failed to replay source {}@{}: {error}", letter.partition, letter.offset)
                }
            }
        }
    }
}

fn producer(spec: &PipelineSpec) -> Result<BaseProducer> {
    let id = client::transactional_id(spec, NAME);
    let producer: BaseProducer =
        client::producer(spec, NAME, &id).create().context("failed to make a producer")?;
    producer
        .init_transactions(PATIENCE)
        .with_context(|| format!("failed to take the transactional id `{id}`"))?;
    Ok(producer)
}

const NAME: &str = "dlq-replay";

/// Letters of one transaction.
const BATCH: usize = 1000;

const PATIENCE: Duration = Duration::from_secs(30);
