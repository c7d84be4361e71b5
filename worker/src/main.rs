//! The `rollcall` command: one worker, a demonstration of the whole job, made-up logins, and the insights.
//!
//! Owns the command line, logs and exit codes. What a command does is in its module.

mod args;
mod backend;
mod clock;
mod command;
mod configuration;
mod control;
mod exit;
mod json;
mod output;
mod protocol;
mod pump;
mod revision;
mod signals;
mod startup;
mod telemetry;
mod unpack;
mod watchdog;

use std::process::ExitCode;

use clap::Parser as _;
use rollcall_worker::{client, crash, logins, logs};

use crate::args::{Arguments, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                eprintln!("rollcall: {line}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    // One thread for everything asynchronous: the pump has its own, and blocking questions to Kafka theirs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::runtime(anyhow::Error::new(error).context("failed to start the runtime"))
    })?;
    let entered = runtime.enter();
    let started = telemetry::start_traces("rollcall").map_err(Failure::configuration);
    drop(entered);
    let (tracer, flush) = started?.unzip();
    logs::start(&arguments.logs, tracer);
    let result = match arguments.command {
        Command::Worker(arguments) => command::worker::run(&runtime, *arguments),
        Command::Demo(arguments) => command::demo::run(&runtime, &arguments),
        Command::Generate(arguments) => command::generate::run(&runtime, *arguments),
        Command::Insights(arguments) => command::insights::run(&runtime, &arguments),
        Command::Serve(arguments) => command::serve::run(&runtime, &arguments),
        Command::Audit(arguments) => command::audit::run(&runtime, &arguments),
        Command::Dlq(arguments) => command::dlq::run(&arguments),
        Command::Repair(arguments) => command::repair::run(&runtime, &arguments),
    };
    if let Some(flush) = flush {
        runtime.block_on(flush.flush(LAST_SPANS_LIMIT));
    }
    // A blocking question may still wait for a service that is away; nothing depends on its answer any more.
    runtime.shutdown_background();
    result
}

/// How long the end waits for the collector.
const LAST_SPANS_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);
