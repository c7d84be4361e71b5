//! Owns schedules of random faults against real services, each replayed by its seed.
//! It never judges by itself: after each schedule the oracle recomputes what every sink must hold.

mod fault;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

pub use self::fault::{FAULTS, Fault};
use self::fault::{POINTS, await_end_of_transaction, lose_of_broker, lose_of_redis};
use crate::kafka::{self, Kafka, Listener};
use crate::oracle::corpus::Corpus;
use crate::pipeline::{Feeder, Pipeline};
use crate::proxy::{Loss, Proxy};
use crate::redis::{self, Redis, Snapshot};
use crate::worker::{Worker, WorkerOptions};

/// What a schedule did, and whether all is right.
#[derive(Debug)]
pub struct Outcome {
    /// The schedule's seed.
    pub seed: u64,
    /// Everything that differs from the oracle; empty when all is right.
    pub differences: Vec<String>,
    /// How often each fault really hit.
    pub hits: BTreeMap<Fault, u32>,
    /// What all workers said, when something differs.
    pub words: String,
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
            count => write!(f, ": {count} DIFFERENCES; again with {}", replay(self.seed)),
        }
    }
}

/// A broker for schedules.
pub fn broker() -> Result<Kafka> {
    Kafka::start(kafka::Options::new().proxied())
}

/// Runs one schedule on a [`broker`].
pub fn run(kafka: &mut Kafka, seed: u64) -> Result<Outcome> {
    let started_at = Instant::now();
    let mut schedule = Schedule::start(kafka, seed)?;
    let is_over = AtomicBool::new(false);
    let feeder = schedule.pipeline(kafka)?.feeder()?;
    let fed = thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&feeder, seed, &is_over));
        let broken = schedule.break_things(kafka);
        is_over.store(true, Ordering::Relaxed);
        let fed = feeding.join().expect("the feeder does not panic");
        broken.and(fed)
    });
    let concluded = fed.and_then(|()| schedule.conclude(kafka));
    let differences =
        concluded.with_context(|| format!("failed; again with {}\n{}", replay(seed), schedule.words()))?;
    let records = schedule.pipeline(kafka)?.source_records()?.len();
    let words = if differences.is_empty() { String::new() } else { schedule.words() };
    Ok(Outcome { seed, differences, hits: schedule.hits, words, records, took: started_at.elapsed() })
}

fn replay(seed: u64) -> String {
    format!("`cargo lab chaos --schedules 1 --seed {seed}`")
}

struct Schedule {
    random: StdRng,
    redis: Redis,
    redis_proxy: Proxy,
    settings: crate::oracle::Settings,
    workers: Vec<Member>,
    snapshot: Option<Snapshot>,
    hits: BTreeMap<Fault, u32>,
    said: String,
}

struct Member {
    worker: Worker,
    /// Whether it is one that ends itself.
    is_doomed: bool,
}

impl Schedule {
    fn start(kafka: &Kafka, seed: u64) -> Result<Self> {
        let redis = Redis::start(redis::Options::new())?;
        let redis_proxy = Proxy::start(redis.port())?;
        let settings = Pipeline::new(kafka, &redis, PARTITIONS)?.settings;
        let mut schedule = Self {
            random: StdRng::seed_from_u64(seed),
            redis,
            redis_proxy,
            settings,
            workers: Vec::new(),
            snapshot: None,
            hits: BTreeMap::new(),
            said: String::new(),
        };
        for number in 0..schedule.random.random_range(1..=3) {
            let member = schedule.member(kafka, number, None)?;
            schedule.workers.push(member);
        }
        Ok(schedule)
    }

    /// The pipeline whose workers reach both services through proxies.
    fn pipeline<'a>(&'a self, kafka: &'a Kafka) -> Result<Pipeline<'a>> {
        let mut pipeline = Pipeline::adopt(kafka, &self.redis, self.settings.clone(), PARTITIONS);
        pipeline.connection = format!("brokers: [\"{}\"]", kafka.brokers_of(Listener::Proxied)?);
        pipeline.redis_url = format!("redis://127.0.0.1:{}", self.redis_proxy.port());
        Ok(pipeline)
    }

