//! How far each reason's letters were replayed in a partition of the dead-letter topic.
//!
//! Committed with the replayed records, in one transaction: a letter goes back once, whatever ends a replay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The next offset of each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Reasons that were replayed further than `all`.
    #[serde(default)]
    by_reason: BTreeMap<String, i64>,
    /// Up to here every letter was replayed or passed over.
    #[serde(default)]
    all: i64,
}

impl Progress {
    /// Reads what was committed; what cannot be read is another tool's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self::default()) } else { serde_json::from_str(text).ok() }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain data is JSON")
    }

    /// Where reading must begin for `reason`, or for all.
    pub(super) fn start(&self, reason: Option<&str>) -> i64 {
        reason.map_or(self.all, |reason| self.next_of(reason))
    }

    /// Whether a letter of this reason at this offset was replayed.
    pub(super) fn is_done(&self, reason: &str, offset: i64) -> bool {
        offset < self.next_of(reason)
    }

    /// Everything below `next` is done, of one reason or of all.
    pub(super) fn advance(&mut self, reason: Option<&str>, next: i64) {
        match reason {
            Some(reason) => {
                let next = next.max(self.next_of(reason));
                self.by_reason.insert(reason.to_owned(), next);
            }
            None => self.all = self.all.max(next),
        }
        let all = self.all;
        self.by_reason.retain(|_, next| *next > all);
    }

    fn next_of(&self, reason: &str) -> i64 {
        self.by_reason.get(reason).copied().unwrap_or(0).max(self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_goes_on_from_where_it_was() {
        let mut progress = Progress::default();
        progress.advance(Some("not_json"), 10);
        assert!(progress.is_done("not_json", 9) && !progress.is_done("not_json", 10));
        assert!(!progress.is_done("missing_field", 0));
        assert_eq!((progress.start(Some("not_json")), progress.start(None)), (10, 0));
        progress.advance(None, 7);
        assert!(progress.is_done("missing_field", 6) && progress.is_done("not_json", 9));
        progress.advance(None, 12);
        assert_eq!(progress.to_text(), r#"{"by_reason":{},"all":12}"#);
        assert_eq!(Progress::parse(&progress.to_text()), Some(progress));
        assert_eq!(Progress::parse(""), Some(Progress::default()));
        assert_eq!(Progress::parse("x"), None);
    }
}
