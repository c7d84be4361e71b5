//! Owns temporary folders: one root for this process, and below it one folder for each service.
//! It never leaves them behind, not even when this process is killed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};

/// A folder that is removed with its owner. With `ROLLCALL_LAB_KEEP` set all folders stay, to be looked at.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new, empty folder whose name begins with `name`.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let root = ROOT.get_or_init(Root::new).as_ref().map_err(|error| anyhow!("{error:#}"))?;
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = root.path.join(format!("{name}-{number}"));
        fs::create_dir(&path).with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if keeps() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("lab: failed to remove {}: {error}", self.path.display());
        }
    }
}

/// Copies all that is in `from` into the folder `to`, which is created when absent.
pub(crate) fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to create {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("failed to list {}", from.display()))?;
    for entry in entries {
        let source = entry?.path();
        let name = source.file_name().expect("a listed entry has a name");
        let target = to.join(name);
        if source.is_dir() {
            copy_all(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("failed to copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// This process' folder, and the child that removes it once this process is gone.
struct Root {
    path: PathBuf,
    /// Held, never waited for: it ends when this process' end closes the pipe to it.
    _sweeper: Option<Child>,
}

impl Root {
    fn new() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("rollcall-lab-")
            .tempdir()
            .context("failed to create a temporary folder")?
            .keep();
        let sweeper = if keeps() {
            eprintln!("lab: keeping {}", path.display());
            None
        } else {
            Some(when_this_process_ends(SWEEP, &path)?)
        };
        Ok(Self { path, _sweeper: sweeper })
    }
}

/// Starts a shell on `script`, with `subject` as `$1`. Its input ends with this process, or when the child's is dropped.
pub(crate) fn when_this_process_ends(script: &str, subject: &Path) -> Result<Child> {
    Command::new("sh")
        .args(["-c", script, "sweeper"])
        .arg(subject)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C on the terminal is for the lab, not for the one that tidies up after it.
        .process_group(0)
        .spawn()
        .context("failed to run sh")
}

fn keeps() -> bool {
    std::env::var_os("ROLLCALL_LAB_KEEP").is_some()
}

static ROOT: OnceLock<Result<Root>> = OnceLock::new();
static NEXT_NUMBER: AtomicU32 = AtomicU32::new(1);

/// `cat` ends with this process. The services die at the same moment, and one may still write: hence the second look.
const SWEEP: &str = r#"
cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$1" && exit
  sleep 0.2
done
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner() {
        let folder = Folder::new("some").unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        let copy = Folder::new("copy").unwrap();
        copy_all(folder.path(), &copy.path().join("deep")).unwrap();
        assert_eq!(fs::read_to_string(copy.path().join("deep/file")).unwrap(), "text");
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
