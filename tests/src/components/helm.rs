//! Owns getting Helm: built by Go from the module in `tests/tools/helm`, into the cache.
//! It never talks to a cluster.

use std::path::PathBuf;

use anyhow::Result;

use super::{cache, go, progress};

/// The `helm` program.
pub fn helm() -> Result<PathBuf> {
    let folder = cache::folder("helm", &format!("{MODULE}{SUMS}"), |folder| {
        progress("building Helm 4.3.1 with Go, about two minutes …");
        go::build(folder, MODULE, SUMS, "helm.sh/helm/v4/cmd/helm")?;
        progress("Helm 4.3.1 is built");
        Ok(())
    })?;
    Ok(folder.join("helm"))
}

const MODULE: &str = include_str!("../../tools/helm/go.mod");
const SUMS: &str = include_str!("../../tools/helm/go.sum");
