//! Owns child processes: each leads a process group of its own, and dies with this process.
//! It never signals a process that it did not start.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait::wait_for;

/// A command that runs `program` in a process group of its own, and has the kernel kill it when this process dies.
pub(crate) fn command(program: &Path) -> Command {
    // `setpriv` asks for the signal and then becomes the program: no code of ours runs between fork and exec.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).process_group(0);
    command
}

/// Makes sure that children start in the namespaces of this process, whichever a thread enters later.
pub(crate) fn prepare() {
    LazyLock::force(&SPAWNER);
}

/// A running child. Dropping it kills its process group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`, which [`command`] made.
    pub(crate) fn spawn(command: Command) -> Result<Self> {
        let (answer, answered) = mpsc::channel();
        SPAWNER.send((command, answer)).map_err(|_| anyhow!("the thread that starts processes is gone"))?;
        let child = answered
            .recv()
            .context("the thread that starts processes is gone")?
            .context("failed to run setpriv: install the Debian package util-linux")?;
        Ok(Self { child })
    }

    pub(crate) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, when it has ended.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("failed to ask for a child's exit status")
    }

    /// Waits for its end.
    pub(crate) fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let pid = self.pid();
        wait_for(&format!("the end of process {pid}"), deadline, || {
            self.exit_status()?.ok_or_else(|| anyhow!("it is running"))
        })
    }

    /// Sends SIGTERM, to a paused process too.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)
    }

    /// Kills it at once and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.child.wait().context("failed to wait for a killed child")
    }

    /// Stops it in its tracks: it keeps its memory and its connections, and answers nothing.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.exit_status()?.is_some() {
            // Its number may be another process' by now.
            return Ok(());
        }
        let raw = i32::try_from(self.pid()).context("a process number above 2^31")?;
        let group = Pid::from_raw(raw).context("a child has the process number 0")?;
        kill_process_group(group, signal).with_context(|| format!("failed to signal process {raw}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("lab: {error:#}");
        }
    }
}

type Spawn = (Command, mpsc::Sender<io::Result<Child>>);

/// The kernel sends the death signal when the *thread* that started the child ends, and a test's thread ends with the
/// test: so one thread, which lives as long as the process, starts them all.
static SPAWNER: LazyLock<mpsc::Sender<Spawn>> = LazyLock::new(|| {
    let (sender, spawns) = mpsc::channel::<Spawn>();
    thread::Builder::new()
        .name("lab-spawner".to_owned())
        .spawn(move || {
            for (mut command, answer) in spawns {
                if let Err(unheard) = answer.send(command.spawn()) {
                    drop(unheard.0.map(|child| Process { child }));
                }
            }
        })
        .expect("the system can start a thread");
    sender
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it_and_dies_when_dropped() {
        let asked = thread::spawn(|| {
            let mut sleep = command(Path::new("sleep"));
            sleep.arg("60");
            Process::spawn(sleep).unwrap()
        });
        let mut process = asked.join().unwrap();
        assert_eq!(process.exit_status().unwrap(), None);
        let entry = format!("/proc/{}", process.pid());
        assert!(Path::new(&entry).exists());
        drop(process);
        assert!(!Path::new(&entry).exists());
    }

    #[test]
    fn a_paused_process_ends_on_termination() {
        let mut sleep = command(Path::new("sleep"));
        sleep.arg("60");
        let mut process = Process::spawn(sleep).unwrap();
        process.pause().unwrap();
        process.terminate().unwrap();
        let status = process.wait_exit(Duration::from_secs(10)).unwrap();
        assert!(!status.success());
    }
}
