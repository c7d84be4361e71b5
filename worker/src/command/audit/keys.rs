//! Keys of the pipeline that belong to nothing: no partition's manifest and no publication knows them.
//!
//! Only looks, and beside live workers too: what came or went meanwhile is no orphan.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use insights::state::scopes_of;
use insights::store::{DOCUMENT, FIRST_START, FoundKey, HEAD, Store, WORKERS};
use serde_json::Value;

use crate::pump::run::MANIFEST;

/// The orphans in the store of a pipeline whose source topic has so many partitions.
pub(super) async fn orphans(store: &Store, partitions: i32) -> Result<Vec<FoundKey>> {
    let found = keys(store).await?;
    let known = known(store, partitions).await?;
    let mut orphans: Vec<FoundKey> = found.into_iter().filter(|key| !known.contains(key)).collect();
    if !orphans.is_empty() {
        // What was there before the manifests were read and is no longer was in use until then.
        let still_there = keys(store).await?;
        orphans.retain(|key| still_there.contains(key));
    }
    Ok(orphans)
}

async fn keys(store: &Store) -> Result<BTreeSet<FoundKey>> {
    store.keys().await.context("failed to look for keys that belong to nothing")
}

/// All keys that somebody knows now.
async fn known(store: &Store, partitions: i32) -> Result<BTreeSet<FoundKey>> {
    let key = |owner: &str, name: &str| FoundKey { owner: owner.to_owned(), name: name.to_owned() };
    let mut known = BTreeSet::from([key("", DOCUMENT), key("", WORKERS), key("/0", FIRST_START)]);
    if let Some(text) = store.published().await.context("failed to read the insights")? {
        let document: Value = serde_json::from_str(&text).context("the published document is no JSON")?;
        let names = document.get("keys").and_then(Value::as_array).into_iter().flatten();
        known.extend(names.filter_map(Value::as_str).map(|name| key("", name)));
    }
    let partitions: Vec<i32> = (0..partitions).collect();
    let heads = store.heads(&partitions).await.context("failed to read the partitions' heads")?;
    for (partition, head) in partitions.into_iter().zip(heads) {
        let Some(head) = head else { continue };
        let owner = format!("/{partition}");
        known.insert(key(&owner, HEAD));
        let manifest = head.fields.get(MANIFEST).map_or(&[][..], Vec::as_slice);
        known.extend(scopes_of(manifest).iter().map(|scope| key(&owner, &scope.to_string())));
    }
    Ok(known)
}
