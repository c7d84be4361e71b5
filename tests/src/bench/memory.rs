//! Owns what a process holds in memory. It never asks a process that has ended.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::worker::Worker;

/// Waits for the worker's end; the most it ever held in memory, in bytes (`VmHWM`, `man 5 proc_pid_status`).
pub(super) fn peak_until_end(worker: &mut Worker, deadline: Duration) -> Result<u64> {
    let started_at = Instant::now();
    let mut peak = 0;
    while worker.is_running()? {
        ensure!(started_at.elapsed() < deadline, "still running after {} s", deadline.as_secs());
        let status = fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap_or_default();
        peak = peak.max(peak_of(&status).unwrap_or(0));
        thread::sleep(EVERY);
    }
    Ok(peak)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

const EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        let status = "Name:\trollcall\nVmPeak:\t  900 kB\nVmHWM:\t   48216 kB\nVmRSS:\t   40000 kB\n";
        assert_eq!(peak_of(status), Some(48216 * 1024));
        assert_eq!(peak_of("Name:\tzombie\n"), None);
    }
}
