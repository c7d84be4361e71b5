//! What follows a transaction that did not end as it should.
//!
//! Owns the rule that a commit whose outcome is unknown is never repeated: what is committed is asked instead.

use crate::client::Kind;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The transaction is aborted, and what it delivered is delivered again.
    Abort,
    /// The same, and the group's generation is asked for anew: it moved on.
    AbortAsFenced,
    /// Another producer may have taken the transactional id.
    Fenced,
    /// A new producer, whose epoch fences what is under way; then every position is derived from what is committed.
    Replace,
}

/// After a failed commit. `in_doubt`: it may have been carried out.
pub(crate) fn after_commit(kind: Kind, in_doubt: bool) -> Next {
    match kind {
        Kind::ProducerFenced => Next::Fenced,
        Kind::Fenced => Next::AbortAsFenced,
        Kind::Abort if !in_doubt => Next::Abort,
        _ => Next::Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_commit_that_was_surely_refused_is_aborted() {
        assert_eq!(after_commit(Kind::Abort, false), Next::Abort);
        for (kind, in_doubt) in [(Kind::Abort, true), (Kind::Other, true), (Kind::Fatal, false)] {
            assert_eq!(after_commit(kind, in_doubt), Next::Replace, "{kind:?}");
        }
    }
}
