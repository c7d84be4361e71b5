//! The `lab` command: real services for a person, and the whole test suite.
//! It never leaves a service running.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Rollcall's lab: the real services on this machine, and every test.
#[derive(Parser)]
#[command(name = "cargo lab", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Kafka and Redis and print their addresses, until Ctrl-C.
    Up,
    /// Install what is missing, build `rollcall`, and run every test.
    Test {
        /// What `cargo test` gets besides, e.g. `--test lab_services -- --nocapture`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up => command::up::run(),
        Command::Test { arguments } => command::test::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  cargo lab up
  cargo lab test
  cargo lab test -- --package rollcall-tests --test lab_services";
