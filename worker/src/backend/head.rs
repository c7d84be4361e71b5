//! Reading the fields of a stored head.

use insights::store::StoredHead;

use crate::protocol::progress::{HEAD_SCHEMA, Head, History};
use crate::pump::run::{HISTORY, PROGRESS};

/// The progress of a stored head. An error means that another version wrote it.
pub(super) fn read_head(stored: &StoredHead) -> Result<Head, anyhow::Error> {
    let bytes = stored.fields.get(PROGRESS).map_or(&[][..], Vec::as_slice);
    let head: Head = serde_json::from_slice(bytes)
        .map_err(|error| anyhow::Error::new(error).context("a stored head cannot be read"))?;
    if head.schema == HEAD_SCHEMA {
        return Ok(head);
    }
    Err(anyhow::anyhow!(
        "the stored state has schema {}, this version writes {HEAD_SCHEMA}: run the version that wrote it",
        head.schema
    ))
}

/// The history of a stored head.
pub(super) fn read_history(stored: &StoredHead) -> Result<History, anyhow::Error> {
    let bytes = stored.fields.get(HISTORY).map_or(&[][..], Vec::as_slice);
    serde_json::from_slice(bytes)
        .map_err(|error| anyhow::Error::new(error).context("a stored history cannot be read"))
}
