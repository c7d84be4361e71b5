//! Owns building programs from Go modules, each into the cache.
//! It never installs Go: that is part of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{apt, cache, progress};

/// Programs of one module. They conflict in what they need, so each tool has a module of its own.
pub(super) struct Module {
    /// The name in the cache.
    pub(super) component: &'static str,
    /// What a person reads while it is built.
    pub(super) title: &'static str,
    /// How long that takes, so that nobody thinks it hangs.
    pub(super) takes: &'static str,
    /// The texts of `go.mod` and `go.sum`: they decide what is built.
    pub(super) files: [&'static str; 2],
    pub(super) packages: &'static [&'static str],
    /// Variables of the program that the linker sets, as `package.Name=value`.
    pub(super) variables: &'static [&'static str],
}

impl Module {
    /// The folder that holds the programs.
    pub(super) fn folder(&self) -> Result<PathBuf> {
        cache::folder(self.component, &self.files.concat(), |folder| {
            progress(&format!("building {} with Go, once: {} …", self.title, self.takes));
            self.build(folder)?;
            progress(&format!("{} is built", self.title));
            Ok(())
        })
    }

    fn build(&self, folder: &Path) -> Result<()> {
        let [module, sums] = self.files;
        fs::write(folder.join("go.mod"), module).context("failed to write a go.mod")?;
        fs::write(folder.join("go.sum"), sums).context("failed to write a go.sum")?;
        let mut flags = "-s -w".to_owned();
        for variable in self.variables {
            flags.push_str(" -X ");
            flags.push_str(variable);
        }
        let go = go()?;
        for package in self.packages {
            if let [_, _, ..] = self.packages {
                progress(&format!("  {package} …"));
            }
            let status = Command::new(&go)
                .args(["build", "-trimpath", "-ldflags", &flags, "-o", ".", package])
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
        }
        Ok(())
    }
}

fn go() -> Result<PathBuf> {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    match apt::find("go") {
        Some(go) => Ok(go),
        None if usual.is_file() => Ok(usual),
        None => bail!("Go is missing: install Go 1.26 from https://go.dev/dl/ and put `go` into PATH"),
    }
}
