//! Publications: the merge of all partitions' states, written for everybody to read.
//!
//! Owns when the insights are published and what of the former publication goes. A publication never goes backwards: while
//! states are counted again, the old document stays and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use insights::document::{self, GapReason, Merge, Progress};
use insights::report::GONE_AFTER;
use insights::store::{Error, Loaded, Publication, PublishOutcome, Store, StoredHead, Token, tail};
use serde_json::Value;

use super::former::{Vector, keys_of, vector_of, with_keys};
use super::report::{complete_through_ms, silent_for};
use super::{Away, Context, read_head, read_history};
use crate::clock::now_ms;
use crate::crash::{self, Point};
use crate::protocol::progress::{Gap, Head, counter};
use crate::pump::run::MANIFEST;

/// Publishes when something changed.
pub(crate) struct Publisher {
    merge: Merge,
    revision: u64,
    /// The tokens whose states are merged, by partition.
    tokens: BTreeMap<i32, Token>,
    heads: BTreeMap<i32, Head>,
    /// The tail of the document that this publisher wrote last.
    tail: Option<String>,
    checked_at: Instant,
    /// Since when a publication has been due that partition 0's owner did not make.
    overdue_since: Option<Instant>,
}

impl Publisher {
    /// Has merged nothing yet.
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            merge: Merge::new(&context.spec),
            revision: context.spec.revision,
            tokens: BTreeMap::new(),
            heads: BTreeMap::new(),
            tail: None,
            checked_at: Instant::now(),
            overdue_since: None,
        }
    }

    /// Publishes if this is the publisher's turn: always for partition 0's owner, for others when he is late.
    pub(crate) async fn tick(&mut self, context: &Arc<Context>) {
        let publishes = context.publishes.load(Ordering::Relaxed);
        let late_after = context.spec.insights.publish_every * 2;
        if !publishes && self.checked_at.elapsed() < late_after.max(LATE_AFTER_MIN) {
            return;
        }
        let result = if publishes {
            self.publish(context).await.map(|_| ())
        } else {
            self.publish_if_late(context).await
        };
        if let Err(error) = result {
            tracing::debug!(%error, "failed to publish the insights: tried again soon");
        }
    }

    /// Publishes now, if Redis is there.
    pub(crate) async fn publish_now(&mut self, context: &Arc<Context>) {
        for _ in 0..ATTEMPTS {
            match self.publish(context).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "failed to publish the insights"),
            }
        }
    }

    /// Publishes what this worker flushed last; waits a little for Redis.
    pub(crate) async fn publish_last(&mut self, context: &Arc<Context>) {
        let mut away = Away::new("Redis");
        let deadline = Instant::now() + LAST_LIMIT;
        while Instant::now() < deadline {
            match self.publish(context).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => away.pause(&error).await,
            }
        }
    }

    async fn publish_if_late(&mut self, context: &Arc<Context>) -> Result<(), Error> {
        self.checked_at = Instant::now();
        let stored = tokens(context).await?;
        if stored == self.tokens {
            self.overdue_since = None;
            return Ok(());
        }
        let document = context.store.published().await?;
        self.refresh(context, &stored).await?;
        let is_late = document.as_deref().map(vector_of) != Some(self.vector());
        if !is_late {
            self.overdue_since = None;
        } else if self.overdue_since.get_or_insert_with(Instant::now).elapsed() >= LATE_AFTER_MIN {
            self.publish(context).await?;
        }
        Ok(())
    }

    /// Publishes unless nothing changed; false when somebody else's write came between and it must be tried again.
    async fn publish(&mut self, context: &Arc<Context>) -> Result<bool, Error> {
        let stored = tokens(context).await?;
        let is_checked = self.checked_at.elapsed() < CHECK_EVERY;
        if stored == self.tokens && self.tail.is_some() && is_checked {
            return Ok(true);
        }
        self.checked_at = Instant::now();
        let document = context.store.published().await?;
        let found = document.as_deref().map(tail);
        if stored == self.tokens && found.is_some() && found == self.tail {
            return Ok(true);
        }
        let is_whole = self.refresh(context, &stored).await?;
        let vector = self.vector();
        let former = document.as_deref().map(vector_of).unwrap_or_default();
        let falls =
            former.iter().any(|(partition, place)| vector.get(partition).is_none_or(|now| now < place));
        if falls {
            return self.mark_rebuilding(context, document.as_deref().unwrap_or_default(), &former).await;
        }
        if vector.is_empty() {
            return Ok(true);
        }
        let applied = self.write(context, document.as_deref()).await?;
        Ok(applied && is_whole)
    }

    /// Merges every state that changed; false when one moved while it was read.
    async fn refresh(
        &mut self,
        context: &Arc<Context>,
        stored: &BTreeMap<i32, Token>,
    ) -> Result<bool, Error> {
        let known: Vec<i32> = self.tokens.keys().copied().collect();
        for partition in known {
            if !stored.contains_key(&partition) {
                self.forget(partition);
            }
        }
        let today = self.merge.today(now_ms());
        let changed: Vec<i32> = stored
            .iter()
            .filter(|(partition, token)| self.tokens.get(partition) != Some(token))
            .map(|(partition, _)| *partition)
            .collect();
        let mut is_whole = true;
        let heads = context.store.heads(&changed).await?;
        for (partition, head) in changed.into_iter().zip(heads) {
            let Some(head) = head else { continue };
            self.adopt_revision(context, &head);
            is_whole &= self.merge_partition(context, partition, &head, today).await?;
        }
        Ok(is_whole)
    }

    async fn merge_partition(
        &mut self,
        context: &Arc<Context>,
        partition: i32,
        stored: &StoredHead,
        today: insights::time::Day,
    ) -> Result<bool, Error> {
        let head = match read_head(stored) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(damaged(partition, &"its head cannot be read")),
            Err(error) => return Ok(damaged(partition, &error)),
        };
        if self
            .heads
            .get(&partition)
            .is_some_and(|known| known.incarnation != head.incarnation || known.next > head.next)
        {
            self.forget(partition);
        }
        let manifest = stored.fields.get(MANIFEST).map_or(&[][..], Vec::as_slice);
        let wanted = match self.merge.wanted(partition, manifest, today) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(damaged(partition, &error)),
        };
        let parts = match context.store.load(partition, &stored.token, &wanted).await? {
            Loaded::Parts(parts) => parts,
            Loaded::Moved(_) => return Ok(false),
        };
        let progress = Progress {
            position: head.next,
            incarnation: head.incarnation.clone(),
            gaps: head.gaps.iter().filter_map(gap).collect(),
            output_refused: head.delivery.output_refused,
        };
        if let Err(error) = self.merge.update(partition, progress, manifest, &parts) {
            self.merge.forget(partition);
            return Ok(damaged(partition, &error));
        }
        self.tokens.insert(partition, stored.token.clone());
        self.heads.insert(partition, head);
        Ok(true)
    }

    fn forget(&mut self, partition: i32) {
        self.merge.forget(partition);
        self.tokens.remove(&partition);
        self.heads.remove(&partition);
    }

    /// Publishes as the newest revision says that any partition has taken up.
    fn adopt_revision(&mut self, context: &Context, stored: &StoredHead) {
        let Some(newest) = read_history(stored).and_then(|history| history.revisions.into_iter().next_back())
        else {
            return;
        };
        if newest.revision <= self.revision {
            return;
        }
        match context.spec.with_text(&newest.text, newest.revision) {
            Ok(spec) => {
                self.merge = Merge::new(&spec);
                self.revision = newest.revision;
                self.tokens.clear();
                self.heads.clear();
            }
            Err(error) => tracing::warn!(%error, "failed to publish by the newest revision"),
        }
    }

    fn vector(&self) -> Vector {
        self.heads
            .iter()
            .map(|(partition, head)| (*partition, (counter(&head.incarnation), head.next)))
            .collect()
    }

    async fn write(&mut self, context: &Arc<Context>, former: Option<&str>) -> Result<bool, Error> {
        let reports = context.store.reports().await?;
        let (counted, due) = self.heads.values().fold((0_i64, 0_i64), |(counted, due), head| {
            (counted + head.next - head.base, due + head.kafka_next.max(head.next) - head.base)
        });
        let published = self.merge.document(&document::Context {
            published_at_ms: now_ms(),
            complete_through_ms: complete_through_ms(&reports, &self.heads),
            rebuilding: (counted < due).then(|| share(counted, due)),
            rebuilt_with_revision: self.heads.values().filter_map(|head| head.rebuilt_with_revision).max(),
            nonce: format!("{:016x}", rand::random::<u64>()),
        });
        let names: BTreeSet<&String> = published.keys.keys().collect();
        let removed = former.map(keys_of).unwrap_or_default();
        let removed = removed.into_iter().filter(|name| !names.contains(name)).collect();
        let document = with_keys(&published.document, &names);
        let written = tail(&document);
        let publication = Publication {
            expected_tail: former.map(tail),
            document,
            keys: published.keys,
            removed,
            removed_workers: silent_for(GONE_AFTER, &reports),
        };
        crash::point(Point::Publishing);
        let applied = context.store.publish(&publication).await? == PublishOutcome::Applied;
        crash::point(Point::Published);
        self.tail = applied.then_some(written);
        if applied {
            self.overdue_since = None;
        }
        Ok(applied)
    }

    /// The old document stays, and says how far the new count is.
    async fn mark_rebuilding(
        &mut self,
        context: &Arc<Context>,
        former: &str,
        places: &Vector,
    ) -> Result<bool, Error> {
        let Ok(mut document) = serde_json::from_str::<Value>(former) else {
            return Ok(true);
        };
        let now = self.vector();
        let due: i64 = places.values().map(|(_, next)| next).sum();
        let counted = places
            .iter()
            .map(|(partition, place)| now.get(partition).map_or(0, |now| now.1.min(place.1)))
            .sum();
        let Some(fields) = document.as_object_mut() else {
            return Ok(true);
        };
        fields.remove("publication");
        fields.insert("rebuilding".to_owned(), Value::Bool(true));
        fields.insert("rebuilt".to_owned(), share(counted, due).into());
        let mut text = document.to_string();
        text.truncate(text.len().saturating_sub(1));
        let document = format!("{text},\"publication\":\"{:016x}\"}}", rand::random::<u64>());
        let written = tail(&document);
        let publication = Publication {
            expected_tail: Some(tail(former)),
            document,
            keys: BTreeMap::new(),
            removed: Vec::new(),
            removed_workers: Vec::new(),
        };
        let applied = context.store.publish(&publication).await? == PublishOutcome::Applied;
        self.tail = applied.then_some(written);
        Ok(applied)
    }
}

