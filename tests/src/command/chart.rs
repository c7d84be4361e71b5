//! Owns `cargo lab chart`: what the chart holds that is generated.
//! It never touches what people write.

use std::process::ExitCode;

use anyhow::Result;
use lab::chart;

/// Writes the schema of the chart's values.
pub(crate) fn run() -> Result<ExitCode> {
    let path = chart::write_schema()?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}
