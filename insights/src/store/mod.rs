//! Where partition states, publications and workers' reports are kept, behind one small seam.
//!
//! Owns atomicity: a flush or a publication happens whole or not at all, and only on top of what the caller has seen. It
//! never looks into the blobs that it is given.

use std::collections::BTreeMap;

use crate::state::{PartName, Scope};

/// Identifies one flush of one partition: `<incarnation>|<next offset>|<nonce>`. Compared as a whole.
pub type Token = String;

/// The part of a partition's state that every worker needs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// The token of the flush that wrote it.
    pub token: Token,
    /// Named blobs: progress, manifest, specification history.
    pub fields: BTreeMap<String, Vec<u8>>,
}

/// The parts of one scope, by name.
pub type Parts = BTreeMap<PartName, Vec<u8>>;

/// What a load found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The parts of each scope that was asked for (empty where the store has none), all as of the expected token.
    Parts(BTreeMap<Scope, Parts>),
    /// Another flush happened meanwhile, or the state is gone; the token that is stored now.
    Moved(Option<Token>),
}

/// One atomic step of one partition's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// The partition.
    pub partition: i32,
    /// The token that must be stored now; none: the partition must have no state.
    pub expected: Option<Token>,
    /// The token that is stored then.
    pub token: Token,
    /// Fields of the head that are written.
    pub head: BTreeMap<String, Vec<u8>>,
    /// Scopes that are removed as a whole, before `puts`.
    pub drops: Vec<Scope>,
    /// Parts that are written.
    pub puts: Vec<(Scope, PartName, Vec<u8>)>,
    /// Single parts that are removed.
    pub deletes: Vec<(Scope, PartName)>,
}

/// What became of a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlushOutcome {
    /// It is stored (now, or by an earlier attempt whose answer was lost).
    Applied,
    /// Another token is stored; nothing was written.
    Conflict(Option<Token>),
}

/// The content of one public key.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicValue {
    /// A sorted set: member and score.
    SortedSet(Vec<(String, u64)>),
    /// A hash: field and value.
    Hash(Vec<(String, u64)>),
}

/// All public keys of a pipeline, written in one atomic step.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The nonce that must end the stored document now; none: no document may be stored.
    pub expected_nonce: Option<String>,
    /// The JSON document. It ends with `"publication":"<nonce>"}`, the nonce being [`NONCE_LENGTH`] bytes long.
    pub document: String,
    /// The other keys, by what follows `rollcall:{<id>}:`, such as `by:device_type` or `totals`.
    pub keys: BTreeMap<String, PublicValue>,
    /// Keys of the former publication that go, by the same names.
    pub removed: Vec<String>,
    /// Workers whose report goes.
    pub removed_workers: Vec<String>,
}

/// Bytes of a publication's nonce.
pub const NONCE_LENGTH: usize = 16;
