//! Owns the comparison of Rollcall with plain loops on the same client: what its work and its guarantees cost.
//! It never measures wall time where CPU time tells: machines are shared.

pub mod bare;
mod checksum;
pub mod core;
mod latency;
mod memory;
mod moved;
mod parse;
pub mod process;
mod scaling;
mod site;
mod tail;
mod throughput;

use std::path::PathBuf;

use anyhow::Result;

use self::site::Site;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One section alone; all when none is named.
    pub only: Option<Section>,
    /// Source records of one run.
    pub records: u64,
    /// How often each contender runs, in turn.
    pub rounds: usize,
    /// The `rollcall` program.
    pub rollcall: PathBuf,
    /// The `lab` program that runs the plain loops, built like `rollcall`.
    pub lab: PathBuf,
}

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// CPU per login of each contender over a backlog.
    Throughput,
    /// The same with tracing.
    Tracing,
    /// Latency and CPU under a steady load.
    Latency,
    /// Resident memory, idle and behind a backlog.
    Memory,
    /// CPU per login with more partitions and more users.
    Scaling,
    /// How long a partition stands still when it moves.
    Moved,
}

impl Section {
    const ALL: [Self; 6] =
        [Self::Throughput, Self::Tracing, Self::Latency, Self::Memory, Self::Scaling, Self::Moved];

    fn measure(self, site: &Site<'_>) -> Result<String> {
        match self {
            Self::Throughput => throughput::run(site, &throughput::WORK),
            Self::Tracing => throughput::run(site, &throughput::TRACING),
            Self::Latency => latency::run(site),
            Self::Memory => memory::run(site),
            Self::Scaling => scaling::run(site),
            Self::Moved => moved::run(site),
        }
    }
}

/// Measures, and hands over each table in Markdown as it is done. Each section has services of its own.
pub fn run(plan: &Plan, mut show: impl FnMut(&str)) -> Result<()> {
    for section in Section::ALL {
        if plan.only.is_none_or(|only| only == section) {
            show(&section.measure(&Site::start(plan)?)?);
        }
    }
    Ok(())
}
