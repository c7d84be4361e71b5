//! Owns the cache of built components: a folder outside the checkout, keyed by what each component was built from.
//! It never shows half a component: each is built aside, under a lock, and renamed into its place.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

/// The folder of `component` as built from `source`, the text that decides what it is; `build` fills a new one.
///
/// Several processes may ask at once: one builds, the others wait for it.
pub(super) fn folder(
    component: &str,
    source: &str,
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = root()?;
    let wanted = root.join(format!("{component}-{}", key(source)));
    if wanted.is_dir() {
        return Ok(wanted);
    }
    fs::create_dir_all(&root).with_context(|| format!("failed to create the cache {}", root.display()))?;
    let lock_path = root.join(format!("{component}.lock"));
    let lock =
        File::create(&lock_path).with_context(|| format!("failed to create {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("failed to lock {}", lock_path.display()))?;
    if wanted.is_dir() {
        return Ok(wanted);
    }
    let aside = tempfile::Builder::new()
        .prefix(&format!("{component}-building-"))
        .tempdir_in(&root)
        .with_context(|| format!("failed to create a folder in {}", root.display()))?;
    build(aside.path())?;
    fs::rename(aside.path(), &wanted)
        .with_context(|| format!("failed to move {component} to {}", wanted.display()))?;
    // Its place is taken: there is nothing left for the guard to remove.
    let _moved = aside.keep();
    Ok(wanted)
}

fn root() -> Result<PathBuf> {
    if let Some(path) = env::var_os("ROLLCALL_LAB_CACHE") {
        return Ok(path.into());
    }
    if let Some(path) = env::var_os("XDG_CACHE_HOME") {
        return Ok(Path::new(&path).join("rollcall-lab"));
    }
    let home = env::home_dir()
        .ok_or_else(|| anyhow!("no home folder for the cache: set ROLLCALL_LAB_CACHE to a folder"))?;
    Ok(home.join(".cache/rollcall-lab"))
}

fn key(source: &str) -> String {
    let digest = Sha256::digest(source.as_bytes());
    let beginning = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_is_another_component() {
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
        assert_eq!(key("a").len(), 16);
    }
}
