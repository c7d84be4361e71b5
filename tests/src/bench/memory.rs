//! Owns how much memory a worker has resident, idle and behind a backlog.
//! It never looks at shares of it: the kernel's figure of the whole process is what a container is killed by.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::process;
use super::site::{Site, megabytes};

/// Measures both.
pub(super) fn run(site: &Site<'_>) -> Result<String> {
    let mut text = "| a worker's memory | resident |\n|---|---|\n".to_owned();
    let idle = megabytes(idle(site)?);
    writeln!(
        text,
        "| idle, {FEW} partitions, {} s after the last was loaded | {idle:.0} MB |",
        REST.as_secs()
    )?;
    let source = site.fill("memory-backlog", MANY, site.plan.records, 10_000)?;
    let job = site.job("memory-backlog-job", &source, MANY)?;
    let peak = megabytes(site.run_until_end(&job)?.peak_bytes);
    writeln!(text, "| the most, behind {} logins on {MANY} partitions | {peak:.0} MB |", site.plan.records)?;
    Ok(text)
}

fn idle(site: &Site<'_>) -> Result<u64> {
    let source = site.kafka.create_topic("memory-idle", FEW, &[])?;
    let job = site.job("memory-idle-job", &source, FEW)?;
    let worker = site.worker(&job, "bench")?;
    let loaded = || worker.stderr().matches("partition loaded").count();
    crate::wait_until("all partitions", PATIENCE, || loaded() == usize::try_from(FEW).unwrap_or(0))?;
    thread::sleep(REST);
    process::memory_bytes(worker.pid(), "VmRSS")
}

const FEW: i32 = 16;
const MANY: i32 = 64;
const REST: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_mins(1);
