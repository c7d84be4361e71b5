//! The names of all keys that Rollcall has in Redis.
//!
//! Owns the layout, in which the braces keep what changes together in one slot of a cluster. It never reads or writes.

use crate::state::Scope;

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
        format!("rollcall:{{{}/{partition}}}:head", self.pipeline)
    }

    /// The hash with the parts of a scope.
    pub(super) fn scope(&self, partition: i32, scope: Scope) -> String {
        format!("rollcall:{{{}/{partition}}}:{scope}", self.pipeline)
    }

    /// The string that tells how the pipeline started first.
    pub(super) fn first_start(&self) -> String {
        format!("rollcall:{{{}/0}}:first-start", self.pipeline)
    }

    /// The string with the published document.
    pub(super) fn document(&self) -> String {
        self.public("insights")
    }

    /// The hash with the workers' reports.
    pub(super) fn workers(&self) -> String {
        self.public("workers")
    }

    /// A public key.
    pub(super) fn public(&self, name: &str) -> String {
        format!("rollcall:{{{}}}:{name}", self.pipeline)
    }
}
