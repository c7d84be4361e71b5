//! Owns getting Jaeger v2: built by Go from the module in `tests/tools/jaeger`, into the cache.
//! It never starts it.

use std::path::PathBuf;

use anyhow::Result;

use super::go::Module;

/// The `jaeger` program: an OpenTelemetry collector with a store and a query API.
pub fn jaeger() -> Result<PathBuf> {
    Ok(JAEGER.folder()?.join("jaeger"))
}

const JAEGER: Module = Module {
    component: "jaeger",
    title: "Jaeger v2",
    takes: "about three minutes",
    files: [include_str!("../../tools/jaeger/go.mod"), include_str!("../../tools/jaeger/go.sum")],
    packages: &["github.com/jaegertracing/jaeger/cmd/jaeger"],
    variables: &[],
};
