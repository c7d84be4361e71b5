//! Owns getting the reference parser of `OpenMetrics`, in Python, from Debian.
//! It never parses anything itself.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::apt;

/// Debian's Python, which can import `prometheus_client.openmetrics.parser`.
pub fn parser() -> Result<PathBuf> {
    let python = PathBuf::from("/usr/bin/python3");
    let is_there = Command::new(&python)
        .args(["-c", "import prometheus_client.openmetrics.parser"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_there {
        apt::install("python3-prometheus-client").context("the parser of OpenMetrics is missing")?;
    }
    Ok(python)
}
