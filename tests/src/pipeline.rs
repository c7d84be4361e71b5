//! Owns one pipeline under test: its topics, its workers, and the comparison of all that it left with the oracle.
//! It never knows how a worker works.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kafka::{
    self, Committed, Isolation, Kafka, Listener, PlainProducer, Record, Resource, StoredRecord, unique,
};
use crate::oracle::corpus::Corpus;
use crate::oracle::{
    Settings, Sinks, SourceRecord, Truth, audit_output, compare_document, compare_keys, incarnations,
};
use crate::redis::Redis;
use crate::wait::wait_for;
use crate::worker::{Finished, Worker, WorkerOptions};

/// A pipeline on real services.
pub struct Pipeline<'a> {
    kafka: &'a Kafka,
    redis: &'a Redis,
    /// What the oracle goes by.
    pub settings: Settings,
    /// The source topic.
    pub source: String,
    /// The output topic.
    pub output: String,
    /// The dead-letter topic.
    pub dead_letters: String,
    /// What stands within `kafka: {…}` of the configuration file.
    pub connection: String,
    /// The address of Redis in the configuration file.
    pub redis_url: String,
    /// More of the configuration file: whole top-level sections, besides those that [`Self::config`] writes.
    pub more: String,
    partitions: i32,
}

impl<'a> Pipeline<'a> {
    /// A pipeline of its own, with topics of so many partitions.
    pub fn new(kafka: &'a Kafka, redis: &'a Redis, partitions: i32) -> Result<Self> {
        Self::named(kafka, redis, unique("p").to_lowercase(), partitions)
    }

    /// The same with an id of one's own choice.
    pub fn named(kafka: &'a Kafka, redis: &'a Redis, id: String, partitions: i32) -> Result<Self> {
        let settings = Settings { source_topic: format!("{id}-source"), pipeline: id, ..Settings::default() };
        let pipeline = Self::adopt(kafka, redis, settings, partitions);
        let any_time = ("message.timestamp.after.max.ms", "9223372036854775807");
        kafka.create_topic(&pipeline.source, partitions, &[any_time])?;
        kafka.create_topic(&pipeline.output, partitions, &[])?;
        kafka.create_topic(&pipeline.dead_letters, partitions, &[])?;
        Ok(pipeline)
    }

    /// Kafka that lets nobody do what he was not allowed to, for [`Self::guarded`].
    pub fn guarded_kafka() -> Result<Kafka> {
        let (user, password) = USER;
        Kafka::start(kafka::Options::new().scram_user(user, password).access_control())
    }

    /// A pipeline whose workers log in as the user `worker`, who has no rights yet.
    pub fn guarded(kafka: &'a Kafka, redis: &'a Redis, partitions: i32) -> Result<Self> {
        let mut pipeline = Self::new(kafka, redis, partitions)?;
        let (brokers, (user, password)) = (kafka.brokers_of(Listener::SaslPlaintext)?, USER);
        pipeline.connection = format!(
            "brokers: [\"{brokers}\"], sasl: {{mechanism: SCRAM-SHA-256, username: {user}, password: {password}}}"
        );
        Ok(pipeline)
    }

    /// The same with the rights that every worker needs, for a worker `w`.
    pub fn with_rights(kafka: &'a Kafka, redis: &'a Redis, partitions: i32) -> Result<Self> {
        let (pipeline, (user, _)) = (Self::guarded(kafka, redis, partitions)?, USER);
        let transactional_id = format!("{}/w", pipeline.settings.pipeline);
        kafka.allow(user, &["Read"], Resource::Topic(&pipeline.source))?;
        kafka.allow(user, &["Write"], Resource::Topic(&pipeline.output))?;
        kafka.allow(user, &["Write"], Resource::Topic(&pipeline.dead_letters))?;
        kafka.allow(user, &["Read"], Resource::Group(&pipeline.group()))?;
        kafka.allow(user, &["Write", "Describe"], Resource::TransactionalId(&transactional_id))?;
        Ok(pipeline)
    }

    /// A pipeline that is there already, after its services were restarted.
    pub fn adopt(kafka: &'a Kafka, redis: &'a Redis, settings: Settings, partitions: i32) -> Self {
        let id = settings.pipeline.clone();
        let name = |what: &str| format!("{id}-{what}");
        Self {
            kafka,
            redis,
            settings,
            source: name("source"),
            output: name("output"),
            dead_letters: name("dead"),
            connection: format!("brokers: [\"{}\"]", kafka.brokers()),
            redis_url: redis.url(),
            more: String::new(),
            partitions,
        }
    }

