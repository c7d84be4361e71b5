//! Owns the comparison of Rollcall with plain loops on the same client: what its work and its guarantees cost.
//! It never measures wall time where CPU time tells: machines are shared.

pub mod bare;
mod checksum;
pub mod core;
mod cpu;
mod memory;
mod parse;
mod throughput;

use std::path::PathBuf;

use anyhow::Result;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Source records of one run.
    pub records: u64,
    /// How often each contender runs, in turn.
    pub rounds: usize,
    /// The `rollcall` program.
    pub rollcall: PathBuf,
    /// The `lab` program that runs the plain loops, built like `rollcall`.
    pub lab: PathBuf,
}

/// Measures, and returns the table in Markdown.
pub fn run(plan: &Plan) -> Result<String> {
    throughput::run(plan)
}
