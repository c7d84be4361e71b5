//! Owns getting Apache Kafka: the jars that `tests/tools/kafka/pom.xml` names, copied into the cache by Maven.
//! It never starts a broker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{cache, java, progress};

/// The folder that holds Kafka's jars and the settings of its log.
pub fn libraries() -> Result<PathBuf> {
    let source = format!("{POM}{LOG_SETTINGS}");
    cache::folder("kafka", &source, |folder| {
        let maven = java::maven()?;
        progress("installing Kafka 4.3.1 from Maven Central, about 54 MB …");
        fs::write(folder.join("pom.xml"), POM).context("failed to write Kafka's pom.xml")?;
        fs::write(folder.join("log4j2.properties"), LOG_SETTINGS)
            .context("failed to write Kafka's log4j2.properties")?;
        copy_dependencies(&maven, folder)?;
        progress("Kafka 4.3.1 is installed");
        Ok(())
    })
}

fn copy_dependencies(maven: &Path, folder: &Path) -> Result<()> {
    let status = Command::new(maven)
        .args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=libs"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("failed to run {}", maven.display()))?;
    if !status.success() {
        bail!("Maven failed to fetch Kafka: see its message above, then run the same command again");
    }
    Ok(())
}

const POM: &str = include_str!("../../tools/kafka/pom.xml");
const LOG_SETTINGS: &str = include_str!("../../tools/kafka/log4j2.properties");
