//! Owns finding Valgrind, or getting Debian's.
//! It never runs it.

use std::path::PathBuf;

use anyhow::Result;

use super::apt;

/// The `valgrind` program.
pub fn valgrind() -> Result<PathBuf> {
    apt::program("valgrind", "valgrind")
}
