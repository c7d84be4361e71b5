//! What an audit found wrong: a bounded list of lines, and how many there were.

/// Differences, of which the first are kept in words.
#[derive(Debug, Default)]
pub(super) struct Differences {
    lines: Vec<String>,
    count: u64,
}

impl Differences {
    pub(super) fn add(&mut self, line: impl Into<String>) {
        self.count += 1;
        if self.lines.len() < LINES_MAX {
            self.lines.push(line.into());
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// More are only counted.
const LINES_MAX: usize = 1000;
