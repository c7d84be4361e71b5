//! The `lab` command: real services for a person, and the whole test suite.
//! It never leaves a service running.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lab::bench;
use lab::bench::bare::Work;

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
    /// Compare Rollcall's CPU per login with plain loops on the same client, and print the table.
    Bench {
        /// Logins of one run.
        #[arg(long, default_value_t = 3_000_000)]
        records: u64,
        /// How often each contender runs.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Break workers, brokers and Redis at random, and compare what is left with the oracle.
    Chaos {
        /// How many schedules.
        #[arg(long, default_value_t = 10)]
        schedules: u64,
        /// The first one's seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Compare the operator's scaling with KEDA, HPA, Flink and Numaflow on the same loads, and print the scoreboard.
    Simulate {
        /// How many seeds each law is tried with.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// Partitions of the topic.
        #[arg(long, value_delimiter = ',', default_values_t = [24, 48], value_parser = partitions)]
        partitions: Vec<usize>,
        /// Only this trace.
        #[arg(long)]
        trace: Option<String>,
        /// Write an SVG plot of each trace into this folder.
        #[arg(long)]
        plots: Option<PathBuf>,
    },
    /// Run one plain loop of the benchmark.
    #[command(hide = true)]
    Bare {
        /// A worker's configuration file.
        #[arg(long)]
        config: PathBuf,
        /// `parse`, or the share of records that is forwarded as it is.
        #[arg(long, value_parser = work)]
        work: Work,
        /// Stop after so many source records.
        #[arg(long)]
        records: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up => command::up::run(),
        Command::Test { arguments } => command::test::run(&arguments),
        Command::Bench { records, rounds } => command::bench::run(records, rounds),
        Command::Chaos { schedules, seed } => command::chaos::run(schedules, seed),
        Command::Simulate { seeds, partitions, trace, plots } => {
            command::simulate::run(seeds, &partitions, trace.as_deref(), plots.as_deref())
        }
        Command::Bare { config, work, records } => {
            bench::bare::run(&config, work, records).map(|()| ExitCode::SUCCESS)
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn partitions(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|partitions| (2..=1000).contains(partitions)).ok_or("2 to 1000".to_owned())
}

fn work(text: &str) -> Result<Work, String> {
    if text == "parse" {
        return Ok(Work::Parse);
    }
    text.parse().map(Work::Forward).map_err(|_| "neither `parse` nor a number".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  cargo lab up
  cargo lab test
  cargo lab test -- --package rollcall-tests --test lab_services
  cargo lab bench
  cargo lab chaos --schedules 20 --seed 100
  cargo lab simulate --plots /tmp/plots";
