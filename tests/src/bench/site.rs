//! Owns the services of a measurement: its topics, what fills them, and the programs that work on them.
//! It never decides what is measured.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Plan, process};
use crate::kafka::{self, Kafka};
use crate::redis::{self, Redis};
use crate::worker::{Finished, Worker, WorkerOptions};

/// Services of its own, and the programs.
pub(super) struct Site<'a> {
    pub(super) plan: &'a Plan,
    pub(super) kafka: Kafka,
    pub(super) redis: Redis,
}

/// A pipeline on a site.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) config: String,
    pub(super) output: String,
}

/// What a run to the end cost.
pub(super) struct Cost {
    pub(super) cpu: Duration,
    /// The most memory that it had resident.
    pub(super) peak_bytes: u64,
}

impl<'a> Site<'a> {
    pub(super) fn start(plan: &'a Plan) -> Result<Self> {
        let kafka = Kafka::start(kafka::Options::new().heap("1g"))?;
        let redis = Redis::start(redis::Options::new())?;
        Ok(Self { plan, kafka, redis })
    }

    /// A new topic with so many made-up logins.
    pub(super) fn fill(&self, topic: &str, partitions: i32, count: u64, users: u64) -> Result<String> {
        eprintln!("lab: producing {count} logins of {users} users into {partitions} partitions …");
        let topic = self.kafka.create_topic(topic, partitions, &[])?;
        let (count, users) = (count.to_string(), users.to_string());
        let options =
            self.generator(&topic, BATCHES).args(&["--rate", "0", "--count", &count, "--users", &users]);
        let finished = Worker::run_program(&self.plan.rollcall, options, PATIENCE)?;
        ensure!(finished.code == 0, "the generator failed:\n{}", finished.stderr);
        Ok(topic)
    }

    /// Makes logins up for a topic, in the background.
    pub(super) fn feed(&self, topic: &str, rate: u32, duration: Duration) -> Result<Worker> {
        let (rate, duration) = (rate.to_string(), format!("{}s", duration.as_secs()));
        let options = self.generator(topic, "").args(&["--rate", &rate, "--for", &duration]);
        Worker::start_program(&self.plan.rollcall, options)
    }

    fn generator(&self, topic: &str, properties: &str) -> WorkerOptions {
        let config = format!(
            "kafka: {{brokers: [\"{}\"], properties: {{{properties}}}}}\nsource: {{topic: {topic}}}\n",
            self.kafka.brokers()
        );
        WorkerOptions::command(&["generate"]).config(&config)
    }

    /// A pipeline from `source` to topics of its own.
    pub(super) fn job(&self, id: &str, source: &str, partitions: i32) -> Result<Job> {
        self.job_on(id, source, partitions, &self.redis)
    }

    /// The same with another Redis.
    pub(super) fn job_on(&self, id: &str, source: &str, partitions: i32, redis: &Redis) -> Result<Job> {
        let output = self.kafka.create_topic(&format!("{id}-output"), partitions, &[])?;
        let dead_letters = self.kafka.create_topic(&format!("{id}-dead"), partitions, &[])?;
        let config = format!(
            "pipeline: {id}\nkafka: {{brokers: [\"{}\"]}}\nredis: {{url: \"{}\"}}\nsource: {{topic: {source}}}\n\
             output: {{topic: {output}}}\ndeadLetter: {{topic: {dead_letters}}}\n",
            self.kafka.brokers(),
            redis.url(),
        );
        Ok(Job { id: id.to_owned(), config, output })
    }

    /// Starts a worker.
    pub(super) fn worker(&self, job: &Job, name: &str) -> Result<Worker> {
        let options = WorkerOptions::new(&job.config).args(&["--name", name, "--log-format", "text"]);
        Worker::start_program(&self.plan.rollcall, options)
    }

    /// Runs a plain loop over a pipeline's records; `work` as [`super::bare::Work`] is written on the command line.
    pub(super) fn run_bare(&self, job: &Job, work: &str) -> Result<Cost> {
        let count = self.plan.records.to_string();
        let options = WorkerOptions::command(&["bare", "--records", &count, "--work", work]);
        run(&self.plan.lab, options.config(&job.config), |_| Ok(()))
    }

    /// Runs a worker to the end of the log.
    pub(super) fn run_until_end(&self, job: &Job) -> Result<Cost> {
        let options = WorkerOptions::new(&job.config).args(&["--name", "bench", "--until-end"]);
        run(&self.plan.rollcall, options, |_| Ok(()))
    }
}

/// Runs a program to its end, calling `during` now and then.
pub(super) fn run(
    program: &Path,
    options: WorkerOptions,
    mut during: impl FnMut(&Worker) -> Result<()>,
) -> Result<Cost> {
    let before = process::cpu_of_ended_children()?;
    let mut worker = Worker::start_program(program, options)?;
    let mut peak_bytes = 0;
    while worker.is_running()? {
        // It may have ended since.
        peak_bytes = process::memory_bytes(worker.pid(), "VmHWM").unwrap_or(0).max(peak_bytes);
        during(&worker)?;
        thread::sleep(LOOK_EVERY);
    }
    let code = worker.wait_exit(PATIENCE)?;
    let finished = Finished { code, stdout: worker.stdout(), stderr: worker.stderr() };
    ensure!(finished.code == 0, "{} failed:\n{}", program.display(), finished.stderr);
    let cpu = process::cpu_of_ended_children()?.checked_sub(before).context("CPU time fell")?;
    Ok(Cost { cpu, peak_bytes })
}

/// The middle of some figures.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which so many of a thousand are, of sorted ones.
pub(super) fn quantile(sorted: &[i64], of_1000: usize) -> i64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * of_1000 / 1000).min(last)).copied().unwrap_or(-1)
}

#[expect(clippy::cast_precision_loss, reason = "figures are rounded")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A topic's records lie in batches of as many, whatever its partitions: what a batch costs is not to be taken for what a
/// partition does.
const BATCHES: &str = "linger.ms: \"1000\", batch.num.messages: \"200\"";

const PATIENCE: Duration = Duration::from_mins(5);
