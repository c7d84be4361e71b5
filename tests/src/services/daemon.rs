//! Owns a service's process over its life: started, stopped, started again on the same folder.
//! It never decides when the service is ready: that is asked of the service itself.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::place::Place;
use super::process::Process;
use crate::wait::wait_for;

/// How a service is started, and its process while it runs.
#[derive(Debug)]
pub(super) struct Daemon {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    place: Place,
    log_path: PathBuf,
    process: Option<Process>,
}

impl Daemon {
    /// A service that is not running yet; its log goes to `<name>.log` in `folder`.
    pub(super) fn new(name: &str, program: PathBuf, arguments: Vec<String>, folder: &Path) -> Self {
        let log_path = folder.join(format!("{name}.log"));
        let place = Place::default();
        Self { name: name.to_owned(), program, arguments, place, log_path, process: None }
    }

    /// The same service in a place of its own.
    pub(super) fn at(mut self, place: &Place) -> Self {
        self.place = place.clone();
        self
    }

    /// Starts it, and waits until `probe` gets an answer from it; the end of its log is in the error.
    pub(super) fn start<T>(&mut self, deadline: Duration, probe: impl FnMut() -> Result<T>) -> Result<T> {
        self.launch()?;
        self.wait_ready(deadline, probe)
    }

    /// Starts it, and returns at once.
    pub(super) fn launch(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("{} is running already", self.name);
        }
        let log = self.open_log()?;
        let mut command = self.place.command(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("failed to share a log file")?)
            .stderr(log);
        self.process = Some(Process::spawn(command)?);
        Ok(())
    }

    /// Waits until `probe` gets an answer from it; the end of its log is in the error.
    pub(super) fn wait_ready<T>(
        &mut self,
        deadline: Duration,
        probe: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.wait_answer(deadline, probe)
            .with_context(|| format!("failed to start {}; {}", self.name, self.log_end()))
    }

    /// Sends SIGTERM, after `deadline` SIGKILL, and waits until it is gone. Nothing to do when it is not running.
    pub(super) fn stop(&mut self, deadline: Duration) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        process.terminate()?;
        if process.wait_exit(deadline).is_err() {
            process.kill()?;
        }
        Ok(())
    }

    /// Kills it at once, as a power cut would. Nothing to do when it is not running.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    pub(super) fn pause(&mut self) -> Result<()> {
        self.running()?.pause()
    }

    pub(super) fn resume(&mut self) -> Result<()> {
        self.running()?.resume()
    }

    /// Its process number while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    fn running(&mut self) -> Result<&mut Process> {
        self.process.as_mut().with_context(|| format!("{} is not running", self.name))
    }

    fn wait_answer<T>(&mut self, deadline: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
        let what = format!("an answer from {}", self.name);
        let name = self.name.clone();
        let process = self.running()?;
        let outcome = wait_for(&what, deadline, || match process.exit_status()? {
            Some(status) => Ok(Err(status)),
            None => probe().map(Ok),
        })?;
        outcome.or_else(|status| bail!("{name} ended at its start with {status}"))
    }

    fn open_log(&self) -> Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log_path)
            .with_context(|| format!("failed to open {}", self.log_path.display()))
    }

    /// Its last lines, for a message.
    pub(super) fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log_path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        format!("the end of the log of {}:\n{}\n", self.name, end.join("\n"))
    }
}

const LOG_LINES_SHOWN: usize = 30;
