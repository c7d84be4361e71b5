//! Owns getting promtool, from the Debian package of Prometheus, unpacked into the cache.
//! It never installs that package: it would start a service.

use std::path::PathBuf;

use anyhow::Result;

use super::{apt, cache, progress};

/// The `promtool` program: it checks and tests rules of alerts.
pub fn promtool() -> Result<PathBuf> {
    if let Some(path) = apt::find("promtool") {
        return Ok(path);
    }
    let folder = cache::folder("promtool", "the Debian package prometheus", |folder| {
        progress("unpacking promtool from the Debian package prometheus …");
        apt::unpack("prometheus", folder)
    })?;
    Ok(folder.join("usr/bin/promtool"))
}
