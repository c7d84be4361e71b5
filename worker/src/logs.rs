//! Log lines: text for people, JSON for machines, always on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, Logs};

/// Starts to log. `--log` beats `RUST_LOG`; a filter that cannot be read is said and passed over.
pub(crate) fn start(arguments: &Logs) {
    let wanted =
        arguments.log.clone().or_else(|| std::env::var("RUST_LOG").ok()).unwrap_or_else(|| "info".to_owned());
    let (filter, mistake) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let text = arguments.log_format.map_or(is_terminal, |format| format == LogFormat::Text);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if text {
        builder.with_ansi(is_terminal).with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    if let Some(error) = mistake {
        tracing::warn!(%error, "the log filter cannot be read: `info` is used");
    }
}
