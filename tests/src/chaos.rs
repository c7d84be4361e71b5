//! Owns schedules of random faults against real services, each replayed by its seed.
//! It never judges by itself: after each schedule the oracle recomputes what every sink must hold.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::kafka::Kafka;
use crate::oracle::SourceRecord;
use crate::oracle::corpus::Corpus;
use crate::pipeline::{Feeder, Pipeline};
use crate::redis::{self, Redis, Snapshot};
use crate::worker::{Worker, WorkerOptions};

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A worker is killed, and started again.
    Kill,
    /// A worker leaves in good order, and comes back.
    Leave,
    /// A worker sleeps longer than its session lasts, and wakes up with its hands full.
    Freeze,
    /// A worker is replaced by one that ends itself within the protocol.
    CrashPoint,
    /// One more worker joins.
    Join,
    /// Redis is killed, and started again.
    RedisKilled,
    /// Redis loses everything.
    RedisEmptied,
    /// Redis forgets what came since an earlier moment.
    RedisRolledBack,
    /// Somebody else's token is stored.
    ForeignToken,
    /// The broker is killed, and started again.
    BrokerKilled,
}

const FAULTS: [Fault; 10] = [
    Fault::Kill,
    Fault::Leave,
    Fault::Freeze,
    Fault::CrashPoint,
    Fault::Join,
    Fault::RedisKilled,
    Fault::RedisEmptied,
    Fault::RedisRolledBack,
    Fault::ForeignToken,
    Fault::BrokerKilled,
];

/// Points of the worker's `crash::Point` that come up again and again.
const POINTS: [&str; 10] = [
    "Begun",
    "Produced",
    "BeforeOffsets",
    "AfterOffsets",
    "Committing",
    "Committed",
    "FlushMade",
    "FlushSending",
    "FlushStored",
    "Revoked",
];

/// What a schedule did, and whether all is right.
#[derive(Debug)]
pub struct Outcome {
    /// The schedule's seed.
    pub seed: u64,
    /// Everything that differs from the oracle; empty when all is right.
    pub differences: Vec<String>,
    hits: BTreeMap<Fault, u32>,
    records: usize,
    took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {} records in {} s", self.seed, self.records, self.took.as_secs())?;
        for (fault, count) in &self.hits {
            write!(f, ", {fault:?} {count}")?;
        }
        match self.differences.len() {
            0 => f.write_str(": all right"),
            count => write!(
                f,
                ": {count} DIFFERENCES; again with `cargo lab chaos --schedules 1 --seed {}`",
                self.seed
            ),
        }
    }
}

/// Runs one schedule on a broker.
pub fn run(kafka: &mut Kafka, seed: u64) -> Result<Outcome> {
    let started_at = Instant::now();
    let mut schedule = Schedule::start(kafka, seed)?;
    let is_over = AtomicBool::new(false);
    let feeder = schedule.pipeline(kafka).feeder()?;
    let fed = thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&feeder, seed, &is_over));
        let broken = schedule.break_things(kafka);
        is_over.store(true, Ordering::Relaxed);
        let fed = feeding.join().expect("the feeder does not panic");
        broken.and(fed)
    });
    fed.with_context(|| format!("seed {seed}: {}", schedule.words()))?;
    let differences =
        schedule.conclude(kafka).with_context(|| format!("seed {seed}: {}", schedule.words()))?;
    let records = schedule.pipeline(kafka).source_records()?.len();
    Ok(Outcome { seed, differences, hits: schedule.hits, records, took: started_at.elapsed() })
}

struct Schedule {
    random: StdRng,
    redis: Redis,
    settings: crate::oracle::Settings,
    workers: Vec<Worker>,
    snapshot: Option<Snapshot>,
    hits: BTreeMap<Fault, u32>,
    said: String,
}

impl Schedule {
    fn start(kafka: &Kafka, seed: u64) -> Result<Self> {
        let redis = Redis::start(redis::Options::new())?;
        let settings = Pipeline::new(kafka, &redis, PARTITIONS)?.settings;
        let mut schedule = Self {
            random: StdRng::seed_from_u64(seed),
            redis,
            settings,
            workers: Vec::new(),
            snapshot: None,
            hits: BTreeMap::new(),
            said: String::new(),
        };
        for number in 0..schedule.random.random_range(1..=3) {
            let worker = schedule.worker(kafka, number, None)?;
            schedule.workers.push(worker);
        }
        Ok(schedule)
    }

    fn pipeline<'a>(&'a self, kafka: &'a Kafka) -> Pipeline<'a> {
        Pipeline::adopt(kafka, &self.redis, self.settings.clone(), PARTITIONS)
    }

    fn worker(&self, kafka: &Kafka, number: usize, crash_point: Option<&str>) -> Result<Worker> {
        let options = WorkerOptions::new(&self.pipeline(kafka).config());
        let name = format!("w{number}");
        let options = options.args(&["--name", &name, "--log-format", "text"]);
        Worker::start(match crash_point {
            Some(point) => options.env("ROLLCALL_CRASH_POINT", point),
            None => options,
        })
    }

