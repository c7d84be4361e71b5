//! HyperLogLog with 2^14 registers: how many distinct values there were, and how sure that is.
//!
//! Owns registers and the estimate. It never sees a value, only its keyed hash.

use std::f64::consts::LN_2;

/// Registers of a sketch: one for the first 14 bits of a hash, holding the longest run of zeros that followed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers(Box<[u8]>);

/// How many distinct values there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The best guess.
    pub value: u64,
    /// With `high`, the interval that holds the truth in 99.7 % of cases (three standard errors), rounded outward.
    pub low: u64,
    /// The interval's upper end.
    pub high: u64,
}

impl Default for Registers {
    fn default() -> Self {
        Self(vec![0; REGISTERS as usize].into_boxed_slice())
    }
}

impl Registers {
    /// Adds a hash, and tells which register it raised.
    #[inline]
    pub(super) fn add(&mut self, hash: u64) -> Option<usize> {
        let index = (hash >> (u64::BITS - PRECISION)) as usize;
        // The bit set below the remaining ones ends the run there.
        let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros().to_le_bytes()[0] + 1;
        let register = self.0.get_mut(index)?;
        if *register >= rank {
            return None;
        }
        *register = rank;
        Some(index)
    }

    /// Adds what another sketch under the same key has seen.
    pub fn merge(&mut self, other: &Self) {
        for (register, other) in self.0.iter_mut().zip(&other.0) {
            *register = (*register).max(*other);
        }
    }

    /// The registers in chunks, in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.0.chunks(REGISTERS_PER_CHUNK)
    }

    /// The registers in chunks, in order.
    pub(super) fn chunks_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.0.chunks_mut(REGISTERS_PER_CHUNK)
    }

    /// Estimates by Ertl's improved raw estimator (Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
    /// sketches", arXiv 1702.01284, algorithm 6), which needs no switch between ranges.
    ///
    /// The standard error is the smaller of the two that theory gives: of linear counting over the registers,
    /// sqrt(m (e^t - t - 1)) with t = n / m (Whang et al., 1990), which holds for few values, and of HyperLogLog,
    /// 1.04 n / sqrt(m) (Flajolet et al., 2007). The truth is never below the number of raised registers.
    pub fn estimate(&self) -> Estimate {
        let mut counts = [0_u32; REGISTER_MAX as usize + 1];
        for register in &self.0 {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let [zeros, between @ .., full] = counts;
        let m = f64::from(REGISTERS);
        let mut z = m * tau(1.0 - f64::from(full) / m);
        for count in between.iter().rev() {
            z = 0.5 * (z + f64::from(*count));
        }
        z += m * sigma(f64::from(zeros) / m);
        let value = m * m / (2.0 * LN_2 * z);
        let load = value / m;
        let deviation = (m * (load.exp() - load - 1.0)).max(0.0).sqrt().min(1.04 / m.sqrt() * value);
        let raised = f64::from(REGISTERS - zeros);
        let value = value.max(raised);
        Estimate {
            value: whole(value.round()),
            low: whole((value - 3.0 * deviation).floor().max(raised)),
            high: whole((value + 3.0 * deviation).ceil()),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut to the range of the type"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// x + sum of x^(2^k) 2^(k-1) over k from 1.
#[expect(clippy::float_cmp, reason = "the sum is done when it no longer changes")]
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        let before = z;
        x *= x;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// (1 - x - sum of (1 - x^(2^-k))^2 2^-k over k from 1) / 3.
#[expect(clippy::float_cmp, reason = "the sum is done when it no longer changes")]
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        let before = z;
        x = x.sqrt();
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Bits of a hash that choose its register: Google's and Redis' own choice, 0.8 % standard error.
const PRECISION: u32 = 14;

/// Registers of a sketch.
const REGISTERS: u32 = 1 << PRECISION;

/// Registers that are stored together: at most 768 bytes.
pub(super) const REGISTERS_PER_CHUNK: usize = 1024;

/// Chunks of a sketch.
pub(super) const CHUNKS: usize = REGISTERS as usize / REGISTERS_PER_CHUNK;

/// The largest value of a register: all 50 remaining bits are zero.
pub(super) const REGISTER_MAX: u8 = 51;

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::*;

    fn sketch_of(seed: u64, numbers: std::ops::Range<u64>) -> Registers {
        let hasher = SipHasher13::new_with_keys(seed, !seed);
        let mut registers = Registers::default();
        for number in numbers {
            registers.add(hasher.hash(&number.to_le_bytes()));
        }
        registers
    }

    #[test]
    fn the_interval_holds_the_truth() {
        for truth in [0, 1, 2, 100, 1000, 10_000, 30_000, 60_000, 100_000] {
            let mut missed = 0;
            for seed in 0..40 {
                let Estimate { value, low, high } = sketch_of(seed, 0..truth).estimate();
                assert!(low <= value && value <= high);
                missed += u32::from(truth < low || high < truth);
                assert!(25 * value.abs_diff(truth) <= truth, "{value} instead of {truth}");
            }
            assert!(missed <= 1, "{missed} of 40 intervals missed {truth}");
        }
    }

    #[test]
    fn a_million_values_are_within_the_interval() {
        for seed in 0..3 {
            let Estimate { low, high, .. } = sketch_of(seed, 0..1_000_000).estimate();
            assert!(low <= 1_000_000 && 1_000_000 <= high);
            assert!(high - low < 52_000);
        }
    }

    #[test]
    fn a_merge_is_as_if_one_had_seen_all() {
        let (left, right) = (sketch_of(1, 0..6000), sketch_of(1, 4000..9000));
        let mut merged = left.clone();
        merged.merge(&right);
        assert_eq!(merged, sketch_of(1, 0..9000));
        let mut other_way = right;
        other_way.merge(&left);
        assert_eq!(merged, other_way);
    }

    #[test]
    fn the_ends_of_the_range_are_no_trap() {
        assert_eq!(Registers::default().estimate(), Estimate { value: 0, low: 0, high: 0 });
        let mut registers = Registers::default();
        assert_eq!(u32::from(REGISTER_MAX), u64::BITS - PRECISION + 1);
        assert_eq!(registers.add(0), Some(0));
        assert_eq!(registers.0[0], REGISTER_MAX);
        assert_eq!(registers.add(u64::MAX), Some(REGISTERS as usize - 1));
        assert_eq!(registers.0[REGISTERS as usize - 1], 1);
        registers.0.fill(REGISTER_MAX);
        let full = registers.estimate();
        assert!(full.low <= full.value && full.value <= full.high);
    }
}
