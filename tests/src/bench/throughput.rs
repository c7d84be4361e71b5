//! Owns the first table: CPU per record of each contender over the same records.
//! It never compares figures of different rounds.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::checksum::{self, Checksum};
use super::{Plan, cpu, memory, parse};
use crate::jaeger::Jaeger;
use crate::kafka::{self, Isolation, Kafka, StoredRecord};
use crate::redis::{self, Redis};
use crate::worker::{Worker, WorkerOptions};

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Forward,
    Parse,
    Full,
    Sampled,
    Traced,
    Away,
    Hanging,
}

impl Contender {
    const ALL: [Self; 7] =
        [Self::Forward, Self::Parse, Self::Full, Self::Sampled, Self::Traced, Self::Away, Self::Hanging];

    fn title(self) -> &'static str {
        match self {
            Self::Forward => "librdkafka alone, forwards as many",
            Self::Parse => "the same with serde_json, chrono and the filter, no counts",
            Self::Full => "Rollcall, exactly once in Kafka and Redis",
            Self::Sampled => "Rollcall, one batch in a thousand traced into Jaeger",
            Self::Traced => "Rollcall, every batch traced into Jaeger",
            Self::Away => "Rollcall, every batch traced, the collector away",
            Self::Hanging => "Rollcall, every batch traced, a collector that never answers",
        }
    }

    /// The share of batches that are traced; none without tracing.
    fn sampled(self) -> Option<&'static str> {
        match self {
            Self::Forward | Self::Parse | Self::Full => None,
            Self::Sampled => Some("0.001"),
            Self::Traced | Self::Away | Self::Hanging => Some("1"),
        }
    }
}

/// One run of one contender.
struct Run {
    cpu: Duration,
    /// The most that the process held in memory, in bytes.
    memory: u64,
    checksum: Checksum,
}

/// Runs all contenders in each round, in turn.
pub(super) fn run(plan: &Plan) -> Result<String> {
    let bench = Bench::start(plan)?;
    let mut rounds: Vec<Vec<Run>> = Vec::new();
    for round in 0..plan.rounds {
        let mut runs: Vec<(Contender, Run)> = Vec::new();
        for place in 0..Contender::ALL.len() {
            let contender =
                *Contender::ALL.iter().cycle().nth(round + place).context("there are contenders")?;
            let run = bench.measure(contender, round)?;
            eprintln!(
                "lab: round {}: {}: {:.2} s of CPU, {} MB; {}",
                round + 1,
                contender.title(),
                run.cpu.as_secs_f64(),
                run.memory / 1_000_000,
                run.checksum
            );
            runs.push((contender, run));
        }
        runs.sort_by_key(|(contender, _)| *contender as usize);
        rounds.push(runs.into_iter().map(|(_, run)| run).collect());
    }
    check_outputs(&rounds)?;
    Ok(table(plan.records, bench.bytes_per_record, &rounds))
}

struct Bench<'a> {
    plan: &'a Plan,
    kafka: Kafka,
    redis: Redis,
    jaeger: Jaeger,
    /// The kernel takes connections in its name, and nobody answers.
    hanging: TcpListener,
    source: String,
    bytes_per_record: f64,
    /// How many of the logins pass the filter.
    passing: f64,
}

impl<'a> Bench<'a> {
    fn start(plan: &'a Plan) -> Result<Self> {
        eprintln!("lab: producing {} logins …", plan.records);
        let kafka = Kafka::start(kafka::Options::new().heap("1g"))?;
        let redis = Redis::start(redis::Options::new())?;
        let jaeger = Jaeger::start()?;
        let hanging = TcpListener::bind("127.0.0.1:0").context("failed to listen")?;
        let source = generate(&kafka, plan, "bench-source", plan.records)?;
        let sample = generate(&kafka, plan, "bench-sample", SAMPLE)?;
        let sample = kafka.client().read(&sample, Isolation::Committed)?;
        let bytes: usize = sample.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum();
        let mut buffer = Vec::new();
        let passes =
            |record: &StoredRecord| parse::transform(record.value.as_deref()?, &mut buffer).then_some(());
        let passing = sample.iter().filter_map(passes).count();
        #[expect(clippy::cast_precision_loss, reason = "means are estimates")]
        let per_record = |sum: usize| sum as f64 / sample.len().max(1) as f64;
        let (bytes_per_record, passing) = (per_record(bytes), per_record(passing));
        Ok(Self { plan, kafka, redis, jaeger, hanging, source, bytes_per_record, passing })
    }

