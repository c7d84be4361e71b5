//! Where partition states, publications and workers' reports are kept, behind one small seam.
//!
//! Owns atomicity: a flush or a publication happens whole or not at all, and only on top of what the caller has seen. It
//! never looks into the blobs that it is given.

mod error;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;

use std::collections::{BTreeMap, BTreeSet};

pub use self::error::Error;
use crate::state::{PartName, Scope, Wanted};

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

/// All public keys of a pipeline, written in one atomic step. Without `keys` and `removed` it only rewrites the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The [`tail`] of the document that must be stored now; none: no document may be stored.
    pub expected_tail: Option<String>,
    /// The JSON document. It ends with `"publication":"<nonce>"}`, the nonce being [`NONCE_LENGTH`] bytes long.
    pub document: String,
    /// The other keys, by what follows `rollcall:{<id>}:`, such as `by:device_type` or `totals`. An empty value removes its key.
    pub keys: BTreeMap<String, PublicValue>,
    /// Keys of the former publication that go, by the same names.
    pub removed: Vec<String>,
    /// Workers whose report goes.
    pub removed_workers: Vec<String>,
}

/// A key of the pipeline, as it was found: `rollcall:{<id><owner>}:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundKey {
    /// Nothing for the public keys, `/` and the number of its partition for any other.
    pub owner: String,
    /// What follows the braces.
    pub name: String,
}

/// What is published since somebody looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// Still the same document.
    Same,
    /// No document.
    Nothing,
    /// Another document.
    Document(String),
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is stored.
    Applied,
    /// Another document is stored; nothing was written.
    Conflict,
}

/// The end of a document, by which [`Store::publish`] knows it again: its last [`TAIL_LENGTH`] bytes, or a few less where
/// they would begin within a character.
pub fn tail(document: &str) -> String {
    let start = document.ceil_char_boundary(document.len().saturating_sub(TAIL_LENGTH));
    document.get(start..).expect("the start is a boundary").to_owned()
}

/// A place for partition states, publications and reports. Clones are cheap and share it.
#[derive(Clone)]
pub enum Store {
    /// In this process.
    Memory(memory::Store),
    /// In a Redis.
    #[cfg(feature = "redis")]
    Redis(redis::Store),
}

#[cfg_attr(
    not(feature = "redis"),
    expect(clippy::unused_async, reason = "the store in memory waits for nothing")
)]
impl Store {
    /// An empty store in this process.
    pub fn memory() -> Self {
        Self::Memory(memory::Store::default())
    }

    /// A pipeline's place in a Redis, which is connected to when it is first used.
    #[cfg(feature = "redis")]
    pub fn redis(address: redis::Address, pipeline: &str) -> Self {
        Self::Redis(redis::Store::new(address, pipeline))
    }

    /// Another pipeline's place, over the same connection; in memory, a place of its own.
    #[must_use]
    pub fn beside(&self, pipeline: &str) -> Self {
        match self {
            Self::Memory(_) => Self::memory(),
            #[cfg(feature = "redis")]
            Self::Redis(store) => Self::Redis(store.beside(pipeline)),
        }
    }

