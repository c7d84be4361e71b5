//! Owns installing Debian packages when the lab runs as root.
//! It never installs a package that brings a running service, and without root it only says what to install.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::progress;

/// The path of `program`, from `package`, which is installed when the program is missing.
pub(super) fn program(program: &str, package: &str) -> Result<PathBuf> {
    if let Some(path) = find(program) {
        return Ok(path);
    }
    install(package)?;
    match find(program) {
        Some(path) => Ok(path),
        None => {
            bail!("the Debian package {package} has no program {program}: install {program} by other means")
        }
    }
}

/// Installs `package`, with its own output on standard error.
pub(super) fn install(package: &str) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("{package} is missing, and this is no Debian: install what that package holds");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("{package} is missing: run `sudo apt-get install {package}`");
    }
    progress(&format!("installing the Debian package {package} …"));
    if apt(&["install", "--yes", "--no-install-recommends", package])? {
        return Ok(());
    }
    // A fresh machine knows no packages yet.
    progress("apt-get update …");
    apt(&["update"])?;
    if apt(&["install", "--yes", "--no-install-recommends", package])? {
        return Ok(());
    }
    bail!("failed to install {package}: run `apt-get install {package}` and see why")
}

/// Unpacks `package` into `folder`, without installing it.
pub(super) fn unpack(package: &str, folder: &Path) -> Result<()> {
    progress(&format!("unpacking the Debian package {package} …"));
    let run = |name: &str, arguments: &[&str]| -> Result<bool> {
        let mut command = Command::new(name);
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr());
        Ok(command.status().with_context(|| format!("failed to run {name}"))?.success())
    };
    if !run("apt-get", &["-qq", "download", package])? {
        // A fresh machine knows no packages yet.
        progress("apt-get update …");
        if !apt(&["update"])? || !run("apt-get", &["-qq", "download", package])? {
            bail!("failed to download {package}: run `apt-get download {package}` and see why");
        }
    }
    if !run("sh", &["-c", "dpkg-deb --extract *.deb ."])? {
        bail!("dpkg-deb failed to unpack {package}");
    }
    Ok(())
}

/// Where `program` is in `PATH`.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_file(candidate))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn apt(arguments: &[&str]) -> Result<bool> {
    let status = Command::new("apt-get")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // Standard output belongs to the results of the lab's own command.
        .stdout(std::io::stderr())
        .status()
        .context("failed to run apt-get")?;
    Ok(status.success())
}

const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];
