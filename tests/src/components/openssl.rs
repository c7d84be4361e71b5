//! Owns finding the `openssl` program, which makes the lab's certificates.
//! It never makes one itself.

use std::path::PathBuf;

use anyhow::Result;

use super::apt;

/// The `openssl` program.
pub fn openssl() -> Result<PathBuf> {
    apt::program("openssl", "openssl")
}
