//! Some seconds of fuzzing with a fixed seed, of what `cargo lab fuzz` does for minutes with random ones.

use anyhow::Result;
use lab::fuzz::{self, Limit, Target};

#[test]
fn the_decoder_agrees_with_the_oracle_on_changed_records() -> Result<()> {
    nothing_is_found(Target::Decoder, 40_000)
}

#[test]
fn the_filter_agrees_with_the_oracle_on_changed_requirements() -> Result<()> {
    nothing_is_found(Target::Filter, 100_000)
}

#[test]
fn a_changed_configuration_never_panics_and_reads_back_as_printed() -> Result<()> {
    nothing_is_found(Target::Configuration, 40_000)
}

/// Tries the corpus, every finding of the past in it, and so many inputs in all.
fn nothing_is_found(target: Target, inputs: u64) -> Result<()> {
    let outcome = fuzz::run(target, SEED, Limit::Inputs(inputs))?;
    assert!(outcome.inputs >= inputs || outcome.found.is_some(), "{outcome:?}");
    if let Some(found) = outcome.found {
        panic!("{}\n{:?}", found.why, String::from_utf8_lossy(&found.input));
    }
    Ok(())
}

const SEED: u64 = 4;
