//! Owns `cargo lab chaos`: random schedules of faults, one line each.
//! It never stops at the first difference: all seeds that fail are of interest.

use std::process::ExitCode;

use anyhow::Result;
use lab::chaos;

/// Runs so many schedules, with the seeds from `seed` on.
pub(crate) fn run(schedules: u64, seed: u64) -> Result<ExitCode> {
    super::build(&["--bins"])?;
    let mut kafka = chaos::broker()?;
    let mut failed = 0;
    for seed in seed..seed + schedules {
        match chaos::run(&mut kafka, seed) {
            Ok(outcome) => {
                println!("{outcome}");
                eprint!("{}", outcome.words);
                for difference in outcome.differences.iter().take(SHOWN) {
                    println!("  {difference}");
                }
                failed += u64::from(!outcome.differences.is_empty());
            }
            Err(error) => {
                println!("seed {seed}: {error:#}");
                failed += 1;
            }
        }
    }
    println!("{schedules} schedules, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Differences of one schedule that are printed.
const SHOWN: usize = 50;
