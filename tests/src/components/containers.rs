//! Owns getting what runs containers, from Debian, and the image that holds a pod's network, from the C compiler.
//! It never starts a container.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{apt, cache};

/// The `containerd` program; what it and the kubelet call by name is there as well.
pub fn containerd() -> Result<PathBuf> {
    apt::program("runc", "runc")?;
    apt::program("iptables", "iptables")?;
    apt::program("conntrack", "conntrack")?;
    apt::program("ip", "iproute2")?;
    of_containerd("containerd")
}

/// The `ctr` program, which loads images.
pub fn ctr() -> Result<PathBuf> {
    of_containerd("ctr")
}

/// Debian's package would start a service of its own: it is only unpacked, into the cache.
fn of_containerd(program: &str) -> Result<PathBuf> {
    if let Some(path) = apt::find(program) {
        return Ok(path);
    }
    let folder = cache::folder("containerd", "Debian's", |folder| apt::unpack("containerd", folder))?;
    Ok(folder.join("usr/bin").join(program))
}

/// The folder with the CNI plugins.
pub fn network_plugins() -> Result<PathBuf> {
    let folder = PathBuf::from("/usr/lib/cni");
    if !folder.join("bridge").is_file() {
        apt::install("containernetworking-plugins")?;
    }
    Ok(folder)
}

/// The program that does nothing, in each pod: it keeps the pod's network while containers come and go.
pub fn pause() -> Result<PathBuf> {
    let folder = cache::folder("pause", PAUSE, |folder| {
        let source = folder.join("pause.c");
        fs::write(&source, PAUSE).with_context(|| format!("failed to write {}", source.display()))?;
        let output = Command::new(apt::program("gcc", "build-essential")?)
            .args(["-static", "-Os", "-s", "-o"])
            .arg(folder.join("pause"))
            .arg(&source)
            .output()
            .context("failed to run gcc")?;
        if !output.status.success() {
            bail!("gcc failed to build pause: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    })?;
    Ok(folder.join("pause"))
}

const PAUSE: &str = "\
#include <signal.h>
#include <unistd.h>

static void leave(int signal) { _exit(0); }

int main(void) {
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    for (;;) pause();
}
";
