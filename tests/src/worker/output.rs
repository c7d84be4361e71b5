//! Owns what a process says: both streams' lines, in their order, in memory and in two files.
//! It never holds the process up: the pipes are read as they fill.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// The output of one process.
#[derive(Debug)]
pub(super) struct Output {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

impl Output {
    /// Takes over the piped streams of `child`; copies go to `stdout.log` and `stderr.log` in `folder`.
    pub(super) fn collect(child: &mut Child, folder: &Path) -> Result<Self> {
        let stdout = child.stdout.take().context("the child has no piped standard output")?;
        let stderr = child.stderr.take().context("the child has no piped standard error")?;
        let lines = Lines { said: Vec::new(), open_streams: 2 };
        let shared = Arc::new(Shared { lines: Mutex::new(lines), changed: Condvar::new() });
        let readers = vec![
            shared.read(stdout, Stream::Out, &folder.join("stdout.log"))?,
            shared.read(stderr, Stream::Error, &folder.join("stderr.log"))?,
        ];
        Ok(Self { shared, readers })
    }

    /// Waits for a line that contains `text`, at once when it came before, and returns it.
    pub(super) fn wait_for_line(&self, text: &str, deadline: Duration) -> Result<String> {
        let end = Instant::now() + deadline;
        let mut lines = self.shared.lock();
        loop {
            if let Some((_, line)) = lines.said.iter().find(|(_, line)| line.contains(text)) {
                return Ok(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if lines.open_streams == 0 {
                bail!("it ended without a line that has {text:?}; it said:\n{}", lines.end());
            }
            if left.is_zero() {
                let waited = deadline.as_secs_f32();
                bail!("waited {waited} s in vain for a line that has {text:?}; it said:\n{}", lines.end());
            }
            lines = self.shared.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all that an ended process wrote is here.
    pub(super) fn wait_for_end(&mut self) -> Result<()> {
        for reader in self.readers.drain(..) {
            reader.join().map_err(|_| anyhow!("a thread that reads a process' output panicked"))?;
        }
        Ok(())
    }

    /// All lines of one stream.
    pub(super) fn text_of(&self, wanted: Stream) -> String {
        let mut text = String::new();
        for (stream, line) in &self.shared.lock().said {
            if *stream == wanted {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }

    /// The last lines of both streams.
    pub(super) fn end(&self) -> String {
        self.shared.lock().end()
    }
}

#[derive(Debug)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug)]
struct Lines {
    said: Vec<(Stream, String)>,
    open_streams: usize,
}

impl Lines {
    fn end(&self) -> String {
        let from = self.said.len().saturating_sub(LINES_SHOWN);
        let end = self.said.get(from..).unwrap_or_default();
        end.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `source` to its end on a thread of its own.
    fn read(
        self: &Arc<Self>,
        source: impl Read + Send + 'static,
        stream: Stream,
        copy: &Path,
    ) -> Result<JoinHandle<()>> {
        let mut copy = File::create(copy).with_context(|| format!("failed to create {}", copy.display()))?;
        let shared = Arc::clone(self);
        let reader = thread::Builder::new().name("lab-reader".to_owned()).spawn(move || {
            let mut source = BufReader::new(source);
            let mut bytes = Vec::new();
            while source.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                // The file is for people, later; a test reads what is in memory.
                drop(copy.write_all(&bytes));
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                bytes.clear();
                shared.lock().said.push((stream, line));
                shared.changed.notify_all();
            }
            shared.lock().open_streams -= 1;
            shared.changed.notify_all();
        });
        reader.context("failed to start a thread")
    }
}

const LINES_SHOWN: usize = 40;
