//! Owns getting Jaeger v2: built by Go from the module in `tests/tools/jaeger`, into the cache.
//! It never starts it.

use std::path::PathBuf;

use anyhow::Result;

use super::{cache, go, progress};

/// The `jaeger` program: an OpenTelemetry collector with a store and a query API.
pub fn jaeger() -> Result<PathBuf> {
    let folder = cache::folder("jaeger", &format!("{MODULE}{SUMS}"), |folder| {
        progress("building Jaeger v2 with Go, about three minutes …");
        go::build(folder, MODULE, SUMS, "github.com/jaegertracing/jaeger/cmd/jaeger")?;
        progress("Jaeger v2 is built");
        Ok(())
    })?;
    Ok(folder.join("jaeger"))
}

const MODULE: &str = include_str!("../../tools/jaeger/go.mod");
const SUMS: &str = include_str!("../../tools/jaeger/go.sum");
