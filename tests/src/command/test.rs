//! Owns `cargo lab test`: the components, the program under test, then the tests, with the runner's own words last.
//! It never chooses tests itself: what it is given goes to `cargo test`.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lab::components;

use super::{BUILD, build, cargo};

/// Runs the tests; the exit code is theirs.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    components::install_all()?;
    build(&["--bins", "--tests"])?;
    let status = cargo()
        .arg("test")
        .args(BUILD)
        .args(arguments)
        .env("ROLLCALL_BIN", rollcall()?)
        .status()
        .context("failed to run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the build has put `rollcall`: beside this program.
fn rollcall() -> Result<PathBuf> {
    let lab = env::current_exe().context("failed to find the lab's own program")?;
    Ok(lab.with_file_name("rollcall"))
}
