//! Owns `cargo lab bench`: builds what is shipped, then compares it with plain loops.
//! It never measures the programs that the tests run: they are linked faster and run slower.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lab::bench::{self, Plan, Section};

use super::cargo;

/// Measures and prints the tables.
pub(crate) fn run(only: Option<Section>, records: u64, rounds: usize) -> Result<ExitCode> {
    eprintln!("lab: building what is shipped (cargo build --profile dist) …");
    let built = cargo()
        // Without the lab's features: what is shipped has no crash points.
        .args(["build", "--profile", "dist", "--workspace", "--bins"])
        .status()
        .context("failed to run cargo")?;
    if !built.success() {
        bail!("the build failed: see above");
    }
    let folder = dist_folder()?;
    let plan = Plan { only, records, rounds, rollcall: folder.join("rollcall"), lab: folder.join("lab") };
    bench::run(&plan, |table| println!("{table}"))?;
    Ok(ExitCode::SUCCESS)
}

/// `target/dist`, beside the `target/release` that this program is in.
fn dist_folder() -> Result<PathBuf> {
    let lab = env::current_exe().context("failed to find the lab's own program")?;
    let target = lab.ancestors().nth(2).context("the lab's program is in no target folder")?;
    Ok(target.join("dist"))
}
