//! The `lab` command: real services for a person, and the whole test suite.
//! It never leaves a service running.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lab::bench::bare::Work;
use lab::bench::{self, Section};

/// Rollcall's lab: the real services on this machine, and every test.
#[derive(Parser)]
#[command(name = "cargo lab", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Kafka, Redis and Jaeger and say how to use them, until Ctrl-C.
    Up {
        /// Start them within a Kubernetes of their own, which has the images of the programs just built. Needs root.
        #[arg(long)]
        kubernetes: bool,
    },
    /// Install what is missing, build `rollcall`, and run every test.
    Test {
        /// What `cargo test` gets besides, e.g. `--test lab_services -- --nocapture`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Compare Rollcall with plain loops on the same client, and print what it costs in tables.
    Bench {
        /// One section alone.
        #[arg(long)]
        only: Option<Section>,
        /// Logins of one run.
        #[arg(long, default_value_t = 2_000_000)]
        records: u64,
        /// How often each contender runs.
        #[arg(long, default_value_t = 3)]
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
    /// Change the corpus' inputs at random, for the decoder, the filter and the configuration at once.
    ///
    /// What fails is made short and saved to `tests/corpus`, where every later run and the tests begin with it: commit it
    /// with its remedy. The tests fuzz for some seconds with a fixed seed; a release takes `--seconds 300`.
    Fuzz {
        /// How long.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// Where the random numbers begin; random itself when left out, and printed.
        #[arg(long)]
        seed: Option<u64>,
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
    /// Write the schema of the Helm chart's values.
    Chart,
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
    /// Run the core's work alone, for `valgrind`.
    #[command(hide = true)]
    Core {
        /// How often, over the same logins.
        #[arg(long)]
        rounds: u32,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up { kubernetes: false } => command::up::run(),
        Command::Up { kubernetes: true } => command::up::run_kubernetes(),
        Command::Test { arguments } => command::test::run(&arguments),
        Command::Bench { only, records, rounds } => command::bench::run(only, records, rounds),
        Command::Chaos { schedules, seed } => command::chaos::run(schedules, seed),
        Command::Fuzz { seconds, seed } => command::fuzz::run(seconds, seed),
        Command::Simulate { seeds, partitions, trace, plots } => {
            command::simulate::run(seeds, &partitions, trace.as_deref(), plots.as_deref())
        }
        Command::Chart => command::chart::run(),
        Command::Bare { config, work, records } => {
            bench::bare::run(&config, work, records).map(|()| ExitCode::SUCCESS)
        }
        Command::Core { rounds } => bench::core::run(rounds).map(|()| ExitCode::SUCCESS),
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
  cargo lab up --kubernetes
  cargo lab test
  cargo lab test -- --package rollcall-tests --test lab_services
  cargo lab bench
  cargo lab chaos --schedules 20 --seed 100
  cargo lab fuzz --seconds 300
  cargo lab simulate --plots /tmp/plots";
