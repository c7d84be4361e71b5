//! Owns finding a Redis server, or getting Debian's.
//! It never installs Debian's `redis-server` package, which would start a service of its own.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{apt, cache};

/// The `redis-server` program.
///
/// Debian keeps the server in `redis-tools`, under the name of its dump checker: one program that acts by the name it
/// is called by. A link with the right name is all that `redis-server` adds, apart from the service.
pub fn redis_server() -> Result<PathBuf> {
    if let Some(path) = apt::find("redis-server") {
        return Ok(path);
    }
    let program = apt::program("redis-check-rdb", "redis-tools")?;
    let folder = cache::folder("redis", &program.to_string_lossy(), |folder| {
        symlink(&program, folder.join("redis-server")).context("failed to link redis-server")
    })?;
    Ok(folder.join("redis-server"))
}
