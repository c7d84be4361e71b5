//! Owns the first two tables: CPU per record of each contender over the same records.
//! It never compares figures of different rounds.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::checksum::{self, Checksum};
use super::parse;
use super::site::{self, Cost, Job, Site, median, megabytes};
use crate::jaeger::Jaeger;
use crate::kafka::{Isolation, StoredRecord};
use crate::redis::{self, Redis};
use crate::worker::{Worker, WorkerOptions};

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Forward,
    Parse,
    Full,
    Frozen,
    Sampled,
    Traced,
    Away,
    Hanging,
}

/// One table's rows.
pub(super) struct Table {
    contenders: &'static [Contender],
    /// With how many of the first rows the others are compared.
    bases: usize,
}

/// What the work and its guarantees cost.
pub(super) const WORK: Table = Table {
    contenders: &[Contender::Forward, Contender::Parse, Contender::Full, Contender::Frozen],
    bases: 2,
};

/// What tracing costs.
pub(super) const TRACING: Table = Table {
    contenders: &[
        Contender::Full,
        Contender::Sampled,
        Contender::Traced,
        Contender::Away,
        Contender::Hanging,
    ],
    bases: 1,
};

impl Contender {
    fn title(self) -> &'static str {
        match self {
            Self::Forward => "librdkafka alone, forwards as many",
            Self::Parse => "the same with serde_json, chrono and the filter, no counts",
            Self::Full => "Rollcall, exactly once in Kafka and Redis",
            Self::Frozen => "Rollcall, Redis frozen from the first record to the last",
            Self::Sampled => "Rollcall, one batch in a thousand traced into Jaeger",
            Self::Traced => "Rollcall, every batch traced into Jaeger",
            Self::Away => "Rollcall, every batch traced, the collector away",
            Self::Hanging => "Rollcall, every batch traced, the collector takes and never answers",
        }
    }

    /// The share of batches that are traced; none without tracing.
    fn sampled(self) -> Option<&'static str> {
        match self {
            Self::Forward | Self::Parse | Self::Full | Self::Frozen => None,
            Self::Sampled => Some("0.001"),
            Self::Traced | Self::Away | Self::Hanging => Some("1"),
        }
    }
}

/// One run of one contender.
struct Run {
    cost: Cost,
    checksum: Checksum,
}

/// Runs all contenders in each round, in turn.
pub(super) fn run(site: &Site<'_>, table: &Table) -> Result<String> {
    let plan = site.plan;
    let contenders = table.contenders;
    let bench = Bench::start(site)?;
    let mut rounds: Vec<Vec<Run>> = Vec::new();
    for round in 0..plan.rounds {
        let mut runs: Vec<(usize, Run)> = Vec::new();
        let first = round % contenders.len();
        let in_turn = contenders.iter().enumerate().cycle().skip(first).take(contenders.len());
        for (place, &contender) in in_turn {
            let run = bench.measure(contender, round)?;
            eprintln!(
                "lab: round {}: {}: {:.2} s of CPU, {:.0} MB; {}",
                round + 1,
                contender.title(),
                run.cost.cpu.as_secs_f64(),
                megabytes(run.cost.peak_bytes),
                run.checksum
            );
            runs.push((place, run));
        }
        runs.sort_by_key(|(place, _)| *place);
        rounds.push(runs.into_iter().map(|(_, run)| run).collect());
    }
    check_outputs(contenders, &rounds)?;
    Ok(table.filled(plan.records, bench.bytes_per_record, &rounds))
}

struct Bench<'a> {
    site: &'a Site<'a>,
    jaeger: Jaeger,
    source: String,
    bytes_per_record: f64,
    /// How many of the logins pass the filter.
    passing: f64,
}

impl<'a> Bench<'a> {
    fn start(site: &'a Site<'a>) -> Result<Self> {
        let jaeger = Jaeger::start()?;
        let source = site.fill("bench-source", PARTITIONS, site.plan.records, USERS)?;
        let sample = site.fill("bench-sample", PARTITIONS, SAMPLE, USERS)?;
        let sample = site.kafka.client().read(&sample, Isolation::Committed)?;
        let bytes: usize = sample.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum();
        let mut buffer = Vec::new();
        let passes =
            |record: &StoredRecord| parse::transform(record.value.as_deref()?, &mut buffer).then_some(());
        let passing = sample.iter().filter_map(passes).count();
        #[expect(clippy::cast_precision_loss, reason = "means are estimates")]
        let per_record = |sum: usize| sum as f64 / sample.len().max(1) as f64;
        let (bytes_per_record, passing) = (per_record(bytes), per_record(passing));
        Ok(Self { site, jaeger, source, bytes_per_record, passing })
    }

