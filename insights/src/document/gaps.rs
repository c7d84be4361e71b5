//! Gaps: records that are lost or unreadable.
//!
//! Owns their order and how they join. It never decides that something is lost.

use serde::Serialize;

/// Records of one partition that are not in the insights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first missing source offset.
    pub from: i64,
    /// The first offset behind the gap.
    pub to: i64,
    /// Why.
    pub reason: GapReason,
}

/// Why records are not in the insights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapReason {
    /// The log no longer held them.
    Retention,
    /// The client could not read them.
    Unreadable,
    /// Neither topic took them.
    Undeliverable,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Retention, Self::Unreadable, Self::Undeliverable];

    /// The code in documents and heads.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Unreadable => "unreadable",
            Self::Undeliverable => "undeliverable",
        }
    }
}

/// A gap as the document shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PublishedGap {
    partition: i32,
    from: i64,
    to: i64,
    reason: &'static str,
}

/// A partition's gaps, sorted, merged where those of one reason touch.
pub(super) fn publish(partition: i32, gaps: &[Gap]) -> Vec<PublishedGap> {
    let mut sorted: Vec<Gap> = gaps.iter().copied().filter(|gap| gap.from < gap.to).collect();
    sorted.sort_by_key(|gap| (gap.reason, gap.from, gap.to));
    let mut merged: Vec<Gap> = Vec::new();
    for gap in sorted {
        match merged.last_mut() {
            Some(last) if last.reason == gap.reason && gap.from <= last.to => last.to = last.to.max(gap.to),
            _ => merged.push(gap),
        }
    }
    merged.sort_by_key(|gap| (gap.from, gap.to, gap.reason));
    let publish =
        |gap: Gap| PublishedGap { partition, from: gap.from, to: gap.to, reason: gap.reason.code() };
    merged.into_iter().map(publish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_join_where_they_touch_for_the_same_reason() {
        let gap = |from, to, reason| Gap { from, to, reason };
        let published = publish(
            3,
            &[
                gap(90, 95, GapReason::Retention),
                gap(10, 20, GapReason::Retention),
                gap(20, 30, GapReason::Retention),
                gap(30, 40, GapReason::Unreadable),
                gap(15, 17, GapReason::Undeliverable),
                gap(50, 50, GapReason::Undeliverable),
            ],
        );
        let expected =
            [(10, 30, "retention"), (15, 17, "undeliverable"), (30, 40, "unreadable"), (90, 95, "retention")];
        let expected = expected.map(|(from, to, reason)| PublishedGap { partition: 3, from, to, reason });
        assert_eq!(published, expected);
    }
}