    /// The configuration file.
    pub fn config(&self) -> String {
        format!(
            "pipeline: {}\nkafka: {{{}}}\nredis: {{url: \"{}\"}}\nsource: {{topic: {}}}\n\
             output: {{topic: {}}}\ndeadLetter: {{topic: {}}}\n{}",
            self.settings.pipeline,
            self.connection,
            self.redis_url,
            self.source,
            self.output,
            self.dead_letters,
            self.more
        )
    }

    /// Starts a worker.
    pub fn worker(&self, name: &str, arguments: &[&str]) -> Result<Worker> {
        let options = WorkerOptions::new(&self.config()).args(&["--name", name, "--log-format", "text"]);
        Worker::start(options.args(arguments))
    }

    /// Runs a worker to the end of the log; what it printed and what it logged.
    pub fn run_until_end(&self, name: &str, arguments: &[&str]) -> Result<Finished> {
        let options = WorkerOptions::new(&self.config()).args(&["--name", name, "--log-format", "text"]);
        let options = options.args(&["--until-end", "--output", "json"]).args(arguments);
        let finished = Worker::run(options, DEADLINE)?;
        ensure!(finished.code == 0, "exit code {}:\n{}", finished.code, finished.stderr);
        Ok(finished)
    }

    /// Writes records to the source topic, as they are; offsets are the broker's.
    pub fn feed(&self, records: &[SourceRecord]) -> Result<()> {
        let records: Vec<Record> = records.iter().map(record).collect();
        self.kafka.client().produce(&self.source, &records).map(drop)
    }

    /// Writes to the source topic again and again, as [`Self::feed`] does once.
    pub fn feeder(&self) -> Result<Feeder> {
        Ok(Feeder { producer: self.kafka.client().plain_producer()?, topic: self.source.clone() })
    }

    /// All records of the source topic.
    pub fn source_records(&self) -> Result<Vec<SourceRecord>> {
        self.read(&self.source)
    }

    /// All committed records of a topic.
    pub fn read(&self, topic: &str) -> Result<Vec<SourceRecord>> {
        let records = self.kafka.client().read(topic, Isolation::Committed)?;
        Ok(records.into_iter().map(source_record).collect())
    }

    /// Puts other records into a topic, in place of all that it holds.
    pub fn rewrite(&self, topic: &str, records: &[SourceRecord]) -> Result<()> {
        self.kafka.delete_topic(topic)?;
        self.kafka.create_topic(topic, self.partitions, &[])?;
        let records: Vec<Record> = records.iter().map(record).collect();
        self.kafka.client().produce(topic, &records).map(drop)
    }

    /// The published document.
    pub fn document(&self) -> Result<Option<Value>> {
        let text: Option<String> = self.redis.command(&["GET", &self.key("insights")])?;
        text.map(|text| serde_json::from_str(&text).context("the document is no JSON")).transpose()
    }

    /// The name of a public key.
    pub fn key(&self, name: &str) -> String {
        format!("rollcall:{{{}}}:{name}", self.settings.pipeline)
    }

    /// Waits until the published positions are the ends of the log.
    pub fn wait_until_published(&self) -> Result<Value> {
        self.wait_until_published_while(|| Ok(()))
    }

    /// The same, while something else is looked after.
    pub fn wait_until_published_while(&self, mut also: impl FnMut() -> Result<()>) -> Result<Value> {
        let ends = self.kafka.client().log_ends(&self.source, Isolation::Committed)?;
        wait_for("the insights to reach the log's end", DEADLINE, || {
            also()?;
            let document = self.document()?.context("nothing is published")?;
            let positions = positions(&document);
            for (partition, ends) in &ends {
                let at = positions.get(partition).copied().unwrap_or(0);
                ensure!(at == ends.end, "partition {partition} is at {at} of {}", ends.end);
            }
            Ok(document)
        })
    }

    /// What the group has committed, by partition.
    pub fn committed(&self) -> Result<BTreeMap<i32, Committed>> {
        self.kafka.committed(&self.group(), &self.source)
    }

    /// The consumer group.
    pub fn group(&self) -> String {
        format!("rollcall.{}", self.settings.pipeline)
    }

    /// Asks a worker to end, which it does well, and everything is there once and in order.
    pub fn is_whole(&self, worker: &mut Worker) -> Result<()> {
        worker.terminate()?;
        let code = worker.wait_exit(END_DEADLINE)?;
        ensure!(code == 0, "exit code {code}:\n{}", worker.stderr());
        let differences = self.differences()?;
        ensure!(differences.is_empty(), "{differences:#?}\n{}", worker.stderr());
        Ok(())
    }

    /// Everything that differs from the oracle: both topics, the document and all public keys.
    pub fn differences(&self) -> Result<Vec<String>> {
        self.differences_of(self.source_records()?, Value::Array(Vec::new()))
    }