    fn measure(&self, contender: Contender, round: usize) -> Result<Run> {
        let id = format!("bench-{round}-{}", contender as usize);
        let plan = self.site.plan;
        let (job, cost) = match contender {
            Contender::Forward | Contender::Parse => {
                let job = self.site.job(&id, &self.source, PARTITIONS)?;
                let share = self.passing.to_string();
                let work = if contender == Contender::Parse { "parse" } else { share.as_str() };
                let cost = self.site.run_bare(&job, work)?;
                (job, cost)
            }
            Contender::Frozen => self.frozen(&id)?,
            Contender::Full
            | Contender::Sampled
            | Contender::Traced
            | Contender::Away
            | Contender::Hanging => {
                let job = self.site.job(&id, &self.source, PARTITIONS)?;
                // The kernel takes connections for it, and nobody ever reads them.
                let hanging = TcpListener::bind("127.0.0.1:0").context("failed to listen")?;
                let mut options = until_end(&job);
                if let Some(share) = contender.sampled() {
                    let endpoint = match contender {
                        Contender::Away => NOBODY.to_owned(),
                        Contender::Hanging => format!("http://{}", hanging.local_addr()?),
                        _ => self.jaeger.http_endpoint(),
                    };
                    options = options
                        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
                        .env("OTEL_TRACES_SAMPLER", "traceidratio")
                        .env("OTEL_TRACES_SAMPLER_ARG", share);
                }
                let cost = site::run(&plan.rollcall, options, |_| Ok(()))?;
                (job, cost)
            }
        };
        let checksum = checksum::of_topic(&self.site.kafka.client(), &job.output)?;
        self.site.kafka.delete_topic(&job.output)?;
        Ok(Run { cost, checksum })
    }

    /// The job without Redis: it stands still from the moment in which the partitions are loaded until Kafka holds
    /// everything, and then takes one flush of each.
    fn frozen(&self, id: &str) -> Result<(Job, Cost)> {
        let redis = RefCell::new(Redis::start(redis::Options::new())?);
        let job = self.site.job_on(id, &self.source, PARTITIONS, &redis.borrow())?;
        let group = format!("rollcall.{id}");
        let mut is_frozen = false;
        let mut is_done = false;
        let mut looked_at = Instant::now();
        let during = |worker: &Worker| -> Result<()> {
            if !is_frozen {
                if worker.stderr().matches("partition loaded").count() >= usize::try_from(PARTITIONS)? {
                    redis.borrow_mut().pause()?;
                    is_frozen = true;
                }
            } else if !is_done && looked_at.elapsed() >= COMMITS_EVERY {
                looked_at = Instant::now();
                let committed = self.site.kafka.committed(&group, &self.source)?;
                let records: i64 = committed.values().map(|committed| committed.offset).sum();
                if records >= i64::try_from(self.site.plan.records)? {
                    redis.borrow_mut().resume()?;
                    is_done = true;
                }
            }
            Ok(())
        };
        let cost = site::run(&self.site.plan.rollcall, until_end(&job), during)?;
        ensure!(is_done, "it ended while Redis was to be frozen: give it more records");
        Ok((job, cost))
    }
}

fn until_end(job: &Job) -> WorkerOptions {
    WorkerOptions::new(&job.config).args(&["--name", "bench", "--until-end"])
}

/// The parsing loop and Rollcall must have written the same, and the loop that only forwards about as many.
fn check_outputs(contenders: &[Contender], rounds: &[Vec<Run>]) -> Result<()> {
    for round in rounds {
        let runs = || contenders.iter().zip(round.iter().map(|run| &run.checksum));
        let mut full = runs().filter(|(contender, _)| **contender != Contender::Forward);
        let (_, expected) = full.next().context("nobody does the work")?;
        for (_, checksum) in full {
            ensure!(checksum == expected, "the outputs differ: {expected} and {checksum}");
        }
        for (_, Checksum { records, .. }) in runs() {
            ensure!(
                records.abs_diff(expected.records) * 50 <= expected.records,
                "the bare loop forwarded {records} records, the others {}",
                expected.records
            );
        }
    }
    Ok(())
}

impl Table {
    #[expect(clippy::cast_precision_loss, reason = "figures are rounded")]
    fn filled(&self, records: u64, bytes_per_record: f64, rounds: &[Vec<Run>]) -> String {
        let against = |base| ["| against the first ", "| against the second "].get(base).copied();
        let bases: String = (0..self.bases).filter_map(against).collect();
        let mut text = format!(
            "{records} logins of {bytes_per_record:.0} bytes, {PARTITIONS} partitions; the median of {} rounds\n\n\
             | | CPU per login | logins per CPU-second {bases}| peak memory |\n|---|---|---|{}---|\n",
            rounds.len(),
            "---|".repeat(self.bases)
        );
        for (place, contender) in self.contenders.iter().enumerate() {
            let seconds = |round: &Vec<Run>, place: usize| {
                round.get(place).map_or(0.0, |run| run.cost.cpu.as_secs_f64())
            };
            let per_login = median(rounds.iter().map(|round| seconds(round, place) / records as f64));
            let ratio =
                |base| median(rounds.iter().map(|round| seconds(round, place) / seconds(round, base)));
            let ratios: Vec<String> = (0..self.bases).map(|base| format!("{:.2}", ratio(base))).collect();
            let runs = rounds.iter().filter_map(|round| round.get(place));
            let peak = runs.map(|run| run.cost.peak_bytes).max().unwrap_or(0);
            writeln!(
                text,
                "| {} | {:.0} ns | {:.0} | {} | {:.0} MB |",
                contender.title(),
                per_login * 1e9,
                1.0 / per_login,
                ratios.join(" | "),
                megabytes(peak)
            )
            .expect("a string takes all");
        }
        text
    }
}

const PARTITIONS: i32 = 16;

/// Where no collector listens: the port of TCP's discard service.
const NOBODY: &str = "http://127.0.0.1:9";

/// Logins whose size is looked at, and whether they pass the filter.
const SAMPLE: u64 = 50_000;

const USERS: u64 = 10_000;
const COMMITS_EVERY: Duration = Duration::from_millis(200);