    /// The heads of partitions, in the order asked for; none where a partition has no state.
    pub async fn heads(&self, partitions: &[i32]) -> Result<Vec<Option<StoredHead>>, Error> {
        match self {
            Self::Memory(store) => Ok(store.heads(partitions)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.heads(partitions).await,
        }
    }

    /// The tokens of partitions, in the order asked for; none where a partition has no state.
    pub async fn tokens(&self, partitions: &[i32]) -> Result<Vec<Option<Token>>, Error> {
        match self {
            Self::Memory(store) => Ok(store.tokens(partitions)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.tokens(partitions).await,
        }
    }

    /// Reads parts of a partition as of the expected token.
    pub async fn load(&self, partition: i32, expected: &str, wanted: &[Wanted]) -> Result<Loaded, Error> {
        match self {
            Self::Memory(store) => Ok(store.load(partition, expected, wanted)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.load(partition, expected, wanted).await,
        }
    }

    /// Takes one step of a partition's state. After an error it may or may not have been taken: the same flush again tells,
    /// as it finds its own token.
    pub async fn flush(&self, flush: &Flush) -> Result<FlushOutcome, Error> {
        match self {
            Self::Memory(store) => Ok(store.flush(flush)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.flush(flush).await,
        }
    }

    /// Stores how the pipeline started first, unless that is known already; returns what is stored.
    pub async fn first_start(&self, proposal: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Memory(store) => Ok(store.first_start(proposal)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.first_start(proposal).await,
        }
    }

    /// What a public key holds, by what follows `rollcall:{<id>}:`; none when it is absent or of another type.
    pub async fn public_value(&self, name: &str) -> Result<Option<PublicValue>, Error> {
        match self {
            Self::Memory(store) => Ok(store.public_keys().remove(name)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.public_value(name).await,
        }
    }

    /// Every key that is the pipeline's by its name, whether anybody knows it or not. All of the database is gone through, a
    /// little at a time, so that others are not held up.
    pub async fn keys(&self) -> Result<BTreeSet<FoundKey>, Error> {
        match self {
            Self::Memory(store) => Ok(store.keys()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.keys().await,
        }
    }

    /// The published document, if there is one.
    pub async fn published(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Memory(store) => Ok(store.published()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.published().await,
        }
    }

    /// The [`tail`] of the published document, by which to tell cheaply whether it is still the same.
    pub async fn published_tail(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Memory(store) => Ok(store.published().as_deref().map(tail)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.published_tail().await,
        }
    }

    /// What is published, for who has seen the document with this tail: it is only read when it is another one.
    pub async fn published_since(&self, tail: Option<&str>) -> Result<Since, Error> {
        let stored = self.published_tail().await?;
        if stored.is_some() && stored.as_deref() == tail {
            return Ok(Since::Same);
        }
        let document = if stored.is_some() { self.published().await? } else { None };
        Ok(document.map_or(Since::Nothing, Since::Document))
    }

    /// Replaces the public keys. After an error it may or may not have been done: [`Store::published`] tells.
    pub async fn publish(&self, publication: &Publication) -> Result<PublishOutcome, Error> {
        match self {
            Self::Memory(store) => Ok(store.publish(publication)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.publish(publication).await,
        }
    }

    /// Writes the report of a worker.
    pub async fn report(&self, worker: &str, json: &str) -> Result<(), Error> {
        match self {
            Self::Memory(store) => {
                store.report(worker, json);
                Ok(())
            }
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.report(worker, json).await,
        }
    }

    /// Removes the report of a worker.
    pub async fn remove_report(&self, worker: &str) -> Result<(), Error> {
        match self {
            Self::Memory(store) => {
                store.remove_report(worker);
                Ok(())
            }
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.remove_report(worker).await,
        }
    }

    /// The workers' reports, by name.
    pub async fn reports(&self) -> Result<BTreeMap<String, String>, Error> {
        match self {
            Self::Memory(store) => Ok(store.reports()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.reports().await,
        }
    }

    /// Refuses a server that may evict our keys, or that does not tell.
    pub async fn check_server(&self) -> Result<(), Error> {
        match self {
            Self::Memory(_) => Ok(()),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.check_server().await,
        }
    }

    /// Connections that were opened so far: after each, the server may be another one, with older data.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.generation(),
        }
    }
}

/// The hash with a partition's token and head, by what follows the braces of its key.
pub const HEAD: &str = "head";

/// The string in partition 0's place that tells how the pipeline started first.
pub const FIRST_START: &str = "first-start";

/// The public string with the document.
pub const DOCUMENT: &str = "insights";

/// The public hash with the workers' reports.
pub const WORKERS: &str = "workers";

/// Bytes of a publication's nonce.
pub const NONCE_LENGTH: usize = 16;

/// Bytes of the end of a document that tell it from every other: the nonce, a quote and a brace.
pub const TAIL_LENGTH: usize = NONCE_LENGTH + 2;

#[cfg(test)]
mod tests;
