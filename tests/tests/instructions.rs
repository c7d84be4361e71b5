//! The core's cost by instructions, which do not depend on who else uses the machine.
#![cfg(feature = "lab")]

use std::process::Command;

use anyhow::{Context, Result, ensure};
use lab::bench::core::LOGINS;
use lab::components::valgrind;

#[test]
fn a_login_takes_no_more_instructions_than_it_did() -> Result<()> {
    // Making the logins, and their first round through empty tables, is in both.
    let (few, many) = (instructions(FEW)?, instructions(MANY)?);
    let each = many.saturating_sub(few) / u64::from((MANY - FEW) * LOGINS);
    eprintln!("{each} instructions a login");
    ensure!(each <= INSTRUCTIONS_MAX, "a login takes {each} instructions, more than {INSTRUCTIONS_MAX}");
    // Whoever makes it faster lowers the bound.
    ensure!(each * 100 >= INSTRUCTIONS_MAX * 85, "a login takes {each} instructions: lower the bound");
    Ok(())
}

/// Of the whole program, with so many rounds.
fn instructions(rounds: u32) -> Result<u64> {
    let output = Command::new(valgrind::valgrind()?)
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .args([env!("CARGO_BIN_EXE_lab"), "core", "--rounds", &rounds.to_string()])
        .output()
        .context("failed to run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed:\n{said}");
    let line = said.lines().find(|line| line.contains("refs:")).context("valgrind counted nothing")?;
    let digits: String =
        line.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("no number in {line:?}"))
}

const FEW: u32 = 2;
const MANY: u32 = 22;

/// A little above the 2,852 of November 2026 (Rust 1.95, the release profile, which links without optimising across crates).
const INSTRUCTIONS_MAX: u64 = 2_960;
