//! How a command ends: what the process tells its caller.

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Bad usage or configuration: exit code 2.
    #[error("{0:#}")]
    Configuration(anyhow::Error),
    /// Anything else: exit code 1.
    #[error("{0:#}")]
    Runtime(anyhow::Error),
}

impl Failure {
    /// A configuration that must be mended.
    pub(crate) fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self::Configuration(error.into())
    }

    /// A failure at run time.
    pub(crate) fn runtime(error: impl Into<anyhow::Error>) -> Self {
        Self::Runtime(error.into())
    }

    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Configuration(_) => 2,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}
