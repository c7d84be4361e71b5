//! What a published document says of itself: its place, and the keys that were written with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::json::at;
use crate::protocol::progress::counter;

/// Each partition's place in a publication: the counter of its incarnation, then its position.
pub(super) type Vector = BTreeMap<i32, (u64, i64)>;

/// The place of a document.
pub(super) fn vector_of(document: &str) -> Vector {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let incarnation =
        |partition: &str| at(&document, &format!("/incarnations/{partition}")).as_str().map_or(0, counter);
    let positions = at(&document, "/positions").as_object();
    let place = |(partition, next): (&String, &Value)| {
        Some((partition.parse().ok()?, (incarnation(partition), next.as_i64()?)))
    };
    positions.into_iter().flatten().filter_map(place).collect()
}

/// The keys that a document was published with.
pub(super) fn keys_of(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let keys = at(&document, "/keys").as_array().into_iter().flatten();
    keys.filter_map(|key| key.as_str().map(str::to_owned)).collect()
}

/// The document with the names of the keys beside it, so that the next publisher knows what goes.
pub(super) fn with_keys(document: &str, names: &BTreeSet<&String>) -> String {
    let names = serde_json::to_string(names).expect("plain data is JSON");
    match document.rfind("\"publication\":") {
        Some(at) => {
            let (before, behind) = document.split_at(at);
            format!("{before}\"keys\":{names},{behind}")
        }
        None => document.to_owned(),
    }
}
