//! `rollcall dlq`: looks into the dead letters, and sends them back to the source topic, each once.

mod letter;
mod progress;
mod replay;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use chrono::DateTime;
use insights::spec::PipelineSpec;
use serde_json::json;

use self::letter::Letter;
use super::reader::Reader;
use crate::args::{DlqArguments, DlqCommand, ListArguments, OutputFormat};
use crate::configuration;
use crate::control::Control;
use crate::exit::Failure;

/// Runs the command.
pub(crate) fn run(arguments: &DlqArguments) -> Result<(), Failure> {
    match &arguments.command {
        DlqCommand::List(arguments) => {
            let spec = configuration::load(&arguments.configuration)?;
            Ok(list(&spec, arguments)?)
        }
        DlqCommand::Replay(arguments) => {
            let spec = configuration::load(&arguments.configuration)?;
            Ok(replay::run(&spec, arguments)?)
        }
    }
}

/// Prints the dead letters of each partition from its oldest on, then how many there are by reason.
fn list(spec: &PipelineSpec, arguments: &ListArguments) -> Result<()> {
    let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
    let mut printed = 0;
    for partition in 0..partitions(spec, &spec.dead_letter.topic)? {
        let mut reader = Reader::open(spec, &spec.dead_letter.topic, partition, 0)?;
        while let Some(record) = reader.next()? {
            let Some(letter) = Letter::read(&record) else { continue };
            if arguments.reason.as_ref().is_some_and(|wanted| *wanted != letter.reason) {
                continue;
            }
            *by_reason.entry(letter.reason.clone()).or_default() += 1;
            if printed < arguments.limit {
                printed += 1;
                println!("{}", line(arguments.output, partition, record.offset, &letter));
            }
        }
    }
    if arguments.output == OutputFormat::Table {
        let total: u64 = by_reason.values().sum();
        let parts: Vec<String> =
            by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        println!("{total} dead letters, {printed} shown: {}", parts.join(", "));
    }
    Ok(())
}

/// Where a letter is, where its record was, when, why, and how long; never a piece of it.
fn line(format: OutputFormat, partition: i32, offset: i64, letter: &Letter) -> String {
    let bytes = letter.original.value.as_ref().map(Vec::len);
    let time = DateTime::from_timestamp_millis(letter.original.timestamp_ms);
    let time = time.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    match format {
        OutputFormat::Json => json!({
            "partition": partition,
            "offset": offset,
            "source": {"partition": letter.partition, "offset": letter.offset},
            "time": time,
            "reason": letter.reason,
            "field": letter.field,
            "value_bytes": bytes,
            "complete": !letter.is_cut,
        })
        .to_string(),
        OutputFormat::Table => format!(
            "{partition}@{offset}  source {}@{}  {}  {}{}  {}",
            letter.partition,
            letter.offset,
            time.as_deref().unwrap_or("no time"),
            letter.reason,
            letter.field.as_ref().map_or_else(String::new, |field| format!(" ({field})")),
            bytes.map_or_else(|| "no value".to_owned(), |bytes| format!("{bytes} bytes")),
        ),
    }
}

fn partitions(spec: &PipelineSpec, topic: &str) -> Result<i32> {
    let control = Control::new(spec, "rollcall-dlq").context("failed to make a Kafka client")?;
    let found = control.partitions(topic).with_context(|| format!("failed to ask Kafka for `{topic}`"))?;
    found.with_context(|| format!("the topic `{topic}` does not exist: check the configuration"))
}
