//! Exactly once, whatever is killed: every record once in the output, in the dead letters and in Redis, and every
//! document that is read meanwhile the exact answer for its positions.
#![cfg(feature = "lab")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::kafka::Kafka;
use lab::oracle::corpus::Corpus;
use lab::oracle::{SourceRecord, compare_document};
use lab::pipeline::{Pipeline, positions};
use lab::redis::{Options, Redis};
use lab::worker::Worker;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

/// What the rounds must have hit, by the words of the workers' logs.
const MUST_BE_SEEN: [(&str, &[&str]); 5] = [
    (
        "an aborted transaction",
        &["transaction aborted", "the transaction of a worker that was away has been ended"],
    ),
    ("a fenced commit", &["commit fenced", "has been fenced"]),
    ("a refused compare-and-set", &["compare-and-set refused"]),
    ("a replay below a gate", &["below a gate"]),
    ("a rebalance with an open transaction", &["open_transaction=true"]),
];

fn count(logs: &str, words: &[&str]) -> usize {
    words.iter().map(|words| logs.matches(words).count()).sum()
}

#[test]
fn killed_and_stopped_workers_lose_nothing_and_double_nothing() -> Result<()> {
    let redis = Redis::start(Options::new())?;
    let pipeline = Pipeline::new(Kafka::shared(), &redis, 6)?;
    let is_over = AtomicBool::new(false);
    let (logs, documents) = thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&pipeline, &is_over));
        let watcher = scope.spawn(|| watch(&pipeline, &is_over));
        let rounds = rounds(&pipeline, &redis);
        is_over.store(true, Ordering::Relaxed);
        feeder.join().expect("the feeder does not panic")?;
        let documents = watcher.join().expect("the watcher does not panic")?;
        let (mut workers, mut logs) = rounds?;
        let published = pipeline.wait_until_published();
        published.with_context(|| workers.iter().map(Worker::stderr).collect::<String>())?;
        for worker in &mut workers {
            worker.terminate()?;
        }
        for worker in &mut workers {
            assert_eq!(worker.wait_exit(DEADLINE)?, 0, "{}", worker.stderr());
            logs.push_str(&worker.stderr());
        }
        Ok::<_, anyhow::Error>((logs, documents))
    })?;
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    let mut truth = pipeline.truth()?;
    for document in &documents {
        let expected = truth.advance_to(&positions(document)).map_err(|error| anyhow::anyhow!(error))?;
        assert_eq!(compare_document(&expected, document), Vec::<String>::new());
    }
    println!("{} documents were exact for their positions", documents.len());
    for (what, words) in MUST_BE_SEEN {
        let seen = count(&logs, words);
        println!("{seen:>5} × {what}");
        assert!(seen > 0, "the rounds never hit {what}:\n{logs}");
    }
    Ok(())
}

/// Kills, stops and freezes workers, one a round, until all that must be seen was seen; returns those that run then, and what
/// the others said.
fn rounds(pipeline: &Pipeline<'_>, redis: &Redis) -> Result<(Vec<Worker>, String)> {
    let mut random = StdRng::seed_from_u64(7);
    let mut logs = String::new();
    let mut workers: Vec<Worker> =
        (0..3).map(|number| pipeline.worker(&format!("w{number}"), &[])).collect::<Result<_>>()?;
    for round in 0..ROUNDS_MAX {
        let said = logs.clone() + &workers.iter().map(Worker::stderr).collect::<String>();
        if round >= ROUNDS && MUST_BE_SEEN.iter().all(|(_, words)| count(&said, words) > 0) {
            break;
        }
        thread::sleep(Duration::from_millis(random.random_range(1000..3000)));
        let victim = random.random_range(0..workers.len());
        let worker = workers.get_mut(victim).context("there is such a worker")?;
        match round % 4 {
            0 => worker.kill()?,
            1 => {
                worker.terminate()?;
                worker.wait_exit(DEADLINE)?;
            }
            2 => {
                // Tokens that no worker knows, as after a failover: the states below them are whole.
                for partition in 0..6 {
                    let head = format!("rollcall:{{{}/{partition}}}:head", pipeline.settings.pipeline);
                    let token = format!("1-0|0|round-{round}");
                    redis.command::<i64>(&["HSET", &head, "token", &token])?;
                }
                continue;
            }
            _ => {
                // A zombie: longer asleep than its session lasts, then awake with a full batch.
                worker.pause()?;
                thread::sleep(Duration::from_secs(12));
                worker.resume()?;
                continue;
            }
        }
        logs.push_str(&worker.stderr());
        *worker = pipeline.worker(&format!("w{victim}"), &[])?;
    }
    Ok((workers, logs))
}

/// Keeps the workers busy, so that a transaction is open whenever something happens.
fn feed(pipeline: &Pipeline<'_>, is_over: &AtomicBool) -> Result<()> {
    let mut corpus = Corpus::recent(7, 2);
    let feeder = pipeline.feeder()?;
    let end = Instant::now() + FEED_MAX;
    while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
        let records: Vec<SourceRecord> =
            (0..6).flat_map(|partition| corpus.records(partition, 0, 10)).collect();
        feeder.feed(&records)?;
        thread::sleep(Duration::from_millis(40));
    }
    Ok(())
}

/// Reads the document again and again.
fn watch(pipeline: &Pipeline<'_>, is_over: &AtomicBool) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        if let Some(document) = pipeline.document()?
            && documents.last() != Some(&document)
        {
            documents.push(document);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(documents)
}

const ROUNDS: u64 = 16;
const ROUNDS_MAX: u64 = 40;
const DEADLINE: Duration = Duration::from_secs(30);
const FEED_MAX: Duration = Duration::from_mins(5);
