//! Owns running the `rollcall` program as a user would: a process with a configuration file, arguments and environment.
//! It never builds it: `cargo lab test` does that before the tests.

mod output;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::output::{Output, Stream};
use crate::services::cgroups::Cgroups;
use crate::services::folder::Folder;
use crate::services::kubernetes::Cluster;
use crate::services::process::{self, Process};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct WorkerOptions {
    arguments: Vec<String>,
    config: Option<String>,
    environment: Vec<(String, String)>,
    memory: Option<u64>,
}

impl WorkerOptions {
    /// `rollcall worker` with this configuration file's text.
    pub fn new(config: &str) -> Self {
        Self::command(&["worker"]).config(config)
    }

    /// `rollcall` with these arguments and no configuration file.
    pub fn command(arguments: &[&str]) -> Self {
        Self::default().args(arguments)
    }

    /// Adds `--config` with a file that holds this text.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Bounds its memory as a container's limit does: the kernel kills it when it wants more. Takes root.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }
}

/// A running `rollcall`, or what it left; dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    output: Output,
    folder: Folder,
    _cgroups: Option<Cgroups>,
}

impl Worker {
    /// Starts it, and returns at once.
    pub fn start(options: WorkerOptions) -> Result<Self> {
        Self::start_program(&program()?, options)
    }

    /// Starts `rollcall-operator` in the same way, within a cluster's network.
    pub fn start_operator(cluster: &Cluster, mut options: WorkerOptions) -> Result<Self> {
        let inside = format!("--net={}", cluster.network()?.display());
        options.arguments.splice(0..0, [inside, operator()?.to_string_lossy().into_owned()]);
        Self::start_program(Path::new("nsenter"), options)
    }

    /// Starts another build or program in the same way.
    pub(crate) fn start_program(program: &Path, options: WorkerOptions) -> Result<Self> {
        let folder = Folder::new("worker")?;
        let (cgroups, mut command) = match options.memory {
            None => (None, process::command(program)),
            Some(bytes) => {
                let folder = folder.path().file_name().context("a folder has a name")?;
                let cgroups = Cgroups::new(&format!("lab-{}-{}", std::process::id(), folder.display()))?;
                let mut command = process::command(Path::new("sh"));
                command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]);
                command.arg(cgroups.limit_memory(bytes)?).arg(program);
                (Some(cgroups), command)
            }
        };
        command.args(&options.arguments).current_dir(folder.path());
        if let Some(text) = &options.config {
            let path = folder.path().join("rollcall.yaml");
            fs::write(&path, text).context("failed to write a configuration file")?;
            command.arg("--config").arg(path);
        }
        // What the person who runs the tests has set is not part of the test.
        for (name, _) in std::env::vars() {
            if ["ROLLCALL_", "OTEL_", "RUST_LOG", "POD_NAME"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.envs(options.environment).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(command)?;
        let output = Output::collect(process.child_mut(), folder.path())?;
        Ok(Self { process, output, folder, _cgroups: cgroups })
    }

    /// Runs it to its end; kills it after `deadline`, which is an error.
    pub fn run(options: WorkerOptions, deadline: Duration) -> Result<Finished> {
        Self::run_program(&program()?, options, deadline)
    }

    /// Runs another build or program to its end.
    pub(crate) fn run_program(
        program: &Path,
        options: WorkerOptions,
        deadline: Duration,
    ) -> Result<Finished> {
        let mut worker = Self::start_program(program, options)?;
        let code = worker.wait_exit(deadline)?;
        Ok(Finished { code, stdout: worker.stdout(), stderr: worker.stderr() })
    }

    /// Waits for a line, on either stream, that contains `text`, and returns it: at once when it came before.
    pub fn wait_for_line(&self, text: &str, deadline: Duration) -> Result<String> {
        self.output.wait_for_line(text, deadline)
    }

    /// Sends SIGTERM, as Kubernetes does, and returns at once.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Kills it at once, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Stops it in its tracks, as a long pause of the machine would.
    pub fn pause(&mut self) -> Result<()> {
        self.process.pause()
    }

    /// Lets it go on after [`Worker::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.process.resume()
    }

    /// Waits for its end, and returns the exit code; a signal's number plus 128 when one ended it, as shells say it.
    pub fn wait_exit(&mut self, deadline: Duration) -> Result<i32> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.process.wait_exit(deadline).with_context(|| self.last_words())?;
        self.output.wait_for_end()?;
        status.code().or_else(|| Some(128 + status.signal()?)).context("an end without code or signal")
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exit_status()?.is_none())
    }

    /// All that it has written to standard output.
    pub fn stdout(&self) -> String {
        self.output.text_of(Stream::Out)
    }

    /// All that it has written to standard error.
    pub fn stderr(&self) -> String {
        self.output.text_of(Stream::Error)
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn last_words(&self) -> String {
        format!("rollcall, with its files in {}, said:\n{}", self.folder.path().display(), self.output.end())
    }
}