    fn member(&self, kafka: &Kafka, number: usize, crash_point: Option<&str>) -> Result<Member> {
        let options = WorkerOptions::new(&self.pipeline(kafka)?.config());
        let name = format!("w{number}");
        let options = options.args(&["--name", &name, "--log-format", "text"]);
        let worker = Worker::start(match crash_point {
            Some(point) => options.env("ROLLCALL_CRASH_POINT", point),
            None => options,
        })?;
        Ok(Member { worker, is_doomed: crash_point.is_some() })
    }

    fn break_things(&mut self, kafka: &mut Kafka) -> Result<()> {
        for _ in 0..FAULTS_PER_SCHEDULE {
            if self.snapshot.is_none() || self.random.random_bool(0.3) {
                self.snapshot = Some(self.redis.snapshot()?);
            }
            thread::sleep(Duration::from_millis(self.random.random_range(300..2500)));
            let fault = *FAULTS.choose(&mut self.random).context("there are faults")?;
            self.say(&format!("{fault:?}"));
            if self.inflict(kafka, fault).with_context(|| format!("{fault:?}"))? {
                *self.hits.entry(fault).or_default() += 1;
            }
        }
        Ok(())
    }

    fn say(&mut self, what: &str) {
        let now = chrono::Utc::now().format("%H:%M:%S%.3f");
        writeln!(self.said, "{now} {what}").expect("a string takes all");
    }

    /// Whether the fault could be brought about. Crash points are counted when they are found to have been passed.
    fn inflict(&mut self, kafka: &mut Kafka, fault: Fault) -> Result<bool> {
        match fault {
            Fault::Kill | Fault::Leave | Fault::Freeze | Fault::CrashPoint => {
                let victim = self.random.random_range(0..self.workers.len());
                return self.harm(kafka, fault, victim);
            }
            Fault::Join if self.workers.len() >= WORKERS_MAX => return Ok(false),
            Fault::Join => {
                let member = self.member(kafka, self.workers.len(), None)?;
                self.workers.push(member);
            }
            Fault::RedisKilled => {
                self.redis.kill()?;
                self.redis.start_again()?;
            }
            Fault::RedisEmptied => drop(self.redis.command::<String>(&["FLUSHALL"])?),
            Fault::RedisRolledBack => {
                let snapshot = self.snapshot.take().context("there is a snapshot")?;
                self.redis.restore(&snapshot)?;
            }
            Fault::ForeignToken => {
                let partition = self.random.random_range(0..PARTITIONS);
                let head = format!("rollcall:{{{}/{partition}}}:head", self.settings.pipeline);
                self.redis.command::<i64>(&["HSET", &head, "token", "1-0|0|chaos"])?;
            }
            Fault::BrokerKilled => {
                if !self.hits.contains_key(&fault) {
                    await_end_of_transaction(kafka.proxy()?);
                }
                kafka.kill()?;
                kafka.start_again()?;
            }
            Fault::RedisCut => return Ok(self.redis_proxy.cut() > 0),
            Fault::BrokerCut => return Ok(kafka.proxy()?.cut() > 0),
            Fault::RedisSilent => silence(&self.redis_proxy, Duration::from_secs(3)),
            Fault::BrokerSilent => silence(kafka.proxy()?, Duration::from_secs(7)),
            Fault::RedisRequestLost => return Ok(self.lose_of_redis(Loss::Request)),
            Fault::RedisReplyLost => return Ok(self.lose_of_redis(Loss::Reply)),
            Fault::BrokerRequestLost => return self.lose_of_broker(kafka, Loss::Request),
            Fault::BrokerReplyLost => return self.lose_of_broker(kafka, Loss::Reply),
        }
        Ok(true)
    }

    /// What happens to a worker; whether it was still there for that.
    fn harm(&mut self, kafka: &Kafka, fault: Fault, victim: usize) -> Result<bool> {
        let member = self.workers.get_mut(victim).context("there is such a worker")?;
        let is_there = member.worker.is_running()?;
        match fault {
            Fault::Freeze if is_there => {
                member.worker.pause()?;
                thread::sleep(Duration::from_secs(11));
                member.worker.resume()?;
            }
            Fault::CrashPoint => {
                let point = *POINTS.choose(&mut self.random).context("there are points")?;
                let point = format!("{point}:{}", self.random.random_range(1..4));
                self.say(&point);
                self.replace(kafka, victim, Some(&point))?;
                return Ok(false);
            }
            Fault::Leave if is_there => {
                member.worker.terminate()?;
                member.worker.wait_exit(DEADLINE)?;
                self.replace(kafka, victim, None)?;
            }
            _ => self.replace(kafka, victim, None)?,
        }
        Ok(is_there)
    }

