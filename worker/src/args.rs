//! The command line, as it is typed.

use std::path::PathBuf;
use std::time::Duration;

use insights::record::Reason;

use crate::logs::Logs;
use crate::protocol::delivery::OUTPUT_REFUSED;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Live, exact insights from a Kafka topic of user logins.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) logs: Logs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one replica.
    #[command(after_help = "Example:\n  rollcall worker --config rollcall.yaml\n  \
        rollcall worker --until-end --output json | jq .logins.total")]
    Worker(Box<WorkerArguments>),
    /// Shows the whole job without any service.
    #[command(after_help = "Example:\n  rollcall demo --max-messages 50000")]
    Demo(DemoArguments),
    /// Produces made-up logins.
    #[command(
        after_help = "Example:\n  rollcall generate --brokers localhost:29092 --rate 1000 --for 60s\n  \
        rollcall generate --count 10000 --seed 7 --malformed 0.02"
    )]
    Generate(Box<GenerateArguments>),
    /// Prints the merged insights from Redis.
    #[command(
        after_help = "Example:\n  rollcall insights\n  rollcall insights --output json | jq .most_popular"
    )]
    Insights(InsightsArguments),
    /// Serves the insights over HTTP.
    #[command(after_help = "Example:\n  rollcall serve --config rollcall.yaml --address 127.0.0.1:8080\n  \
        curl http://127.0.0.1:8080/api/v1/pipelines/user-login/insights?tz=Asia/Kolkata")]
    Serve(ServeArguments),
    /// Proves from the topics and Redis that every record was counted once in each sink, or says what differs.
    #[command(after_help = "Example:\n  rollcall audit --config rollcall.yaml")]
    Audit(AuditArguments),
    /// Looks into the dead letters, and sends them back to the source topic.
    Dlq(DlqArguments),
    /// After a halt: shows what diverged, and starts a new incarnation when told to.
    #[command(after_help = "Example:\n  rollcall repair --config rollcall.yaml\n  \
        rollcall repair --config rollcall.yaml --new-incarnation")]
    Repair(RepairArguments),
}

/// Where the configuration comes from. Flags beat the environment, the environment beats the file.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigurationArguments {
    /// The configuration file; without one, everything has its default.
    #[arg(long, env = "ROLLCALL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Kafka's first brokers: host:port, separated by commas.
    #[arg(long, env = "ROLLCALL_BROKERS", value_name = "HOST:PORT,...")]
    pub(crate) brokers: Option<String>,
    /// Redis: redis://, rediss://, redis-sentinel:// or redis-cluster://.
    #[arg(long, env = "ROLLCALL_REDIS", value_name = "URL", hide_env_values = true)]
    pub(crate) redis: Option<String>,
    /// The pipeline's id.
    #[arg(long, env = "ROLLCALL_PIPELINE", value_name = "ID")]
    pub(crate) pipeline: Option<String>,
}

/// How insights are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table.
    #[default]
    Table,
    /// One JSON document a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// This replica's name: [A-Za-z0-9._-], at most 100. Default: `$POD_NAME`, else the host's name and 8 random digits.
    #[arg(long, env = "ROLLCALL_NAME", value_parser = worker_name)]
    pub(crate) name: Option<String>,
    /// Commit exactly so many source records, then print the insights and exit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_messages: Option<u64>,
    /// Stop at the ends of the log as they were when each partition was assigned, and print the insights.
    #[arg(long)]
    pub(crate) until_end: bool,
    /// Print the merged insights each N source records.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) insights_every: Option<u64>,
    /// How insights are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
    /// Where metrics and health are served: host:port, port 0 picks one and logs it. Off when unset.
    #[arg(long, env = "ROLLCALL_METRICS_ADDRESS", value_name = "HOST:PORT")]
    pub(crate) metrics_address: Option<String>,
    /// How long a bounded run waits for an absent source topic.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) wait: Duration,
    /// Print the effective configuration, without its secrets, and exit.
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Stop after so many source records.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_messages: u64,
    /// The seed of the made-up logins.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How insights are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct GenerateArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// Logins a second; 0: as fast as possible.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// For how long; without this and --count: until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// How many.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// The same seed makes the same logins.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many different users there are.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) users: u64,
    /// Share of records that are no logins, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) malformed: f64,
    /// Share of logins that are up to two days old, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) late: f64,
    /// Share of logins of one single user, 0 to 1: a hot partition.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) skewed: f64,
    /// Create the source topic with so many partitions if it is absent.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,
}

#[derive(Debug, Args)]
pub(crate) struct InsightsArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// How they are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// Where the API is served: host:port, port 0 picks one and logs it. It asks nobody who he is.
    #[arg(long, env = "ROLLCALL_ADDRESS", value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) address: String,
    /// Where metrics and health are served: host:port, port 0 picks one and logs it. Off when unset.
    #[arg(long, env = "ROLLCALL_METRICS_ADDRESS", value_name = "HOST:PORT")]
    pub(crate) metrics_address: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DlqArguments {
    #[command(subcommand)]
    pub(crate) command: DlqCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Prints where each dead letter is, where its record was, and why; never a piece of the record.
    #[command(after_help = "Example:\n  rollcall dlq list --config rollcall.yaml --reason bad_timestamp")]
    List(ListArguments),
    /// Sends dead letters back to the source topic, each once, without the headers that Rollcall added.
    #[command(after_help = "Example:\n  rollcall dlq replay --config rollcall.yaml --dry-run\n  \
        rollcall dlq replay --config rollcall.yaml --reason bad_timestamp")]
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// Only dead letters of this reason.
    #[arg(long, value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// How many are shown.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u64,
    /// How they are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// Only dead letters of this reason.
    #[arg(long, value_parser = reason)]
    pub(crate) reason: Option<String>,
    /// Only say what would be replayed.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArguments {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationArguments,
    /// Start a new incarnation of each partition that diverged: it is counted and delivered anew from its oldest record.
    #[arg(long)]
    pub(crate) new_incarnation: bool,
}

fn worker_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.len() > 100 || !text.bytes().all(allowed) {
        return Err("use 1 to 100 of the characters A-Z a-z 0-9 . _ -".to_owned());
    }
    Ok(text.to_owned())
}

/// A dead letter's reason.
fn reason(text: &str) -> Result<String, String> {
    let codes = || Reason::ALL.iter().map(|reason| reason.code()).chain([OUTPUT_REFUSED]);
    if codes().any(|code| code == text) {
        return Ok(text.to_owned());
    }
    Err(format!("the reasons are {}", codes().collect::<Vec<_>>().join(", ")))
}

/// Reads an integer with `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("use an integer with ms, s, m or h, such as 30s".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "use an integer with ms, s, m or h, such as 30s".to_owned())?;
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| "too long".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "use a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("use a number from 0 to 1".to_owned()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "use a number of records a second".to_owned())?;
    if (0.0..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err("use a number of records a second, 0 or more".to_owned())
    }
}
