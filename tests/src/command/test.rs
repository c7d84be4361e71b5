//! Owns `cargo lab test`: the components, the program under test, then the tests, with the runner's own words last.
//! It never chooses tests itself: what it is given goes to `cargo test`.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lab::components;

use super::cargo;

/// Runs the tests; the exit code is theirs.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    components::install_all()?;
    eprintln!("lab: building …");
    if !cargo()
        .args(["build", "--bins", "--tests"])
        .args(BUILD)
        .status()
        .context("failed to run cargo")?
        .success()
    {
        bail!("the build failed: see above");
    }
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

/// One profile and one set of features for all, so that librdkafka and OpenSSL are compiled once.
const BUILD: [&str; 4] = ["--release", "--workspace", "--features", "rollcall-tests/lab"];
