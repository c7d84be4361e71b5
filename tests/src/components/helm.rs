//! Owns getting Helm: built by Go from the module in `tests/tools/helm`, into the cache.
//! It never talks to a cluster.

use std::path::PathBuf;

use anyhow::Result;

use super::go::Module;

/// The `helm` program.
pub fn helm() -> Result<PathBuf> {
    Ok(HELM.folder()?.join("helm"))
}

const HELM: Module = Module {
    component: "helm",
    title: "Helm 4.3.1",
    takes: "about two minutes",
    files: [include_str!("../../tools/helm/go.mod"), include_str!("../../tools/helm/go.sum")],
    packages: &["helm.sh/helm/v4/cmd/helm"],
    variables: &[],
};
