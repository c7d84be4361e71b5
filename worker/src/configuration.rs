//! The configuration, as it is meant: the file, the environment and the flags made one.

use std::path::Path;

use anyhow::Context as _;
use insights::spec::{self, Overrides, PipelineSpec, Sources};

use crate::args::ConfigurationArguments;
use crate::exit::Failure;

/// Reads the file, if any, and applies the flags.
pub(crate) fn load(arguments: &ConfigurationArguments) -> Result<PipelineSpec, Failure> {
    let path = arguments.config.as_deref();
    let text = match path {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("failed to read the configuration file {}", path.display()))
            .map_err(Failure::configuration)?,
        None => String::new(),
    };
    let overrides = Overrides {
        brokers: arguments
            .brokers
            .as_ref()
            .map(|list| list.split(',').map(|one| one.trim().to_owned()).collect()),
        redis: arguments.redis.clone().map(Into::into),
        pipeline: arguments.pipeline.clone(),
    };
    let sources = Sources {
        environment: &|name| std::env::var(name).ok(),
        file: &|path: &Path| std::fs::read_to_string(path),
    };
    spec::read(&text, &overrides, &sources).map_err(|errors| {
        let place =
            path.map_or_else(|| "the defaults and flags".to_owned(), |path| path.display().to_string());
        Failure::configuration(anyhow::anyhow!("{}", lines(&place, &errors.to_string())))
    })
}

/// Each mistake on a line of its own, with the file's name.
fn lines(place: &str, mistakes: &str) -> String {
    mistakes.lines().map(|line| format!("{place}: {line}")).collect::<Vec<_>>().join("\n")
}