    fn break_things(&mut self, kafka: &mut Kafka) -> Result<()> {
        for _ in 0..FAULTS_PER_SCHEDULE {
            thread::sleep(Duration::from_millis(self.random.random_range(300..2500)));
            let fault = *FAULTS.choose(&mut self.random).context("there are faults")?;
            let now = chrono::Utc::now().format("%H:%M:%S%.3f");
            writeln!(self.said, "{now} {fault:?}").expect("a string takes all");
            if self.inflict(kafka, fault).with_context(|| format!("{fault:?}"))? {
                *self.hits.entry(fault).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Whether the fault could be brought about.
    fn inflict(&mut self, kafka: &mut Kafka, fault: Fault) -> Result<bool> {
        let victim = self.random.random_range(0..self.workers.len());
        match fault {
            Fault::Kill => self.replace(kafka, victim, None)?,
            Fault::CrashPoint => {
                let point = *POINTS.choose(&mut self.random).context("there are points")?;
                let point = format!("{point}:{}", self.random.random_range(1..4));
                self.replace(kafka, victim, Some(&point))?;
            }
            Fault::Leave => {
                if let Some(worker) = self.workers.get_mut(victim) {
                    worker.terminate()?;
                    worker.wait_exit(DEADLINE)?;
                }
                self.replace(kafka, victim, None)?;
            }
            Fault::Freeze => {
                if let Some(worker) = self.workers.get_mut(victim) {
                    worker.pause()?;
                    thread::sleep(Duration::from_secs(11));
                    worker.resume()?;
                }
            }
            Fault::Join if self.workers.len() >= WORKERS_MAX => return Ok(false),
            Fault::Join => {
                let worker = self.worker(kafka, self.workers.len(), None)?;
                self.workers.push(worker);
            }
            Fault::RedisKilled => {
                self.redis.kill()?;
                self.redis.start_again()?;
            }
            Fault::RedisEmptied => drop(self.redis.command::<String>(&["FLUSHALL"])?),
            Fault::RedisRolledBack => {
                let Some(snapshot) = self.snapshot.take() else {
                    // The next time it goes back to here.
                    self.snapshot = Some(self.redis.snapshot()?);
                    return Ok(false);
                };
                self.redis.restore(&snapshot)?;
            }
            Fault::ForeignToken => {
                let partition = self.random.random_range(0..PARTITIONS);
                let head = format!("rollcall:{{{}/{partition}}}:head", self.settings.pipeline);
                self.redis.command::<i64>(&["HSET", &head, "token", "1-0|0|chaos"])?;
            }
            Fault::BrokerKilled => {
                kafka.kill()?;
                kafka.start_again()?;
            }
        }
        Ok(true)
    }

    /// Kills a worker and starts another in its place.
    fn replace(&mut self, kafka: &Kafka, victim: usize, crash_point: Option<&str>) -> Result<()> {
        let fresh = {
            let worker = self.workers.get_mut(victim).context("there is such a worker")?;
            worker.kill()?;
            self.said.push_str(&worker.stderr());
            self.worker(kafka, victim, crash_point)?
        };
        if let Some(worker) = self.workers.get_mut(victim) {
            *worker = fresh;
        }
        Ok(())
    }

    /// Everything works again: all must be counted, delivered once, and right.
    fn conclude(&mut self, kafka: &Kafka) -> Result<Vec<String>> {
        // Some may be dead, and some still to end themselves: this one stays.
        let last = self.worker(kafka, self.workers.len(), None)?;
        self.workers.push(last);
        self.pipeline(kafka).wait_until_published()?;
        for worker in &mut self.workers {
            worker.terminate()?;
        }
        for worker in &mut self.workers {
            worker.wait_exit(DEADLINE)?;
        }
        self.pipeline(kafka).differences()
    }

    /// What all workers said, the dead ones first.
    fn words(&self) -> String {
        self.said.clone() + &self.workers.iter().map(Worker::stderr).collect::<String>()
    }
}

/// Keeps the workers busy, for as long as things break.
fn feed(feeder: &Feeder, seed: u64, is_over: &AtomicBool) -> Result<()> {
    let mut corpus = Corpus::recent(seed, 3);
    let end = Instant::now() + FEED_MAX;
    while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
        let records: Vec<SourceRecord> =
            (0..PARTITIONS).flat_map(|partition| corpus.records(partition, 0, 8)).collect();
        feeder.feed(&records)?;
        thread::sleep(Duration::from_millis(60));
    }
    Ok(())
}

const PARTITIONS: i32 = 4;
const WORKERS_MAX: usize = 4;
const FAULTS_PER_SCHEDULE: usize = 6;
const DEADLINE: Duration = Duration::from_mins(1);
const FEED_MAX: Duration = Duration::from_mins(3);
