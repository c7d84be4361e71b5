//! Owns building a program from a Go module.
//! It never installs Go: that is part of the machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::apt;

/// Builds the program at `package` into `folder`, as the module's files say.
pub(super) fn build(folder: &Path, module: &str, sums: &str, package: &str) -> Result<()> {
    let Some(go) = apt::find("go")
        .or_else(|| Some("/usr/local/go/bin/go".into()).filter(|go: &std::path::PathBuf| go.is_file()))
    else {
        bail!("Go is missing: install Go 1.26 from https://go.dev/dl/ and put `go` into PATH");
    };
    fs::write(folder.join("go.mod"), module).context("failed to write a go.mod")?;
    fs::write(folder.join("go.sum"), sums).context("failed to write a go.sum")?;
    let status = Command::new(go)
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o", "."])
        .arg(package)
        .current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .env("GONOSUMDB", "github.com/open-telemetry/*,go.opentelemetry.io/*")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("failed to run go")?;
    if !status.success() {
        bail!("Go failed to build {package}: see its message above, then run the same command again");
    }
    Ok(())
}
