//! `rollcall insights`: what Redis holds, for people and scripts.

use tokio::runtime::Runtime;

use super::worker::store;
use crate::args::InsightsArguments;
use crate::backend::read_document;
use crate::configuration;
use crate::exit::Failure;
use crate::output;

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: &InsightsArguments) -> Result<(), Failure> {
    let spec = configuration::load(&arguments.configuration)?;
    let document = runtime.block_on(read_document(&store(&spec)?)).map_err(Failure::runtime)?;
    output::print(arguments.output, document.as_deref());
    Ok(())
}