    fn measure(&self, contender: Contender, round: usize) -> Result<Run> {
        let id = format!("bench-{round}-{}", contender as usize);
        let output = self.kafka.create_topic(&format!("{id}-output"), PARTITIONS, &[])?;
        let dead_letters = self.kafka.create_topic(&format!("{id}-dead"), PARTITIONS, &[])?;
        let config = format!(
            "pipeline: {id}\nkafka: {{brokers: [\"{}\"]}}\nredis: {{url: \"{}\"}}\nsource: {{topic: {}}}\n\
             output: {{topic: {output}}}\ndeadLetter: {{topic: {dead_letters}}}\n",
            self.kafka.brokers(),
            self.redis.url(),
            self.source,
        );
        let count = self.plan.records.to_string();
        let before = cpu::of_ended_children()?;
        let (program, options) = match contender {
            Contender::Forward | Contender::Parse => {
                let share = self.passing.to_string();
                let work = if contender == Contender::Parse { "parse" } else { share.as_str() };
                let options = WorkerOptions::command(&["bare", "--records", &count, "--work", work]);
                (&self.plan.lab, options.config(&config))
            }
            _ => (&self.plan.rollcall, self.rollcall(contender, &config)?),
        };
        let mut process = Worker::start_program(program, options)?;
        let memory = memory::peak_until_end(&mut process, PATIENCE)?;
        let code = process.wait_exit(PATIENCE)?;
        let cpu = cpu::of_ended_children()?.saturating_sub(before);
        ensure!(code == 0, "{} failed:\n{}", contender.title(), process.stderr());
        let checksum = checksum::of_topic(&self.kafka.client(), &output)?;
        self.kafka.delete_topic(&output)?;
        Ok(Run { cpu, memory, checksum })
    }

    fn rollcall(&self, contender: Contender, config: &str) -> Result<WorkerOptions> {
        let options = WorkerOptions::new(config).args(&["--name", "bench", "--until-end"]);
        let Some(share) = contender.sampled() else { return Ok(options) };
        let endpoint = match contender {
            Contender::Away => NOBODY.to_owned(),
            Contender::Hanging => format!("http://{}", self.hanging.local_addr()?),
            _ => self.jaeger.http_endpoint(),
        };
        Ok(options
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .env("OTEL_TRACES_SAMPLER", "traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", share))
    }
}

/// Fills a new topic with made-up logins.
fn generate(kafka: &Kafka, plan: &Plan, topic: &str, count: u64) -> Result<String> {
    let topic = kafka.create_topic(topic, PARTITIONS, &[])?;
    let config = format!("kafka: {{brokers: [\"{}\"]}}\nsource: {{topic: {topic}}}\n", kafka.brokers());
    let count = count.to_string();
    let options = WorkerOptions::command(&["generate", "--rate", "0", "--count", &count]).config(&config);
    let finished = Worker::run_program(&plan.rollcall, options, PATIENCE)?;
    ensure!(finished.code == 0, "the generator failed:\n{}", finished.stderr);
    Ok(topic)
}

/// The parsing loop and Rollcall must have written the same, and the first loop about as many.
fn check_outputs(rounds: &[Vec<Run>]) -> Result<()> {
    for round in rounds {
        let [forward, parse, rest @ ..] = round.as_slice() else { continue };
        for full in rest {
            ensure!(
                parse.checksum == full.checksum,
                "the outputs differ: {} and {}",
                parse.checksum,
                full.checksum
            );
        }
        let (bare, full) = (forward.checksum.records, parse.checksum.records);
        ensure!(
            bare.abs_diff(full) * 50 <= full,
            "the bare loop forwarded {bare} records, the others {full}"
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures are rounded")]
fn table(records: u64, bytes_per_record: f64, rounds: &[Vec<Run>]) -> String {
    let mut text = format!(
        "{records} logins of {bytes_per_record:.0} bytes, {PARTITIONS} partitions; the median of {} rounds\n\n\
         | | CPU per login | logins per CPU-second | against the first | against the second | against the third | most memory |\n\
         |---|---|---|---|---|---|---|\n",
        rounds.len()
    );
    for contender in Contender::ALL {
        let place = contender as usize;
        let seconds =
            |round: &Vec<Run>, place: usize| round.get(place).map_or(0.0, |run| run.cpu.as_secs_f64());
        let per_login = median(rounds.iter().map(|round| seconds(round, place) / records as f64));
        let ratio = |base| median(rounds.iter().map(|round| seconds(round, place) / seconds(round, base)));
        writeln!(
            text,
            "| {} | {:.0} ns | {:.0} | {:.2} | {:.2} | {:.3} | {:.0} MB |",
            contender.title(),
            per_login * 1e9,
            1.0 / per_login,
            ratio(0),
            ratio(1),
            ratio(2),
            median(rounds.iter().filter_map(|round| Some(round.get(place)?.memory as f64))) / 1e6
        )
        .expect("a string takes all");
    }
    text
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const PARTITIONS: i32 = 16;

/// Where no collector listens: the port of TCP's discard service.
const NOBODY: &str = "http://127.0.0.1:9";

/// Logins whose size is looked at, and whether they pass the filter.
const SAMPLE: u64 = 50_000;

const PATIENCE: Duration = Duration::from_mins(5);
