//! The names of all keys that Rollcall has in Redis.
//!
//! Owns the layout, in which the braces keep what changes together in one slot of a cluster. It never reads or writes.

use crate::state::Scope;
use crate::store::{DOCUMENT, FIRST_START, FoundKey, HEAD, WORKERS};

/// The keys of one pipeline.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pipeline: String,
}

impl Keys {
    pub(super) fn new(pipeline: &str) -> Self {
        Self { pipeline: pipeline.to_owned() }
    }

    /// The hash with a partition's token and head.
    pub(super) fn head(&self, partition: i32) -> String {
        format!("rollcall:{{{}/{partition}}}:{HEAD}", self.pipeline)
    }

    /// The hash with the parts of a scope.
    pub(super) fn scope(&self, partition: i32, scope: Scope) -> String {
        format!("rollcall:{{{}/{partition}}}:{scope}", self.pipeline)
    }

    /// The string that tells how the pipeline started first.
    pub(super) fn first_start(&self) -> String {
        format!("rollcall:{{{}/0}}:{FIRST_START}", self.pipeline)
    }

    /// The string with the published document.
    pub(super) fn document(&self) -> String {
        self.public(DOCUMENT)
    }

    /// The hash with the workers' reports.
    pub(super) fn workers(&self) -> String {
        self.public(WORKERS)
    }

    /// A public key.
    pub(super) fn public(&self, name: &str) -> String {
        format!("rollcall:{{{}}}:{name}", self.pipeline)
    }

    /// A pattern that matches all keys of the pipeline, and those of others whose id begins as its own does: an id has no
    /// character that a pattern takes for anything but itself.
    pub(super) fn pattern(&self) -> String {
        format!("rollcall:{{{}*", self.pipeline)
    }

    /// What this key is to the pipeline; none when it is another's.
    pub(super) fn recognise(&self, key: &str) -> Option<FoundKey> {
        let rest = key.strip_prefix("rollcall:{")?.strip_prefix(&self.pipeline)?;
        let (owner, name) = rest.split_once("}:")?;
        let is_own = owner.is_empty() || owner.starts_with('/');
        is_own.then(|| FoundKey { owner: owner.to_owned(), name: name.to_owned() })
    }
}
