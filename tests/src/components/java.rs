//! Owns finding a Java runtime and Maven that are new enough for Kafka.
//! It never changes which Java the machine uses by default when that one will do.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt;

/// The `java` program, version 17 or newer.
pub fn java() -> Result<PathBuf> {
    let path = apt::program("java", JAVA_PACKAGE)?;
    match version(&path)? {
        Some(version) if version >= JAVA_VERSION_MIN => Ok(path),
        found => bail!(
            "{} is Java {}, and Kafka needs {JAVA_VERSION_MIN} or newer: install {JAVA_PACKAGE} and put it first in PATH",
            path.display(),
            found.map_or_else(|| "of an unknown version".to_owned(), |version| version.to_string()),
        ),
    }
}

/// The `mvn` program.
pub(super) fn maven() -> Result<PathBuf> {
    java()?;
    apt::program("mvn", "maven")
}

fn version(java: &PathBuf) -> Result<Option<u32>> {
    let output = Command::new(java)
        .arg("-version")
        .output()
        .with_context(|| format!("failed to run {}", java.display()))?;
    Ok(parse_version(&String::from_utf8_lossy(&output.stderr)))
}

/// The major version in the first quoted text: `openjdk version "17.0.15" 2025-04-15`.
fn parse_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    quoted.split(['.', '-', '+', '_']).next()?.parse().ok()
}

const JAVA_VERSION_MIN: u32 = 17;
const JAVA_PACKAGE: &str = "openjdk-17-jre-headless";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_spelling() {
        assert_eq!(parse_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(parse_version("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(parse_version("java version \"1.8.0_452\""), Some(1), "Java 8 is too old as well");
        assert_eq!(parse_version("command not found"), None);
    }
}
