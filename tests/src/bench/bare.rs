//! Owns the plain loops that Rollcall is measured against: the same client, settings, batch call and transactions, and none
//! of its guarantees about Redis, restarts or bad input.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use insights::spec::{self, Overrides, Sources};
use rollcall_worker::client::{
    self, Batch, Commit, Consumer, Headers, Message, Outgoing, Position, Producer, RebalanceHandler, Topic,
};

use super::parse;

/// What the loop does with each record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Forwards this share of the records as they are.
    Forward(f64),
    /// Parses every record with `serde_json`, and writes those that pass the default filter.
    Parse,
}

/// Runs a loop over `records` source records with a worker's configuration file.
pub fn run(config: &Path, work: Work, records: u64) -> Result<()> {
    let text = fs::read_to_string(config).with_context(|| format!("failed to read {}", config.display()))?;
    let sources = Sources { environment: &|_| None, file: &|path| fs::read_to_string(path) };
    let spec = spec::read(&text, &Overrides::default(), &sources)
        .map_err(|errors| anyhow::anyhow!("{}: {errors}", config.display()))?;
    let consumer = Consumer::new(&client::consumer(&spec, NAME), &spec.source.topic)?;
    let id = client::transactional_id(&spec, NAME);
    let producer = Producer::new(&client::producer(&spec, NAME, &id))?;
    producer.init_transactions(PATIENCE)?;
    let output = producer.topic(&spec.output.topic);
    let mut bare = Bare { producer: &producer, output, work, credit: 0.0, buffer: Vec::new() };
    let mut assignment = Assignment::default();
    consumer.subscribe()?;
    bare.work(&consumer, &mut assignment, records)?;
    consumer.close(&mut assignment);
    Ok(())
}

struct Bare<'a> {
    producer: &'a Producer,
    output: Topic,
    work: Work,
    /// How much of a record is to be forwarded by now.
    credit: f64,
    buffer: Vec<u8>,
}

impl Bare<'_> {
    fn work(&mut self, consumer: &Consumer, assignment: &mut Assignment, records: u64) -> Result<()> {
        let mut batch = Batch::with_capacity(BATCH_RECORDS);
        let mut read = 0;
        let mut is_open = false;
        let mut committed_at = Instant::now();
        let end = committed_at + PATIENCE;
        while read < records {
            ensure!(Instant::now() < end, "{read} of {records} records came in {PATIENCE:?}");
            consumer.poll(&mut batch, BEAT, assignment);
            if !batch.is_empty() && !is_open {
                self.producer.begin()?;
                is_open = true;
            }
            for message in batch.iter() {
                if let Some(error) = message.error() {
                    anyhow::bail!("{error}: {}", message.error_text());
                }
                assignment.read(message);
                self.take(message)?;
                read += 1;
            }
            self.producer.poll(Duration::ZERO);
            if is_open && (committed_at.elapsed() >= COMMIT_EVERY || read >= records) {
                committed_at = Instant::now();
                let generation = consumer.generation().context("not a member of the group")?;
                let offsets = assignment.take_offsets();
                self.producer.send_offsets(consumer.topic(), &offsets, &generation, PATIENCE)?;
                self.producer.commit(PATIENCE)?;
                is_open = false;
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Message<'_>) -> Result<()> {
        let value = match self.work {
            Work::Forward(share) => {
                self.credit += share;
                if self.credit < 1.0 {
                    return Ok(());
                }
                self.credit -= 1.0;
                message.value()
            }
            Work::Parse => {
                let value = message.value().unwrap_or_default();
                if !parse::transform(value, &mut self.buffer) {
                    return Ok(());
                }
                Some(self.buffer.as_slice())
            }
        };
        self.producer.produce(Outgoing {
            topic: &self.output,
            partition: message.partition(),
            key: message.key(),
            value,
            timestamp_ms: message.timestamp_ms(),
            headers: Headers::of(message),
            origin: 0,
        })?;
        Ok(())
    }
}

/// Reads each partition from its start.
#[derive(Default)]
struct Assignment {
    /// The next offset of each partition, and whether it moved since the last commit.
    next: Vec<(Position, bool)>,
}

impl Assignment {
    fn read(&mut self, message: Message<'_>) {
        let next = Position { partition: message.partition(), offset: message.offset() + 1 };
        match self.next.iter_mut().find(|(known, _)| known.partition == next.partition) {
            Some(known) => *known = (next, true),
            None => self.next.push((next, true)),
        }
    }

    fn take_offsets(&mut self) -> Vec<Commit> {
        let moved = self.next.iter_mut().filter_map(|(position, moved)| {
            std::mem::take(moved).then(|| Commit {
                partition: position.partition,
                offset: position.offset,
                metadata: String::new(),
            })
        });
        moved.collect()
    }
}

impl RebalanceHandler for Assignment {
    fn assigned(&mut self, consumer: &Consumer, partitions: &[i32]) {
        let starts: Vec<Position> =
            partitions.iter().map(|&partition| Position { partition, offset: 0 }).collect();
        if let Err(error) = consumer.assign(&starts) {
            eprintln!("lab: {error}");
        }
    }

    fn revoked(&mut self, _consumer: &Consumer, partitions: &[i32], _lost: bool) -> Vec<i32> {
        partitions.to_vec()
    }
}

const NAME: &str = "bare";

/// As the pump has them (`worker/src/pump/mod.rs`).
const BATCH_RECORDS: usize = 4096;
const BEAT: Duration = Duration::from_millis(20);
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(5);
