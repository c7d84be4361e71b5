//! The lab's subcommands, one module each.
//! They never do what a test could not: services and components are the library's.

pub(crate) mod bench;
pub(crate) mod chaos;
pub(crate) mod chart;
pub(crate) mod fuzz;
pub(crate) mod simulate;
pub(crate) mod test;
pub(crate) mod up;

use std::env;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Cargo, at the root of the workspace.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(lab::sources().join(".."));
    // This command runs under cargo itself; what that says of the `lab` program is not for the inner build.
    for (name, _) in env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME" {
            command.env_remove(name);
        }
    }
    command
}

/// Builds these targets of the workspace as the tests need them.
fn build(targets: &[&str]) -> Result<()> {
    eprintln!("lab: building …");
    let status = cargo().arg("build").args(targets).args(BUILD).status().context("failed to run cargo")?;
    ensure!(status.success(), "the build failed: see above");
    Ok(())
}

/// One profile and one set of features for all, so that librdkafka and OpenSSL are compiled once.
const BUILD: [&str; 4] = ["--release", "--workspace", "--features", "rollcall-tests/lab"];
