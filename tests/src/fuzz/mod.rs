//! Owns fuzzing on a stable compiler: inputs of the corpus, changed at random, held against what must be true of each.
//! It never follows coverage: the corpus and the words that changes are made of stand in for it.

mod configuration;
mod decoder;
mod filter;
mod mutate;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::sources;

/// What is fuzzed. Each has a folder of inputs in `tests/corpus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Records, against the oracle under several settings.
    Decoder,
    /// Requirements of the filter, against the oracle.
    Filter,
    /// Configuration files: nothing panics, and what is printed reads back as the same.
    Configuration,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Decoder, Self::Filter, Self::Configuration];

    /// The folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Filter => "filter",
            Self::Configuration => "configuration",
        }
    }

    /// Holds one input against what must be true; an error says what is not.
    pub fn check(self, input: &[u8]) -> Result<()> {
        let checked = panic::catch_unwind(AssertUnwindSafe(|| match self {
            Self::Decoder => decoder::check(input),
            Self::Filter => filter::check(input),
            Self::Configuration => configuration::check(input),
        }));
        checked.unwrap_or_else(|_| Err(anyhow::anyhow!("it panics: see above")))
    }

    /// The inputs in the repository, by name.
    pub fn corpus(self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut inputs = Vec::new();
        let folder = self.folder();
        for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
            let path = entry.context("failed to read a folder")?.path();
            let input = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
            inputs.push((path, input));
        }
        // The same seed must see the same order.
        inputs.sort();
        ensure!(!inputs.is_empty(), "{} has no inputs", folder.display());
        Ok(inputs)
    }

    fn folder(self) -> PathBuf {
        sources().join("corpus").join(self.name())
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// After so many inputs.
    Inputs(u64),
    /// After this time.
    Time(Duration),
}

/// An input that must not be.
#[derive(Clone, Debug)]
pub struct Found {
    /// The input, made as short as it goes by leaving pieces out.
    pub input: Vec<u8>,
    /// What is wrong with it.
    pub why: String,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Inputs that were tried.
    pub inputs: u64,
    /// The first one that failed.
    pub found: Option<Found>,
}

/// Tries the corpus, then changes of it, until the first failure or the limit.
pub fn run(target: Target, seed: u64, limit: Limit) -> Result<Outcome> {
    let mut corpus: Vec<Vec<u8>> = target.corpus()?.into_iter().map(|(_, input)| input).collect();
    if target == Target::Decoder {
        corpus.extend(decoder::nasty());
    }
    let end = Instant::now() + if let Limit::Time(time) = limit { time } else { Duration::MAX / 4 };
    let mut random = StdRng::seed_from_u64(seed);
    let mut inputs = 0;
    for input in &corpus {
        inputs += 1;
        if let Some(found) = failure(target, input) {
            return Ok(Outcome { inputs, found: Some(found) });
        }
    }
    while Instant::now() < end && !matches!(limit, Limit::Inputs(most) if inputs >= most) {
        inputs += 1;
        let mut input = corpus.choose(&mut random).cloned().unwrap_or_default();
        for _ in 0..random.random_range(1..=CHANGES_MAX) {
            mutate::change(&mut random, &mut input, &corpus, target.name());
        }
        if let Some(found) = failure(target, &input) {
            return Ok(Outcome { inputs, found: Some(found) });
        }
    }
    Ok(Outcome { inputs, found: None })
}

/// Puts an input into the corpus, where every later run begins with it.
pub fn save(target: Target, found: &Found) -> Result<PathBuf> {
    let digest = Sha256::digest(&found.input);
    let digest = digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let path = target.folder().join(format!("found-{digest:08x}"));
    fs::write(&path, &found.input).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}

fn failure(target: Target, input: &[u8]) -> Option<Found> {
    let error = target.check(input).err()?;
    let shortest = shorten(input, |input| target.check(input).is_err());
    let why = target.check(&shortest).err().unwrap_or(error);
    Some(Found { input: shortest, why: format!("{why:#}") })
}

/// Leaves pieces out, large ones first, as long as the input still fails.
fn shorten(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut shortest = input.to_vec();
    let mut size = shortest.len() / 2;
    while size > 0 {
        let mut start = 0;
        while start < shortest.len() {
            let end = (start + size).min(shortest.len());
            let mut shorter = shortest.clone();
            shorter.drain(start..end);
            if fails(&shorter) {
                shortest = shorter;
            } else {
                start = end;
            }
        }
        size /= 2;
    }
    shortest
}

const CHANGES_MAX: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_input_is_made_short() {
        let input = b"a long text with a needle in its middle and more behind";
        let fails = |input: &[u8]| input.windows(6).any(|window| window == b"needle");
        assert_eq!(shorten(input, fails), b"needle");
    }
}
