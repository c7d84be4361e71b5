//! Owns `cargo lab simulate`: the scoreboard of scaling laws, and a plot of each trace.
//! It needs no service.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use lab::simulate::{self, CONTENDERS, TRACES};

/// Runs all laws through all traces, or through one.
pub(crate) fn run(
    seeds: u64,
    partitions: &[usize],
    trace: Option<&str>,
    plots: Option<&Path>,
) -> Result<ExitCode> {
    let names = || TRACES.map(|trace| trace.name).join(", ");
    let mut traces = TRACES.to_vec();
    traces.retain(|known| trace.is_none_or(|trace| trace == known.name));
    ensure!(!traces.is_empty(), "there is no such trace: choose one of {}", names());
    if let Some(folder) = plots {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    println!(
        "Median and (worst) of {seeds} seeds; each rival at the setting that is best for it on that trace."
    );
    for partitions in partitions {
        for trace in &traces {
            let board = simulate::board(trace, *partitions, seeds, &CONTENDERS);
            print!("{}", simulate::print(&board));
            if let Some(folder) = plots {
                let file = folder.join(format!("{}-{partitions}.svg", trace.name));
                let failed = || format!("failed to write {}", file.display());
                fs::write(&file, simulate::plot(&board)).with_context(failed)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
