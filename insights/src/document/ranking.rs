//! The values of a dimension over all partitions, the largest first.
//!
//! Owns how tables merge and what is left of them in the document. It never drops a login: what is not named is in
//! `~other`, and what no table knows is `~unknown`.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::piece::PackedTable;
use crate::record::{OTHER, UNKNOWN};
use crate::state::Counts;

/// The merged table of one dimension.
#[derive(Debug, Default)]
pub(super) struct MergedTable<'a> {
    rows: HashMap<&'a str, Counts, FixedState>,
    other: Counts,
}

impl<'a> MergedTable<'a> {
    /// Adds a partition's table.
    pub(super) fn add(&mut self, table: &'a PackedTable) {
        self.other.add(table.other);
        for (value, counts) in table.rows() {
            self.rows.entry(value).or_default().add(counts);
        }
    }

    /// The `max_values` largest values by a count, then `~other` and `~unknown`, all without zeros. Their sum is `total`.
    pub(super) fn rank(
        &self,
        count: impl Fn(Counts) -> u64,
        total: u64,
        max_values: usize,
    ) -> Vec<(String, u64)> {
        let counted = self.rows.iter().map(|(value, counts)| (*value, count(*counts)));
        let mut rows: Vec<(&str, u64)> = counted.filter(|(_, count)| *count > 0).collect();
        rows.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let sum =
            |rows: &[(&str, u64)]| rows.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
        let (named, cut) = rows.split_at(max_values.min(rows.len()));
        let other = sum(cut).saturating_add(count(self.other));
        let unknown = total.saturating_sub(sum(named)).saturating_sub(other);
        let rest = [(OTHER, other), (UNKNOWN, unknown)].into_iter().filter(|(_, count)| *count > 0);
        named.iter().copied().chain(rest).map(|(value, count)| (value.to_owned(), count)).collect()
    }
}