/// The published document; none when nothing was ever published.
pub(crate) async fn read_document(store: &Store) -> Result<Option<String>, Error> {
    store.published().await
}

async fn tokens(context: &Arc<Context>) -> Result<BTreeMap<i32, Token>, Error> {
    let all: Vec<i32> = (0..context.partitions.load(Ordering::Relaxed)).collect();
    let stored = context.store.tokens(&all).await?;
    Ok(all.into_iter().zip(stored).filter_map(|(partition, token)| Some((partition, token?))).collect())
}

fn damaged(partition: i32, error: &dyn std::fmt::Display) -> bool {
    tracing::warn!(partition, %error, "a stored state cannot be merged: its owner counts it again");
    true
}

/// A stored gap, as a document shows it.
pub(crate) fn gap(gap: &Gap) -> Option<document::Gap> {
    let reason = GapReason::ALL.into_iter().find(|reason| reason.code() == gap.reason)?;
    Some(document::Gap { from: gap.from, to: gap.to, reason })
}

#[expect(clippy::cast_precision_loss, reason = "a share is an estimate")]
fn share(part: i64, whole: i64) -> f64 {
    if whole <= 0 { 1.0 } else { ((part as f64 / whole as f64) * 1000.0).round() / 1000.0 }
}

/// How often the stored document is looked at although nothing was flushed: it may have been rolled back.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// How long others wait for partition 0's owner at least.
const LATE_AFTER_MIN: Duration = Duration::from_secs(2);

/// How often a publication is tried that others' writes come between.
const ATTEMPTS: u32 = 5;

/// How long the last publication waits for Redis.
const LAST_LIMIT: Duration = Duration::from_secs(3);
