//! Owns control groups, one in each hierarchy, all with the same name: a cluster's pods live in them, or one process.
//! It never leaves them behind, not even when this process is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context, Result};

use crate::services::folder;

/// The groups; dropping this removes them, once nobody is in them.
#[derive(Debug)]
pub(crate) struct Cgroups {
    name: String,
    sweeper: Child,
}

impl Cgroups {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let sweeper = folder::when_this_process_ends(SWEEP, Path::new(name))?;
        let cgroups = Self { name: name.to_owned(), sweeper };
        for hierarchy in hierarchies()? {
            let group = hierarchy.join(name);
            fs::create_dir(&group).with_context(|| format!("failed to create {}", group.display()))?;
        }
        Ok(cgroups)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bounds the memory of all members together. Returns the file that a process writes its number to, to become one.
    pub(crate) fn limit_memory(&self, bytes: u64) -> Result<PathBuf> {
        let root = Path::new(ROOT);
        let (group, limit) = if root.join(MEMBERS).is_file() {
            write(&root.join("cgroup.subtree_control"), "+memory")?;
            (root.join(&self.name), "memory.max")
        } else {
            (root.join("memory").join(&self.name), "memory.limit_in_bytes")
        };
        write(&group.join(limit), &bytes.to_string())?;
        Ok(group.join(MEMBERS))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // The end of its input is its signal.
        drop(self.sweeper.stdin.take());
        match self.sweeper.wait() {
            Ok(status) if status.success() => {}
            outcome => eprintln!("lab: the control groups {} were not removed: {outcome:?}", self.name),
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {text} to {}", path.display()))
}

/// Version 1 has a hierarchy for each controller, and version 2 one for all.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if root.join(MEMBERS).is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let mut hierarchies = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("failed to list {ROOT}"))? {
        let path = entry?.path();
        // `cpu` and `cpuacct` may be links to one hierarchy.
        if path.join(MEMBERS).is_file() && !path.is_symlink() {
            hierarchies.push(path);
        }
    }
    Ok(hierarchies)
}

const ROOT: &str = "/sys/fs/cgroup";
const MEMBERS: &str = "cgroup.procs";

/// The members die at the same moment, and take a moment to be gone: hence the repetitions, for ten seconds.
const SWEEP: &str = r#"
cat >/dev/null
for attempt in $(seq 100); do
  groups=$(find /sys/fs/cgroup -depth -type d \( -path "*/$1" -o -path "*/$1/*" \) 2>/dev/null)
  [ -z "$groups" ] && exit
  echo "$groups" | xargs rmdir 2>/dev/null
  sleep 0.1
done
exit 1
"#;
