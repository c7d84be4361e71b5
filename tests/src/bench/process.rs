//! Owns what processes cost. It never looks at a clock on the wall.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The CPU time, user and system, of all children of this process that have ended and were waited for.
///
/// In steps of 10 ms: `/proc` counts in ticks of `USER_HZ`, which is 100 on every Linux (`man 5 proc_pid_stat`).
pub fn cpu_of_ended_children() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("failed to read /proc/self/stat")?;
    let ticks = field(&stat, CHILDREN_USER)? + field(&stat, CHILDREN_SYSTEM)?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The CPU time, user and system, of a process that runs; in the same steps.
pub fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    Ok(Duration::from_millis((field(&stat, USER)? + field(&stat, SYSTEM)?) * 10))
}

/// A size of a process that runs by its name in `/proc/<pid>/status`: `VmRSS` is resident, `VmHWM` the most that was.
pub fn memory_bytes(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .with_context(|| format!("{path} has no {name}"))?;
    let kbytes = line.split_ascii_whitespace().nth(1).with_context(|| format!("{path} has no {name}"))?;
    Ok(kbytes.parse::<u64>().with_context(|| format!("{path}: {line}"))? * 1024)
}

/// A field by its number in the manual page; the second, the command's name, may hold anything but ends with the last `)`.
fn field(stat: &str, number: usize) -> Result<u64> {
    let (_, rest) = stat.rsplit_once(')').context("/proc/self/stat has no command's name")?;
    let text = rest.split_ascii_whitespace().nth(number - 3).context("/proc/self/stat is too short")?;
    text.parse().with_context(|| format!("field {number} of /proc/self/stat is no number: {text}"))
}

const USER: usize = 14;
const SYSTEM: usize = 15;
const CHILDREN_USER: usize = 16;
const CHILDREN_SYSTEM: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_commands_name() {
        let stat = "12 (a ) b) S 1 12 12 0 -1 4194560 104 0 0 0 1 2 33 44 20 0 1";
        assert_eq!(field(stat, CHILDREN_USER).unwrap(), 33);
        assert_eq!(field(stat, CHILDREN_SYSTEM).unwrap(), 44);
        assert!(field(stat, 99).is_err());
    }

    #[test]
    fn a_busy_child_is_counted_once_it_was_waited_for() {
        let before = cpu_of_ended_children().unwrap();
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
        assert!(cpu_of_ended_children().unwrap() > before);
    }
}
