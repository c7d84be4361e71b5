//! Batches that unpack to more memory than a replica has: gaps, and no replica dies; what is only large is read.
#![cfg(feature = "lab")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::kafka::{self, Kafka, Record};
use lab::oracle::SourceRecord;
use lab::oracle::corpus::passing_logins;
use lab::pipeline::Pipeline;
use lab::redis::{Options, Redis};
use lab::worker::{Finished, Worker, WorkerOptions};
use serde_json::{Value, json};

#[test]
fn bombs_of_every_codec_are_gaps_and_no_replica_dies() -> Result<()> {
    let kafka = Kafka::start(kafka::Options::new().heap("2g"))?;
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(&kafka, &redis, 3)?;
    kafka.alter_topic(&pipeline.source, "max.message.bytes", "67108864")?;
    let (mut must, mut gaps) = (Vec::new(), Vec::new());
    let mut next = 0;
    for codec in ["gzip", "lz4", "snappy", "zstd"] {
        must.extend(feed(&pipeline, 0, next, 50)?);
        next += 50;
        large_batch(&kafka, codec, 400_000_000).produce(&pipeline.source, 0)?;
        gaps.push(json!({"partition": 0, "from": next, "to": next + 1, "reason": "unreadable"}));
        next += 1;
    }
    must.extend(feed(&pipeline, 0, next, 50)?);
    for partition in [1, 2] {
        must.extend(feed(&pipeline, partition, 0, 500)?);
    }
    let mut replicas = Replicas::start(&pipeline, 2)?;
    let started_at = Instant::now();
    replicas.wait_until_published(&pipeline)?;
    println!("isolated within {:?} and {} deaths", started_at.elapsed(), replicas.deaths);
    assert_eq!(replicas.deaths, 0);
    assert_eq!(pipeline.differences_of(must, Value::Array(gaps))?, Vec::<String>::new());
    // A restart finds nothing left of them, and the audit knows them.
    replicas.stop()?;
    pipeline.run_until_end("again", &[])?;
    let audit = audit(&pipeline)?;
    println!("{}", audit.stdout);
    assert_eq!(audit.code, 0, "{}{}", audit.stdout, audit.stderr);
    Ok(())
}

#[test]
fn large_batches_that_are_too_much_together_are_read_one_after_the_other() -> Result<()> {
    let kafka = Kafka::start(kafka::Options::new().heap("2g"))?;
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(&kafka, &redis, 2)?;
    for partition in [0, 1] {
        feed(&pipeline, partition, 0, 100)?;
        for codec in ["gzip", "lz4", "zstd"] {
            for _ in 0..2 {
                large_batch(&kafka, codec, 60_000_000).produce(&pipeline.source, partition)?;
            }
        }
        feed(&pipeline, partition, 106, 100)?;
    }
    let mut replicas = Replicas::start(&pipeline, 1)?;
    let document = replicas.wait_until_published(&pipeline)?;
    println!("{} deaths", replicas.deaths);
    assert_eq!(replicas.deaths, 0);
    assert_eq!(document.pointer("/gaps"), Some(&json!([])));
    assert_eq!(document.pointer("/logins/total"), Some(&json!(400)));
    assert_eq!(document.pointer("/records/dead_letters/too_large"), Some(&json!(12)));
    let letters = pipeline.read(&pipeline.dead_letters)?;
    assert_eq!(letters.len(), 12);
    for letter in letters {
        assert_eq!(letter.header("rollcall-value-omitted"), Some(b"60000000".as_slice()));
    }
    Ok(())
}

/// Workers with 256 MiB each, which are started again when they die, as a kubelet does.
struct Replicas {
    options: Vec<WorkerOptions>,
    workers: Vec<Worker>,
    deaths: u32,
}

impl Replicas {
    fn start(pipeline: &Pipeline<'_>, count: usize) -> Result<Self> {
        let option = |number| {
            let options = WorkerOptions::new(&pipeline.config()).memory(256 << 20);
            options.args(&["--name", &format!("w{number}"), "--log-format", "text"])
        };
        let options: Vec<WorkerOptions> = (0..count).map(option).collect();
        let workers = options.iter().cloned().map(Worker::start).collect::<Result<_>>()?;
        Ok(Self { options, workers, deaths: 0 })
    }

    fn wait_until_published(&mut self, pipeline: &Pipeline<'_>) -> Result<Value> {
        let published = pipeline.wait_until_published_while(|| {
            for (options, worker) in self.options.iter().zip(&mut self.workers) {
                if !worker.is_running()? {
                    self.deaths += 1;
                    println!("death {}: {:?}", self.deaths, worker.wait_exit(Duration::ZERO));
                    *worker = Worker::start(options.clone())?;
                }
            }
            Ok(())
        });
        for worker in &self.workers {
            let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid()))?;
            println!("{:?}", status.lines().find(|line| line.starts_with("VmHWM")));
        }
        published.with_context(|| self.workers.iter().map(Worker::stderr).collect::<String>())
    }

    fn stop(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.terminate()?;
        }
        for worker in &mut self.workers {
            assert_eq!(worker.wait_exit(Duration::from_secs(30))?, 0, "{}", worker.stderr());
        }
        Ok(())
    }
}

/// Logins of one partition, which stand at these offsets then.
fn feed(pipeline: &Pipeline<'_>, partition: i32, first: i64, count: i64) -> Result<Vec<SourceRecord>> {
    let records = passing_logins(partition, first, count);
    pipeline.feed(&records)?;
    Ok(records)
}

/// A batch of one record whose value is so long, and packs well.
struct LargeBatch {
    client: kafka::Client,
    record: Record,
}

fn large_batch(kafka: &Kafka, codec: &str, length: usize) -> LargeBatch {
    let client = kafka.client().property("compression.type", codec);
    let client = client.property("message.max.bytes", "1000000000");
    let client = client.property("queue.buffering.max.kbytes", "1000000");
    LargeBatch { client, record: Record::new(vec![b'x'; length]) }
}

impl LargeBatch {
    fn produce(self, topic: &str, partition: i32) -> Result<()> {
        self.client.produce(topic, &[self.record.partition(partition)]).map(drop)
    }
}

fn audit(pipeline: &Pipeline<'_>) -> Result<Finished> {
    Worker::run(WorkerOptions::command(&["audit"]).config(&pipeline.config()), Duration::from_mins(1))
}
