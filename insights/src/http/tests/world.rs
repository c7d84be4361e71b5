//! A pipeline as its workers leave it in a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::{Context, MANIFEST, Merge, Progress};
use crate::record::Reason;
use crate::spec::PipelineSpec;
use crate::state::testing::{Stored, count, login, spec};
use crate::state::{Layout, PartitionState, Scope, Wanted, WantedParts};
use crate::store::{Flush, FlushOutcome, Parts, Publication, PublishOutcome, Store, tail};
use crate::time::Day;

/// One pipeline with dimension `device` and distinct `user`s, and its store.
pub(super) struct World {
    pub(super) store: Store,
    spec: PipelineSpec,
    merge: Merge,
    partitions: BTreeMap<i32, Partition>,
    nonce: u64,
}

struct Partition {
    state: PartitionState,
    stored: Stored,
    token: Option<String>,
    position: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let spec = spec(&["device"], &["user"]);
        let merge = Merge::new(&spec);
        Self { store: Store::memory(), spec, merge, partitions: BTreeMap::new(), nonce: 0 }
    }

    fn partition(&mut self, number: i32) -> &mut Partition {
        let new = || Partition {
            state: PartitionState::new(Arc::new(Layout::new(&self.spec, &[]))),
            stored: Stored::default(),
            token: None,
            position: 0,
        };
        self.partitions.entry(number).or_insert_with(new)
    }

    pub(super) fn login(&mut self, partition: i32, time_ms: i64, is_processed: bool, device: &str) {
        let partition = self.partition(partition);
        let login = login(time_ms, is_processed, &[device], &[Some("u")]);
        count(&mut partition.state, &partition.stored, &login);
        partition.position += 1;
    }

    pub(super) fn reject(&mut self, partition: i32) {
        let partition = self.partition(partition);
        partition.state.count_dead_letter(Reason::TooLarge);
        partition.position += 1;
    }

    /// Writes what was counted, as a worker does.
    pub(super) async fn flush(&mut self) {
        for (number, partition) in &mut self.partitions {
            self.nonce += 1;
            let changes = partition.state.take_changes(self.nonce);
            partition.stored.apply(changes.clone());
            let token = format!("1-ab|{}|{:016x}", partition.position, self.nonce);
            let flush = Flush {
                partition: *number,
                expected: partition.token.replace(token.clone()),
                token,
                head: BTreeMap::from([(MANIFEST.to_owned(), changes.manifest)]),
                drops: changes.drops,
                puts: changes.puts,
                deletes: changes.deletes,
            };
            assert_eq!(self.store.flush(&flush).await.unwrap(), FlushOutcome::Applied);
        }
    }

    /// Publishes what was written, and gives the document.
    pub(super) async fn publish(&mut self, now_ms: i64) -> String {
        let today = self.merge.today(now_ms);
        for (number, partition) in &self.partitions {
            let wanted = self.merge.wanted(*number, &partition.stored.manifest, today).unwrap();
            let mut parts: BTreeMap<Scope, Parts> = BTreeMap::new();
            for Wanted { scope, parts: which } in &wanted {
                let mut stored = partition.stored.parts(*scope);
                if let WantedParts::Only(name) = which {
                    stored.retain(|stored, _| stored == name);
                }
                parts.insert(*scope, stored);
            }
            let progress = Progress {
                position: partition.position,
                incarnation: "1-ab".into(),
                gaps: Vec::new(),
                output_refused: 0,
            };
            self.merge.update(*number, progress, &partition.stored.manifest, &parts).unwrap();
        }
        self.nonce += 1;
        let published = self.merge.document(&Context {
            published_at_ms: now_ms,
            complete_through_ms: (now_ms % 2 == 0).then_some(now_ms),
            rebuilding: None,
            rebuilt_with_revision: None,
            nonce: format!("{:016x}", self.nonce),
        });
        self.put(&published.document).await;
        published.document
    }

    /// Publishes any text.
    pub(super) async fn put(&self, document: &str) {
        let publication = Publication {
            expected_tail: self.store.published().await.unwrap().as_deref().map(tail),
            document: document.to_owned(),
            keys: BTreeMap::new(),
            removed: Vec::new(),
            removed_workers: Vec::new(),
        };
        assert_eq!(self.store.publish(&publication).await.unwrap(), PublishOutcome::Applied);
    }
}

/// A moment of a day.
pub(super) fn at(day: &str, hour: i64, minute: i64) -> i64 {
    Day::parse(day).unwrap().start_ms() + (hour * 60 + minute) * 60_000
}

/// A store that nobody serves.
#[cfg(feature = "redis")]
pub(super) fn away() -> Store {
    let url = crate::spec::RedisUrl::parse("redis://127.0.0.1:1").unwrap();
    Store::redis(url.into(), "away")
}
