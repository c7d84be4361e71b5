//! `rollcall-operator`.

use clap::{Parser, Subcommand};

/// Runs Rollcall's pipelines on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "rollcall-operator", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the custom resource definition as YAML.
    #[command(after_help = "Example:\n  rollcall-operator crd | kubectl apply --server-side -f -")]
    Crd,
}

fn main() {
    match Arguments::parse().command {
        Command::Crd => print!("{}", rollcall_operator::resource::yaml()),
    }
}
