//! SIGTERM and Ctrl-C: the first asks for a clean stop, the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// Waits for the first signal; from then on a second one exits at once.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let terminate = signal(SignalKind::terminate()).map_err(Failure::runtime)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(Failure::runtime)?;
        Ok(Self { terminate, interrupt })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next signal exits at once, with the code of a failure.
    pub(crate) async fn exit_at_next(mut self) {
        self.next().await;
        std::process::exit(1);
    }
}
