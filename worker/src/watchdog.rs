//! Ends the process when a call of librdkafka outlives its deadline: some ignore their time-outs (librdkafka #5456).
//!
//! Owns one thread. It never interrupts anything gently: a hung call cannot be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Is told, before each stretch of blocking work, how long that may take.
#[derive(Clone)]
pub(crate) struct Watchdog {
    started_at: Instant,
    deadline_ms: Arc<AtomicU64>,
}

impl Watchdog {
    /// Starts to watch; there is no deadline yet.
    pub(crate) fn start() -> Self {
        let watchdog = Self { started_at: Instant::now(), deadline_ms: Arc::new(AtomicU64::new(u64::MAX)) };
        let watched = watchdog.clone();
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || watched.watch())
            .expect("a thread can be started");
        watchdog
    }

    /// The next call to this or to [`Self::rest`] must come within `limit`.
    pub(crate) fn allow(&self, limit: Duration) {
        let deadline = self.started_at.elapsed() + limit;
        self.deadline_ms.store(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// There is no deadline until the next [`Self::allow`].
    pub(crate) fn rest(&self) {
        self.deadline_ms.store(u64::MAX, Ordering::Relaxed);
    }

    fn watch(&self) {
        loop {
            thread::sleep(CHECK_EVERY);
            let now_ms = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            if now_ms > self.deadline_ms.load(Ordering::Relaxed) {
                tracing::error!(
                    "a call of the Kafka client never returned: ending the process, others take over"
                );
                std::process::exit(1);
            }
        }
    }
}

/// Fine enough beside deadlines of many seconds.
const CHECK_EVERY: Duration = Duration::from_millis(500);
