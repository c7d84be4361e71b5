//! How much memory this process may have.

use std::fs;

/// The limit of the control group that this process is in; none where there is none.
pub(super) fn memory_limit() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups
        .lines()
        .flat_map(files)
        .find_map(|file| fs::read_to_string(file).ok())
        .and_then(|text| parse(&text))
}

/// Where a line of `/proc/self/cgroup` says that the limit stands. A container sees its own group as the root.
fn files(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let path = path.trim_end_matches('/');
    if controllers.is_empty() {
        return vec![format!("{ROOT}{path}/memory.max"), format!("{ROOT}/memory.max")];
    }
    if controllers.split(',').any(|controller| controller == "memory") {
        let name = "memory.limit_in_bytes";
        return vec![format!("{ROOT}/memory{path}/{name}"), format!("{ROOT}/memory/{name}")];
    }
    Vec::new()
}

/// A number, or `max`; version 1 has a number that no machine has for none.
fn parse(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

const ROOT: &str = "/sys/fs/cgroup";
const NO_LIMIT: usize = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_known() {
        assert_eq!(files("0::/pods/x"), ["/sys/fs/cgroup/pods/x/memory.max", "/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            files("9:memory:/"),
            ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert_eq!(files("3:cpu,cpuacct:/"), [""; 0]);
        assert_eq!(parse("268435456\n"), Some(1 << 28));
        assert_eq!(parse("max\n"), None);
        assert_eq!(parse("9223372036854771712\n"), None);
    }
}