    /// The same where the source topic does not tell the whole truth: the records that must have been counted and delivered,
    /// and the document's gaps.
    pub fn differences_of(&self, source: Vec<SourceRecord>, gaps: Value) -> Result<Vec<String>> {
        let document = self.document()?.context("nothing is published")?;
        let mut differences = self.topic_differences(&source, &document)?;
        let mut logs: BTreeMap<i32, Vec<SourceRecord>> = BTreeMap::new();
        for record in source {
            logs.entry(record.partition).or_default().push(record);
        }
        let mut expected = crate::oracle::document(&self.settings, &logs, &positions(&document));
        if let Some(member) = expected.document.get_mut("gaps") {
            *member = gaps;
        }
        differences.extend(compare_document(&expected, &document));
        differences.extend(compare_keys(&expected, &self.public_keys()?));
        Ok(differences)
    }

    fn topic_differences(&self, source: &[SourceRecord], document: &Value) -> Result<Vec<String>> {
        let (output, dead_letters) = (self.read(&self.output)?, self.read(&self.dead_letters)?);
        let sinks = Sinks {
            output: &output,
            output_partitions: self.partitions,
            dead_letters: &dead_letters,
            dead_letter_partitions: self.partitions,
            incarnations: &incarnations(document),
            may_refuse: false,
        };
        Ok(audit_output(&self.settings, source, &sinks))
    }

    /// All public keys with their content, but for the document and the reports.
    pub fn public_keys(&self) -> Result<BTreeMap<String, BTreeMap<String, u64>>> {
        let names: Vec<String> = self.redis.command(&["KEYS", &self.key("*")])?;
        let mut keys = BTreeMap::new();
        for name in names {
            let kind: String = self.redis.command(&["TYPE", &name])?;
            let content: BTreeMap<String, u64> = match kind.as_str() {
                "zset" => self.redis.command(&["ZRANGE", &name, "0", "-1", "WITHSCORES"])?,
                "hash" if !name.ends_with(":workers") => self.redis.command(&["HGETALL", &name])?,
                _ => continue,
            };
            keys.insert(name, content);
        }
        Ok(keys)
    }

    /// The truth over the source as it stands, for documents that are read while workers run.
    pub fn truth(&self) -> Result<Truth> {
        let mut truth = Truth::new(self.settings.clone());
        for record in self.source_records()? {
            truth.append(record);
        }
        Ok(truth)
    }
}

/// Writes to a pipeline's source topic.
pub struct Feeder {
    producer: PlainProducer,
    topic: String,
}

impl Feeder {
    /// Writes records and waits until they are in the log.
    pub fn feed(&self, records: &[SourceRecord]) -> Result<()> {
        let records: Vec<Record> = records.iter().map(record).collect();
        self.producer.produce(&self.topic, &records).map(drop)
    }

    /// Writes `each` records of the corpus to each of so many partitions, `pause` after `pause`, until `is_over` or `limit`.
    pub fn feed_until(
        &self,
        is_over: &AtomicBool,
        corpus: &mut Corpus,
        (partitions, each): (i32, usize),
        pause: Duration,
        limit: Duration,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
            let records: Vec<SourceRecord> =
                (0..partitions).flat_map(|partition| corpus.records(partition, 0, each)).collect();
            self.feed(&records)?;
            thread::sleep(pause);
        }
        Ok(())
    }
}

/// A document's positions.
pub fn positions(document: &Value) -> BTreeMap<i32, i64> {
    let positions = document.get("positions").and_then(Value::as_object);
    let place = |(partition, next): (&String, &Value)| Some((partition.parse().ok()?, next.as_i64()?));
    positions.into_iter().flatten().filter_map(place).collect()
}

fn record(source: &SourceRecord) -> Record {
    let mut record =
        source.value.clone().map_or_else(Record::tombstone, Record::new).partition(source.partition);
    if source.timestamp_ms > 0 {
        record = record.timestamp(source.timestamp_ms);
    }
    if let Some(key) = &source.key {
        record = record.key(key.clone());
    }
    for (name, value) in &source.headers {
        record = match value {
            Some(value) => record.header(name, value.clone()),
            None => record.null_header(name),
        };
    }
    record
}

fn source_record(stored: StoredRecord) -> SourceRecord {
    SourceRecord {
        partition: stored.position.partition,
        offset: stored.position.offset,
        timestamp_ms: stored.timestamp_ms.unwrap_or(-1),
        key: stored.key,
        value: stored.value,
        headers: stored.headers,
    }
}

const USER: (&str, &str) = ("worker", "w");

const DEADLINE: Duration = Duration::from_mins(2);

const END_DEADLINE: Duration = Duration::from_mins(1);
