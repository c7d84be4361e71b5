//! A store in this process, for tests and for trying a pipeline out.
//!
//! Owns its content under one lock, so that each call is one atomic step. It never forgets by itself and survives nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{
    DOCUMENT, FIRST_START, Flush, FlushOutcome, FoundKey, HEAD, Loaded, Parts, PublicValue, Publication,
    PublishOutcome, StoredHead, Token, WORKERS, tail,
};
use crate::state::{Scope, Wanted, WantedParts};

/// A store in this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Store {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    partitions: BTreeMap<i32, Partition>,
    first_start: Option<Vec<u8>>,
    document: Option<String>,
    keys: BTreeMap<String, PublicValue>,
    reports: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Partition {
    head: StoredHead,
    scopes: BTreeMap<Scope, Parts>,
}

impl Store {
    /// The public keys besides the document and the reports, by what follows `rollcall:{<id>}:`.
    pub fn public_keys(&self) -> BTreeMap<String, PublicValue> {
        self.content().keys.clone()
    }

    /// Forgets everything, as a Redis that lost its data does.
    pub fn clear(&self) {
        *self.content() = Content::default();
    }

    pub(super) fn heads(&self, partitions: &[i32]) -> Vec<Option<StoredHead>> {
        let content = self.content();
        partitions
            .iter()
            .map(|number| content.partitions.get(number).map(|partition| partition.head.clone()))
            .collect()
    }

    pub(super) fn tokens(&self, partitions: &[i32]) -> Vec<Option<Token>> {
        let content = self.content();
        partitions.iter().map(|number| content.token(*number)).collect()
    }

    pub(super) fn load(&self, partition: i32, expected: &str, wanted: &[Wanted]) -> Loaded {
        let content = self.content();
        let stored = match content.partitions.get(&partition) {
            Some(stored) if stored.head.token == expected => stored,
            other => return Loaded::Moved(other.map(|stored| stored.head.token.clone())),
        };
        let mut loaded: BTreeMap<Scope, Parts> = BTreeMap::new();
        for wish in wanted {
            let found = loaded.entry(wish.scope).or_default();
            let Some(parts) = stored.scopes.get(&wish.scope) else {
                continue;
            };
            match &wish.parts {
                WantedParts::All => found.extend(parts.clone()),
                WantedParts::Only(name) => {
                    found.extend(parts.get_key_value(name).map(|(name, blob)| (name.clone(), blob.clone())));
                }
            }
        }
        Loaded::Parts(loaded)
    }

    pub(super) fn flush(&self, flush: &Flush) -> FlushOutcome {
        let mut content = self.content();
        let stored = content.token(flush.partition);
        if stored.as_ref() == Some(&flush.token) {
            return FlushOutcome::Applied;
        }
        if stored != flush.expected {
            return FlushOutcome::Conflict(stored);
        }
        let partition = content.partitions.entry(flush.partition).or_insert_with(|| Partition {
            head: StoredHead { token: String::new(), fields: BTreeMap::new() },
            scopes: BTreeMap::new(),
        });
        for scope in &flush.drops {
            partition.scopes.remove(scope);
        }
        for (scope, name) in &flush.deletes {
            if let Some(parts) = partition.scopes.get_mut(scope) {
                parts.remove(name);
            }
        }
        for (scope, name, blob) in &flush.puts {
            partition.scopes.entry(*scope).or_default().insert(name.clone(), blob.clone());
        }
        partition.head.fields.extend(flush.head.clone());
        partition.head.token.clone_from(&flush.token);
        FlushOutcome::Applied
    }

    pub(super) fn first_start(&self, proposal: &[u8]) -> Vec<u8> {
        self.content().first_start.get_or_insert_with(|| proposal.to_vec()).clone()
    }

    pub(super) fn keys(&self) -> BTreeSet<FoundKey> {
        let content = self.content();
        let key = |owner: &str, name: &str| FoundKey { owner: owner.to_owned(), name: name.to_owned() };
        let mut keys: BTreeSet<FoundKey> = content.keys.keys().map(|name| key("", name)).collect();
        keys.extend(content.document.is_some().then(|| key("", DOCUMENT)));
        keys.extend((!content.reports.is_empty()).then(|| key("", WORKERS)));
        keys.extend(content.first_start.is_some().then(|| key("/0", FIRST_START)));
        for (number, partition) in &content.partitions {
            let owner = format!("/{number}");
            keys.insert(key(&owner, HEAD));
            let filled = partition.scopes.iter().filter(|(_, parts)| !parts.is_empty());
            keys.extend(filled.map(|(scope, _)| key(&owner, &scope.to_string())));
        }
        keys
    }

    pub(super) fn published(&self) -> Option<String> {
        self.content().document.clone()
    }

    pub(super) fn publish(&self, publication: &Publication) -> PublishOutcome {
        let mut content = self.content();
        if content.document.as_deref().map(tail) != publication.expected_tail {
            return PublishOutcome::Conflict;
        }
        for name in &publication.removed {
            content.keys.remove(name);
        }
        for (name, value) in &publication.keys {
            let empty = match value {
                PublicValue::SortedSet(members) => members.is_empty(),
                PublicValue::Hash(fields) => fields.is_empty(),
            };
            if empty {
                content.keys.remove(name);
            } else {
                content.keys.insert(name.clone(), value.clone());
            }
        }
        for worker in &publication.removed_workers {
            content.reports.remove(worker);
        }
        content.document = Some(publication.document.clone());
        PublishOutcome::Applied
    }

    pub(super) fn report(&self, worker: &str, json: &str) {
        self.content().reports.insert(worker.to_owned(), json.to_owned());
    }

    pub(super) fn remove_report(&self, worker: &str) {
        self.content().reports.remove(worker);
    }

    pub(super) fn reports(&self) -> BTreeMap<String, String> {
        self.content().reports.clone()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("no holder of this lock can panic")
    }
}

impl Content {
    fn token(&self, partition: i32) -> Option<Token> {
        self.partitions.get(&partition).map(|partition| partition.head.token.clone())
    }
}
