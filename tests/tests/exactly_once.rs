//! Exactly once, whatever is killed: every record once in the output, in the dead letters and in Redis, and every
//! document that is read meanwhile the exact answer for its positions.
#![cfg(feature = "lab")]

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use lab::kafka::Kafka;
use lab::oracle::corpus::Corpus;
use lab::oracle::{SourceRecord, compare_document};
use lab::pipeline::{Pipeline, positions};
use lab::redis::{Options, Redis};
use lab::worker::Worker;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// What the rounds have hit, by the words of the workers' logs.
const SEEN: [(&str, &str); 5] = [
    ("an aborted transaction", "transaction aborted"),
    ("a fenced commit", "commit fenced"),
    ("a refused compare-and-set", "compare-and-set refused"),
    ("a replay below a gate", "below a gate"),
    ("a rebalance with an open transaction", "open_transaction=true"),
];

#[test]
fn killed_and_stopped_workers_lose_nothing_and_double_nothing() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 6)?;
    let mut random = StdRng::seed_from_u64(7);
    let mut logs = String::new();
    let mut workers: Vec<Worker> =
        (0..3).map(|number| pipeline.worker(&format!("w{number}"), &[])).collect::<Result<_>>()?;
    for round in 0..ROUNDS {
        pipeline.feed(&logins(round, 6, 400))?;
        let victim = random.random_range(0..workers.len());
        let worker = workers.get_mut(victim).context("there is such a worker")?;
        thread::sleep(Duration::from_millis(random.random_range(50..1200)));
        match round % 3 {
            0 => worker.kill()?,
            1 => {
                worker.terminate()?;
                worker.wait_exit(DEADLINE)?;
            }
            _ => {
                // A zombie: longer asleep than its session lasts, then awake with a full batch.
                worker.pause()?;
                thread::sleep(Duration::from_secs(11));
                worker.resume()?;
            }
        }
        if round % 3 != 2 {
            logs.push_str(&worker.stderr());
            *worker = pipeline.worker(&format!("w{victim}"), &[])?;
        }
        pipeline.feed(&logins(100 + round, 6, 200))?;
        watch(&pipeline, Duration::from_secs(2))?;
    }
    pipeline.wait_until_published()?;
    for worker in &mut workers {
        worker.terminate()?;
    }
    for worker in &mut workers {
        assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
        logs.push_str(&worker.stderr());
    }
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    for (what, words) in SEEN {
        println!("{:>5} × {what}", logs.matches(words).count());
    }
    Ok(())
}

/// Reads the document again and again: each must be exact for its positions, and none may go backwards.
fn watch(pipeline: &Pipeline<'_>, time: Duration) -> Result<()> {
    let mut documents = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(document) = pipeline.document()?
            && documents.last() != Some(&document)
        {
            documents.push(document);
        }
        thread::sleep(Duration::from_millis(50));
    }
    let mut truth = pipeline.truth()?;
    for document in &documents {
        let expected = truth.advance_to(&positions(document)).map_err(|error| anyhow::anyhow!(error))?;
        assert_eq!(compare_document(&expected, document), Vec::<String>::new());
    }
    Ok(())
}

fn logins(seed: u64, partitions: i32, count: usize) -> Vec<SourceRecord> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let mut corpus = Corpus::new(seed, i64::try_from(now.as_millis()).expect("the time fits"), 65_536, 5);
    (0..partitions).flat_map(|partition| corpus.records(partition, 0, count)).collect()
}

const ROUNDS: u64 = 12;
const DEADLINE: Duration = Duration::from_secs(30);
