//! Owns numbers that look random and follow from a seed (`SplitMix64`). Never asks the system for any.

/// The generator.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number below the limit, which is not 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a length fits 64 bits");
        usize::try_from(self.next() % limit).expect("smaller than a length")
    }

    /// True in `parts` of `whole` cases.
    pub(super) fn chance(&mut self, parts: u64, whole: u64) -> bool {
        self.next() % whole < parts
    }

    pub(super) fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from.get(self.below(from.len())).expect("the index is below the length")
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = self.below(end + 1);
            items.swap(end, other);
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
