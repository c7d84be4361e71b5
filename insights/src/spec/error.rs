//! The mistakes of a configuration, collected so that people hear of all of them at once.
//!
//! Owns how a mistake reads. It never holds a value that could be a secret.

use std::cell::RefCell;
use std::fmt;

/// Everything that is wrong with a configuration; displays one mistake a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Mistake>);

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Something about the text itself: its syntax, an unknown or a repeated key.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Something about a setting.
    #[error("{path}: {what}")]
    Setting {
        /// The setting, for example `filter[0].values`.
        path: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

impl Errors {
    /// All mistakes; at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl From<Mistake> for Errors {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Collects mistakes while a configuration is read.
#[derive(Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    /// Notes a mistake of a setting.
    pub(super) fn setting(&self, path: impl Into<String>, what: impl Into<String>) {
        self.0.borrow_mut().push(Mistake::Setting { path: path.into(), what: what.into() });
    }

    /// Notes a mistake of the text.
    pub(super) fn line(&self, line: usize, what: String) {
        self.0.borrow_mut().push(Mistake::Line { line, what });
    }

    /// The value when there was no mistake.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, Errors> {
        let mistakes = self.0.into_inner();
        if mistakes.is_empty() { Ok(value) } else { Err(Errors(mistakes)) }
    }
}
