//! Owns the namespaces that a cluster lives in: a network without a way out, and mounts and process numbers of its own.
//! It never leaves anything of them: with their first process the kernel ends every other one, and every mount with them.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{self as std_process, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::components::containers;
use crate::services::cgroups::Cgroups;
use crate::services::daemon::Daemon;
use crate::services::folder::Folder;
use crate::services::process;

/// The namespaces; whoever uses them shares this value, and the last one ends them.
#[derive(Debug)]
pub(in crate::services) struct Namespace {
    // The order matters: first the processes end, then what they were in is removed.
    holder: Daemon,
    cgroups: Cgroups,
    _folder: Folder,
}

impl Namespace {
    /// The address of this machine inside.
    pub(in crate::services) const HOST: &'static str = "172.30.0.1";

    /// New ones, with nothing in them but a network.
    pub(super) fn new() -> Result<Arc<Self>> {
        ensure_root()?;
        containers::containerd()?;
        let name =
            format!("rollcall-lab-{}-{}", std_process::id(), NEXT_NUMBER.fetch_add(1, Ordering::Relaxed));
        let cgroups = Cgroups::new(&name)?;
        let folder = Folder::new("namespace")?;
        let mut arguments: Vec<String> = UNSHARE.map(ToOwned::to_owned).into();
        arguments.push(HOLD.to_owned());
        arguments.push(name);
        arguments.push(folder.path().to_string_lossy().into_owned());
        let mut holder = Daemon::new("namespace", PathBuf::from("unshare"), arguments, folder.path());
        let ready = folder.path().join("ready");
        holder.start(START_DEADLINE, || fs::metadata(&ready).context("it is not ready"))?;
        Ok(Arc::new(Self { holder, cgroups, _folder: folder }))
    }

    /// A name that no other cluster on this machine has.
    pub(super) fn name(&self) -> &str {
        self.cgroups.name()
    }

    /// The file that stands for the network.
    pub(super) fn network(&self) -> Result<PathBuf> {
        let pid = self.holder.pid().context("the cluster's namespaces are gone")?;
        Ok(PathBuf::from(format!("/proc/{pid}/ns/net")))
    }

    /// Moves the calling thread into the network, and with it each thread that it starts from now on.
    pub(super) fn enter(&self) -> Result<()> {
        let path = self.network()?;
        let file = File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .context("failed to enter the cluster's network")
    }

    /// Runs `work` on a thread that is inside.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        process::prepare();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                work()
            });
            thread.join().map_err(|_| anyhow!("a thread inside of the cluster's network panicked"))?
        })
    }

    /// A command like [`process::command`], in the network.
    pub(in crate::services) fn command(&self, program: &Path) -> Command {
        self.command_in(&["net"], program)
    }

    /// The same in all of the namespaces: nobody outside sees what it mounts, nor what it writes to `/run` and `/var`.
    pub(in crate::services) fn command_in_all(&self, program: &Path) -> Command {
        self.command_in(&["net", "mnt", "pid"], program)
    }

    fn command_in(&self, kinds: &[&str], program: &Path) -> Command {
        // Without the holder the files are missing, and so the command fails with a message that says it.
        let pid = self.holder.pid().unwrap_or_default();
        let mut command = process::command(Path::new("nsenter"));
        for kind in kinds {
            // The holder is `unshare`, whose child is the first process of the new process numbers.
            let (flag, file) = match *kind {
                "pid" => ("pid", "pid_for_children"),
                "mnt" => ("mount", "mnt"),
                other => (other, other),
            };
            command.arg(format!("--{flag}=/proc/{pid}/ns/{file}"));
        }
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }
}

/// An error for everybody but root, who alone may make namespaces and control groups.
pub fn ensure_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the lab's Kubernetes makes namespaces and control groups: run as root");
    }
    Ok(())
}

static NEXT_NUMBER: AtomicU32 = AtomicU32::new(1);

const START_DEADLINE: Duration = Duration::from_secs(10);

const UNSHARE: [&str; 8] =
    ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"];

/// The first process inside. It waits for good, and reaps what has lost its parent. The kernel has no dummy devices: a
/// bridge holds the address. The kubelet sets the settings below on any machine that has others: it shall not.
const HOLD: &str = r#"
set -eu
for folder in /run /var/lib /var/log; do
  mount -t tmpfs lab "$folder"
done
ip link set lo up
ip link add lab0 type bridge
ip address add 172.30.0.1/16 dev lab0
ip link set lab0 up
ip route add default via 172.30.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
while read -r setting value; do
  echo "$value" > "$1/setting-${setting##*/}"
  mount --bind "$1/setting-${setting##*/}" "/proc/sys/$setting"
done <<SETTINGS
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS
: > "$1/ready"
sleep infinity
exit
"#;