/// What a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// `ROLLCALL_BIN`, else `rollcall` beside the test's own target folder.
pub(crate) fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROLLCALL_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe().context("failed to find the test's own program")?;
    // target/<profile>/deps/<test>, or target/<profile>/lab
    for folder in test.ancestors().skip(1).take(2) {
        let candidate = folder.join("rollcall");
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("no rollcall program near {}: run `cargo lab test`, or set ROLLCALL_BIN to one", test.display())
}

/// `rollcall-operator`, which is built with it.
pub(crate) fn operator() -> Result<PathBuf> {
    Ok(program()?.with_file_name("rollcall-operator"))
}

/// What a line of the text log says of `name`: `partition` in `partition loaded partition=3 …` is `3`.
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    rest.split_ascii_whitespace().next()
}

/// The same as a number.
pub fn number(line: &str, name: &str) -> Option<i64> {
    field(line, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_streams_are_found_and_the_end_has_its_code() {
        let mut worker = shell("echo first; echo oops >&2; echo last; exit 3");
        assert_eq!(worker.wait_for_line("oo", DEADLINE).unwrap(), "oops");
        assert_eq!(worker.wait_exit(DEADLINE).unwrap(), 3);
        assert_eq!((worker.stdout().as_str(), worker.stderr().as_str()), ("first\nlast\n", "oops\n"));
        let error = worker.wait_for_line("absent", DEADLINE).unwrap_err().to_string();
        assert!(error.starts_with("it ended without a line that has \"absent\""), "{error}");
        assert!(error.contains("oops"), "what it said is shown: {error}");
    }

    #[test]
    fn a_signal_ends_it_with_the_code_that_shells_give() {
        let mut worker = shell("echo ready; exec sleep 60");
        worker.wait_for_line("ready", DEADLINE).unwrap();
        assert!(worker.is_running().unwrap());
        worker.pause().unwrap();
        worker.resume().unwrap();
        worker.terminate().unwrap();
        assert_eq!(worker.wait_exit(DEADLINE).unwrap(), 128 + 15);
    }

    #[test]
    fn the_configuration_is_a_file_and_the_environment_is_the_tests_own() {
        let options = WorkerOptions::command(&["-c", "cat \"$2\"; echo \"$1 $GREETING\"", "sh"]);
        let options = options.config("revision: 2\n").env("GREETING", "hello");
        let mut worker = Worker::start_program(Path::new("sh"), options).unwrap();
        assert_eq!(worker.wait_exit(DEADLINE).unwrap(), 0);
        assert_eq!(worker.stdout(), "revision: 2\n--config hello\n");
    }

    fn shell(script: &str) -> Worker {
        Worker::start_program(Path::new("sh"), WorkerOptions::command(&["-c", script])).unwrap()
    }

    const DEADLINE: Duration = Duration::from_secs(20);
}
