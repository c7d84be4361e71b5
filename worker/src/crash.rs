//! Points at which a test lets this process end as a power cut would: by SIGKILL to itself, without unwinding or destructors.
//!
//! Only in builds with the feature `crash-points`, which the lab's are and what is shipped is not.

/// The points, in the order in which a partition's life passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The group has assigned partitions; nothing was asked yet.
    Assigned,
    /// A partition is loaded; it is not fetched yet.
    Loaded,
    /// A transaction is open and empty.
    Begun,
    /// A record was handed to the producer.
    Produced,
    /// Before the offsets are added to the transaction.
    BeforeOffsets,
    /// The offsets are added.
    AfterOffsets,
    /// The end of the transaction is being asked for: within the call.
    Committing,
    /// The commit was answered; nothing was concluded from it.
    Committed,
    /// A flush is made, and not sent.
    FlushMade,
    /// Within the call to Redis, or just before.
    FlushSending,
    /// Redis has the flush; the pump does not know.
    FlushStored,
    /// A publication is made, and not sent.
    Publishing,
    /// Redis has the publication.
    Published,
    /// Partitions are revoked; nothing is drained yet.
    Revoked,
    /// What was revoked is drained; the group does not know.
    RevokedDrained,
    /// The worker was told to stop and has drained; it is still in the group.
    Drained,
    /// The operator is about to ask the API server for something.
    Request,
}

/// Ends the process if `ROLLCALL_CRASH_POINT` names this point, `Point` or `Point:N` for the N-th time that it is passed.
#[cfg(feature = "crash-points")]
pub fn point(point: Point) {
    if is_due(point) {
        now();
    }
}

/// The same from a little later on, in the middle of whatever the caller does next.
#[cfg(feature = "crash-points")]
pub fn point_soon(point: Point) {
    if is_due(point) {
        std::thread::spawn(|| {
            std::thread::sleep(std::time::Duration::from_micros(500));
            now();
        });
    }
}

#[cfg(feature = "crash-points")]
fn now() {
    let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    tracing::error!(?killed, "the process survived its end");
}

#[cfg(feature = "crash-points")]
fn is_due(point: Point) -> bool {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("ROLLCALL_CRASH_POINT").ok()?;
        let (name, number) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), number.parse().unwrap_or(1)))
    });
    let Some((name, number)) = wanted else { return false };
    format!("{point:?}") == *name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *number
}

/// Nothing in what is shipped.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_point: Point) {}

/// Nothing in what is shipped.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point_soon(_point: Point) {}
