//! Owns the figures of a steady load: from produced to visible and to readable, and the share of a core that it takes.
//! It never compares runs of different hours: the bare loop runs beside each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::process;
use super::site::{Job, Site, quantile};
use super::tail::{Seen, Tail, now_ms};
use crate::worker::{Worker, WorkerOptions};

/// Measures both programs at both rates.
pub(super) fn run(site: &Site<'_>) -> Result<String> {
    let mut text = format!(
        "{PARTITIONS} partitions, {} s a run; `read_committed` readers\n\n| logins a second | | share of a core | \
         visible p50 | p99 | readable in Redis p50 | p99 |\n|---|---|---|---|---|---|---|\n",
        RUN.as_secs()
    );
    for rate in [5_000, 50_000] {
        for is_full in [false, true] {
            let figures = measure(site, rate, is_full)?;
            let title = if is_full { "Rollcall" } else { "librdkafka alone" };
            let [p50, p99] = quantiles(figures.visible_ms)?;
            let readable = if is_full {
                let [p50, p99] = quantiles(figures.readable_ms)?;
                format!("{p50} ms | {p99} ms")
            } else {
                "| ".to_owned()
            };
            let share = figures.share * 100.0;
            writeln!(text, "| {rate} | {title} | {share:.1} % | {p50} ms | {p99} ms | {readable} |")?;
        }
    }
    Ok(text)
}

struct Figures {
    share: f64,
    visible_ms: Vec<i64>,
    readable_ms: Vec<i64>,
}

fn measure(site: &Site<'_>, rate: u32, is_full: bool) -> Result<Figures> {
    let id = format!("latency-{rate}-{}", if is_full { "full" } else { "bare" });
    eprintln!("lab: {id} …");
    let source = site.kafka.create_topic(&format!("{id}-source"), PARTITIONS, &[])?;
    let job = site.job(&id, &source, PARTITIONS)?;
    let worker = if is_full {
        let worker = site.worker(&job, "bench")?;
        worker.wait_for_line("partition loaded", PATIENCE)?;
        worker
    } else {
        let arguments = ["bare", "--records", FOREVER, "--work", "0.25"];
        Worker::start_program(&site.plan.lab, WorkerOptions::command(&arguments).config(&job.config))?
    };
    let tail = Tail::start(&site.kafka, &job.output)?;
    let generator = site.feed(&source, rate, RUN)?;
    thread::sleep(WARM_UP);
    let (from_ms, cpu) = (now_ms(), process::cpu(worker.pid())?);
    let looks = if is_full { look(site, &job, generator)? } else { wait(generator).map(|()| Vec::new())? };
    let (to_ms, cpu) = (now_ms(), process::cpu(worker.pid())?.saturating_sub(cpu));
    let seen = tail.finish()?;
    let is_measured = |seen: &&Seen| (from_ms..to_ms).contains(&seen.made_ms);
    let visible_ms = seen.iter().filter(is_measured).map(|seen| seen.came_ms - seen.made_ms).collect();
    let readable_ms = if is_full {
        let source = Tail::start(&site.kafka, &source)?.finish()?;
        readable(source.iter().filter(is_measured), &looks)
    } else {
        Vec::new()
    };
    #[expect(clippy::cast_precision_loss, reason = "figures are rounded")]
    let share = cpu.as_secs_f64() * 1000.0 / (to_ms - from_ms) as f64;
    Ok(Figures { share, visible_ms, readable_ms })
}

fn wait(mut generator: Worker) -> Result<()> {
    let code = generator.wait_exit(PATIENCE)?;
    ensure!(code == 0, "the generator failed:\n{}", generator.stderr());
    Ok(())
}

/// What was published, and when it was read.
struct Look {
    at_ms: i64,
    positions: BTreeMap<i32, i64>,
}

/// Reads the published positions again and again until the generator has ended, and a little longer.
fn look(site: &Site<'_>, job: &Job, generator: Worker) -> Result<Vec<Look>> {
    let is_over = AtomicBool::new(false);
    let key = format!("rollcall:{{{}}}:insights", job.id);
    thread::scope(|scope| {
        let looking = scope.spawn(|| -> Result<Vec<Look>> {
            let mut looks = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let text: Option<String> = site.redis.command(&["GET", &key])?;
                let document: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
                looks.push(Look { at_ms: now_ms(), positions: crate::pipeline::positions(&document) });
                thread::sleep(LOOK_EVERY);
            }
            Ok(looks)
        });
        let ended = wait(generator);
        thread::sleep(LAST_LOOKS);
        is_over.store(true, Ordering::Relaxed);
        let looks = looking.join().expect("looking does not panic");
        ended.and(looks)
    })
}

/// From each record's making to the first look that had it counted.
fn readable<'a>(records: impl Iterator<Item = &'a Seen>, looks: &[Look]) -> Vec<i64> {
    let has = |look: &Look, seen: &Seen| {
        look.positions.get(&seen.partition).is_some_and(|next| *next > seen.offset)
    };
    let mut delays = Vec::new();
    for seen in records {
        let first = looks.partition_point(|look| !has(look, seen));
        // What was never read counts as the longest wait.
        delays.push(looks.get(first).map_or(i64::MAX, |look| look.at_ms - seen.made_ms));
    }
    delays
}

fn quantiles(mut values: Vec<i64>) -> Result<[i64; 2]> {
    ensure!(values.len() >= 1000, "only {} records came through", values.len());
    values.sort_unstable();
    let worst = values.last().copied().context("there are values")?;
    ensure!(worst < i64::MAX, "some records were never read");
    Ok([quantile(&values, 500), quantile(&values, 990)])
}

const PARTITIONS: i32 = 16;
const RUN: Duration = Duration::from_secs(20);
const WARM_UP: Duration = Duration::from_secs(5);
const LAST_LOOKS: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const FOREVER: &str = "1000000000000";
const PATIENCE: Duration = Duration::from_mins(1);
