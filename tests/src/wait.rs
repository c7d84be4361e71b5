//! Owns waiting for something to become true: a real condition, looked at again and again until a deadline.
//! It never waits for a fixed time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Waits until `condition` holds; after `deadline`, fails with a message that names `what` was waited for.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + deadline;
    while !condition() {
        if Instant::now() >= end {
            bail!("waited {} s in vain for {what}", deadline.as_secs_f32());
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}

/// Waits until `probe` answers, and returns its answer; after `deadline`, fails with the last error of `probe`.
pub fn wait_for<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        let error = match probe() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if Instant::now() >= end {
            return Err(error)
                .with_context(|| format!("waited {} s in vain for {what}", deadline.as_secs_f32()));
        }
        thread::sleep(INTERVAL);
    }
}

const INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_in_vain_says_what_it_waited_for() {
        let error = wait_until("the moon", Duration::ZERO, || false).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s in vain for the moon");
        let error = wait_for::<()>("the sun", Duration::ZERO, || bail!("it is night")).unwrap_err();
        assert_eq!(format!("{error:#}"), "waited 0 s in vain for the sun: it is night");
    }
}