    fn lose_of_redis(&mut self, loss: Loss) -> bool {
        let (name, is_lost) = lose_of_redis(&self.redis_proxy, loss, &mut self.random);
        self.say(&format!("{name} lost: {is_lost}"));
        is_lost
    }

    fn lose_of_broker(&mut self, kafka: &Kafka, loss: Loss) -> Result<bool> {
        let (name, is_lost) = lose_of_broker(kafka.proxy()?, loss, &mut self.random);
        self.say(&format!("{name} lost: {is_lost}"));
        Ok(is_lost)
    }

    /// Kills a worker and starts another in its place.
    fn replace(&mut self, kafka: &Kafka, victim: usize, crash_point: Option<&str>) -> Result<()> {
        let mut former = self.workers.remove(victim);
        self.note_crash(&mut former)?;
        former.worker.kill()?;
        self.said.push_str(&former.worker.stderr());
        let fresh = self.member(kafka, victim, crash_point)?;
        self.workers.insert(victim, fresh);
        Ok(())
    }

    /// Counts a crash point that was passed: nobody but the worker itself has ended it yet.
    fn note_crash(&mut self, member: &mut Member) -> Result<()> {
        if member.is_doomed && !member.worker.is_running()? {
            *self.hits.entry(Fault::CrashPoint).or_default() += 1;
        }
        Ok(())
    }

    /// Everything works again: all must be counted, delivered once, and right. Whoever ended itself starts again under its name,
    /// as Compose would have it: once Redis was emptied, nobody else can end a transaction of which the killed broker lost the
    /// markers.
    fn conclude(&mut self, kafka: &Kafka) -> Result<Vec<String>> {
        let mut workers = std::mem::take(&mut self.workers);
        // One more joins, as at any time.
        workers.push(self.member(kafka, workers.len(), None)?);
        let (mut crashes, mut said) = (0, String::new());
        let published = self.pipeline(kafka)?.wait_until_published_while(|| {
            for (number, member) in workers.iter_mut().enumerate() {
                if !member.worker.is_running()? {
                    crashes += u32::from(member.is_doomed);
                    said += &member.worker.stderr();
                    *member = self.member(kafka, number, None)?;
                }
            }
            Ok(())
        });
        self.said += &said;
        if crashes > 0 {
            *self.hits.entry(Fault::CrashPoint).or_default() += crashes;
        }
        self.workers = workers;
        published?;
        let mut workers = std::mem::take(&mut self.workers);
        for member in &mut workers {
            self.note_crash(member)?;
            member.worker.terminate()?;
        }
        let ended: Result<Vec<i32>> =
            workers.iter_mut().map(|member| member.worker.wait_exit(DEADLINE)).collect();
        self.workers = workers;
        ended?;
        self.pipeline(kafka)?.differences()
    }

    /// What all workers said, the dead ones first.
    fn words(&self) -> String {
        self.said.clone() + &self.workers.iter().map(|member| member.worker.stderr()).collect::<String>()
    }
}

fn silence(proxy: &Proxy, duration: Duration) {
    proxy.hold();
    thread::sleep(duration);
    proxy.release();
}

/// Keeps the workers busy, for as long as things break.
fn feed(feeder: &Feeder, seed: u64, is_over: &AtomicBool) -> Result<()> {
    let mut corpus = Corpus::recent(seed, 3);
    feeder.feed_until(is_over, &mut corpus, (PARTITIONS, 8), Duration::from_millis(60), FEED_MAX)
}

const PARTITIONS: i32 = 4;
const WORKERS_MAX: usize = 4;
const FAULTS_PER_SCHEDULE: usize = 6;
const DEADLINE: Duration = Duration::from_mins(1);
const FEED_MAX: Duration = Duration::from_mins(3);
