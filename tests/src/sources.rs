//! Owns where the lab's sources are: corpora, the chart and the workspace are found from there.

use std::env;
use std::path::PathBuf;

/// The folder of this package. Cargo says it to all that it runs; what was known when this was compiled may be another checkout,
/// with which the target folder is shared.
pub fn sources() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}
