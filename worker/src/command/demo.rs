//! `rollcall demo`: the whole job in one process, with the production pump and no service.
//!
//! Kafka is librdkafka's mock cluster, which keeps no offsets of transactions and no isolation: the guarantee is shown by
//! the lab's tests on real Kafka, not by this.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use insights::spec::{self, Overrides, PipelineSpec, Sources};
use insights::store::Store;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::BaseProducer;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::generate::send;
use super::worker::{Worker, work};
use crate::args::{DemoArguments, OutputFormat};
use crate::client;
use crate::clock::now_ms;
use crate::exit::Failure;
use crate::json::{at, number_at, text_at};
use crate::logins::Logins;
use crate::output;
use crate::pump::Bounds;
use crate::signals::Signals;

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: &DemoArguments) -> Result<(), Failure> {
    let cluster = MockCluster::new(1).context("failed to start the mock Kafka")?;
    let spec = specification(&cluster.bootstrap_servers())?;
    for topic in [&spec.source.topic, &spec.output.topic, &spec.dead_letter.topic] {
        cluster.create_topic(topic, PARTITIONS, 1).context("failed to create a topic")?;
    }
    eprintln!(
        "demo: an in-process mock of Kafka and a store in memory; the guarantee needs real ones (see the README)"
    );
    runtime.block_on(show(Arc::new(spec), arguments))
}

fn specification(brokers: &str) -> Result<PipelineSpec, Failure> {
    let overrides =
        Overrides { brokers: Some(brokers.split(',').map(str::to_owned).collect()), ..Overrides::default() };
    let sources = Sources { environment: &|_| None, file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    spec::read("", &overrides, &sources).map_err(Failure::configuration)
}

async fn show(spec: Arc<PipelineSpec>, arguments: &DemoArguments) -> Result<(), Failure> {
    let store = Store::memory();
    let mut signals = Signals::listen()?;
    let mut stops = Vec::new();
    let mut workers = Vec::new();
    for name in ["demo-1", "demo-2"] {
        let (stop, stopped) = oneshot::channel();
        stops.push(stop);
        workers.push(work(
            Worker {
                spec: Arc::clone(&spec),
                name: name.to_owned(),
                store: store.clone(),
                bounds: Bounds::default(),
                wait: None,
                output: arguments.output,
                is_demo: true,
                metrics_address: None,
            },
            stopped,
        ));
    }
    let mut workers = workers.into_iter();
    let (Some(first), Some(second)) = (workers.next(), workers.next()) else {
        return Ok(());
    };
    let working = async { tokio::try_join!(first, second) };
    let feeding = async {
        tokio::select! {
            result = feed(&spec, &store, arguments) => result?,
            () = signals.next() => {}
        }
        for stop in stops {
            if stop.send(()).is_err() {
                tracing::debug!("a worker has ended already");
            }
        }
        Ok::<(), Failure>(())
    };
    tokio::try_join!(working, feeding)?;
    let document = store.published().await.map_err(Failure::runtime)?;
    if arguments.output == OutputFormat::Table {
        print_outputs(&spec);
    }
    output::print(arguments.output, document.as_deref());
    Ok(())
}

/// Generates once both workers hold their partitions, and never far ahead of them: the mock forgets old records.
async fn feed(spec: &PipelineSpec, store: &Store, arguments: &DemoArguments) -> Result<(), Failure> {
    wait_for_assignment(store).await?;
    let feeder: BaseProducer =
        client::plain_producer(spec, "demo-generate").create().context("failed to make a producer")?;
    let mut logins = Logins::new(arguments.seed, 10_000, 0.01, 0.05, 0.0);
    let mut produced = 0;
    let mut shown = None;
    loop {
        let read = records_read(store).await?;
        if shown != Some(read) {
            shown = Some(read);
            progress(store, arguments.max_messages).await?;
        }
        if read >= arguments.max_messages {
            return Ok(());
        }
        while produced < arguments.max_messages.min(read + AHEAD_MAX) {
            send(&feeder, &spec.source.topic, &logins.next(now_ms()))?;
            produced += 1;
            if produced % 500 == 0 {
                feeder.poll(Duration::ZERO);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        feeder.poll(Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Both workers have reported, and all partitions are somebody's.
async fn wait_for_assignment(store: &Store) -> Result<(), Failure> {
    loop {
        let reports = store.reports().await.map_err(Failure::runtime)?;
        let mut shares = Vec::new();
        for report in reports.values() {
            let report: Value = serde_json::from_str(report).unwrap_or_default();
            shares.push(at(&report, "/partitions").as_array().map_or(0, Vec::len));
        }
        if shares.len() == 2 && shares.iter().all(|share| *share > 0) && shares.iter().sum::<usize>() == 16 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn records_read(store: &Store) -> Result<u64, Failure> {
    let document = store.published().await.map_err(Failure::runtime)?;
    let document: Value = document.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(number_at(&document, "/records/read"))
}

/// A line of live insights on a terminal; nothing in a pipe.
async fn progress(store: &Store, due: u64) -> Result<(), Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(());
    }
    let document = store.published().await.map_err(Failure::runtime)?;
    let document: Value = document.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    eprintln!(
        "{:>9} of {due}  processed {:>8}  dead letters {:>5}  top device {}  top version {}  distinct users {}",
        number_at(&document, "/records/read"),
        number_at(&document, "/records/processed"),
        number_at(&document, "/records/dead_letters/total"),
        text_at(&document, "/most_popular/device_type/value"),
        text_at(&document, "/most_popular/app_version/value"),
        number_at(&document, "/unique/user_id/value"),
    );
    Ok(())
}

/// The first records of the output topic, as its readers see them.
fn print_outputs(spec: &PipelineSpec) {
    let Ok(consumer) = client::control(spec, "demo-read").create::<BaseConsumer>() else {
        return;
    };
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        if list.add_partition_offset(&spec.output.topic, partition, Offset::Beginning).is_err() {
            return;
        }
    }
    if consumer.assign(&list).is_err() {
        return;
    }
    println!("{}:", spec.output.topic);
    let mut shown = 0;
    for _ in 0..100 {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100))
            && let Some(value) = message.payload()
        {
            println!("  {}", String::from_utf8_lossy(value));
            shown += 1;
        }
        if shown == OUTPUTS_SHOWN {
            break;
        }
    }
    println!();
}

const PARTITIONS: i32 = 16;

/// The mock keeps 5 MiB a partition; this is far below.
const AHEAD_MAX: u64 = 40_000;

const OUTPUTS_SHOWN: u32 = 3;
