//! Reading the fields of a stored head.

use insights::store::StoredHead;
use serde::Deserialize;

use crate::protocol::progress::{HEAD_SCHEMA, Head, History};
use crate::pump::run::{HISTORY, PROGRESS};

/// The progress of a stored head; none when it is damaged, which is as if it were missing.
///
/// Errors: another version wrote it.
pub(crate) fn read_head(stored: &StoredHead) -> Result<Option<Head>, anyhow::Error> {
    let bytes = stored.fields.get(PROGRESS).map_or(&[][..], Vec::as_slice);
    let schema = serde_json::from_slice(bytes).ok().map(|Schema { schema }| schema);
    match schema {
        None => Ok(None),
        Some(HEAD_SCHEMA) => Ok(serde_json::from_slice(bytes).ok()),
        Some(schema) => Err(anyhow::anyhow!(
            "the stored state has schema {schema}, this version writes {HEAD_SCHEMA}: run the version that wrote it"
        )),
    }
}

/// The history of a stored head; none when it is damaged.
pub(crate) fn read_history(stored: &StoredHead) -> Option<History> {
    serde_json::from_slice(stored.fields.get(HISTORY)?).ok()
}

/// What every version writes in the same way.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}
