//! Reads from a pipeline's states what the clocks of a time zone show.
//!
//! Owns what was read before: only what changed since is read again. It never holds a store.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::problem::Problem;
use crate::document::{InZone, MANIFEST, Zones};
use crate::store::{Loaded, Store, StoredHead, Token};

/// What is known of a pipeline's states.
#[derive(Debug, Default)]
pub(super) struct Zoned {
    zones: Zones,
    tokens: BTreeMap<i32, Token>,
}

/// A partition's place: the counter of its incarnation, then its position.
pub(super) type Places = BTreeMap<i32, (u64, i64)>;

impl Zoned {
    /// Hours and days of all that these partitions have counted, and how far that goes.
    pub(super) async fn read(
        &mut self,
        store: &Store,
        partitions: &[i32],
        zone: Tz,
    ) -> Result<(InZone, Places), Problem> {
        for _ in 0..ATTEMPTS {
            if self.refresh(store, partitions).await? {
                let places = self.tokens.iter().map(|(partition, token)| (*partition, place(token)));
                return Ok((self.zones.in_zone(zone), places.collect()));
            }
        }
        Err(Problem::unsettled("the counts changed while they were read, again and again: try once more"))
    }

    /// Reads what changed; false when a state moved while it was read.
    async fn refresh(&mut self, store: &Store, partitions: &[i32]) -> Result<bool, Problem> {
        let stored = store.tokens(partitions).await?;
        let stored: BTreeMap<i32, Option<Token>> = partitions.iter().copied().zip(stored).collect();
        let known: Vec<i32> = self.tokens.keys().copied().collect();
        for partition in known.into_iter().filter(|partition| !matches!(stored.get(partition), Some(Some(_))))
        {
            self.forget(partition);
        }
        let changed: Vec<i32> = stored
            .into_iter()
            .filter(|(partition, token)| token.is_some() && self.tokens.get(partition) != token.as_ref())
            .map(|(partition, _)| partition)
            .collect();
        let heads = store.heads(&changed).await?;
        let mut is_whole = true;
        for (partition, head) in changed.into_iter().zip(heads) {
            match head {
                Some(head) => is_whole &= self.take(store, partition, head).await?,
                None => is_whole = false,
            }
        }
        Ok(is_whole)
    }

    async fn take(&mut self, store: &Store, partition: i32, head: StoredHead) -> Result<bool, Problem> {
        let goes_on = self.tokens.get(&partition).is_none_or(|known| {
            incarnation(known) == incarnation(&head.token) && place(known) <= place(&head.token)
        });
        if !goes_on {
            self.forget(partition);
        }
        let manifest = head.fields.get(MANIFEST).map_or(&[][..], Vec::as_slice);
        let wanted = self.zones.wanted(partition, manifest).map_err(|error| damaged(partition, &error))?;
        let parts = match store.load(partition, &head.token, &wanted).await? {
            Loaded::Parts(parts) => parts,
            Loaded::Moved(_) => return Ok(false),
        };
        self.zones.update(partition, manifest, &parts).map_err(|error| damaged(partition, &error))?;
        self.tokens.insert(partition, head.token);
        Ok(true)
    }

    fn forget(&mut self, partition: i32) {
        self.zones.forget(partition);
        self.tokens.remove(&partition);
    }
}

fn damaged(partition: i32, error: &crate::state::Error) -> Problem {
    tracing::debug!(partition, %error, "a stored state cannot be read");
    Problem::unsettled("a stored state cannot be read: its worker counts it again")
}

fn incarnation(token: &str) -> &str {
    token.split('|').next().unwrap_or_default()
}

/// The place that a token names: `<counter>-<random>|<position>|<nonce>`.
fn place(token: &str) -> (u64, i64) {
    let position = token.split('|').nth(1).and_then(|position| position.parse().ok()).unwrap_or(0);
    (counter(incarnation(token)), position)
}

/// The counter of an incarnation, `<counter>-<random>`.
pub(super) fn counter(incarnation: &str) -> u64 {
    incarnation.split('-').next().and_then(|counter| counter.parse().ok()).unwrap_or(0)
}

/// How often a read begins anew that a flush came between.
const ATTEMPTS: u32 = 5;
