//! `rollcall-operator`: runs Rollcall's pipelines on Kubernetes.
//!
//! Owns the command line and exit codes.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rollcall_operator::{check, resource, run};
use rollcall_worker::{logs, traces};

/// Runs Rollcall's pipelines on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "rollcall-operator", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    logs: logs::Logs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the operator, within a cluster or by a kubeconfig.
    #[command(after_help = "Example:\n  rollcall-operator run --watch-namespaces analytics \
        --worker-image registry.example/rollcall:0.1.0")]
    Run(Box<run::Arguments>),
    /// Prints the custom resource definition as YAML.
    #[command(after_help = "Example:\n  rollcall-operator crd | kubectl apply --server-side -f -")]
    Crd,
    /// Checks an installation: is the custom resource served, and the operator ready?
    #[command(after_help = "Example:\n  rollcall-operator check --operator http://rollcall-metrics:9090")]
    Check(check::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Crd => {
            print!("{}", resource::yaml());
            ExitCode::SUCCESS
        }
        Command::Check(told) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(check::run(&told))) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, 1),
            }
        }
        Command::Run(told) => match run::Settings::read(*told) {
            Ok(settings) => match start(&arguments.logs, settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, 1),
            },
            Err(error) => failed(&error, 2),
        },
    }
}

fn failed(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("rollcall-operator: {error:#}");
    ExitCode::from(code)
}

fn start(logs: &logs::Logs, settings: run::Settings) -> Result<(), anyhow::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (tracer, flush) = traces::start("rollcall-operator")?.unzip();
    drop(entered);
    logs::start(logs, tracer);
    let result = runtime.block_on(run::run(settings));
    if let Some(flush) = flush {
        runtime.block_on(flush.flush(LAST_SPANS_LIMIT));
    }
    // A question to Kafka may still wait; nothing depends on its answer any more.
    runtime.shutdown_background();
    result
}

/// How long the end waits for the collector.
const LAST_SPANS_LIMIT: Duration = Duration::from_secs(2);
