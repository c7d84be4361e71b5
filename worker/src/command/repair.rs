//! `rollcall repair`: what diverged, and a new incarnation when told to.
//!
//! Writes to Redis alone: a running worker finds the new incarnation there and goes on from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use insights::spec::{PipelineSpec, StartFrom};
use insights::state::{PartitionState, scopes_of};
use insights::store::{Flush, FlushOutcome, Store, StoredHead};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use super::worker::store;
use crate::args::RepairArguments;
use crate::backend::read_head;
use crate::client;
use crate::configuration;
use crate::control::Control;
use crate::exit::Failure;
use crate::protocol::progress::{
    Delivery, FirstStart, HEAD_SCHEMA, Head, LastRecord, counter, fingerprint, incarnation,
};
use crate::protocol::start::{self, Committed, Halt, Log};
use crate::pump::run::{HISTORY, MANIFEST, PROGRESS};
use crate::revision;

/// One partition as it was found.
struct Found {
    partition: i32,
    committed: Committed,
    stored: Option<StoredHead>,
    head: Option<Head>,
    log: Log,
    halt: Option<Halt>,
}

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: &RepairArguments) -> Result<(), Failure> {
    let spec = configuration::load(&arguments.configuration)?;
    runtime.block_on(async {
        let store = store(&spec)?;
        let control = Arc::new(Control::new(&spec, "rollcall-repair").map_err(Failure::runtime)?);
        let found = look(&spec, &store, &control).await?;
        let mut diverged = 0;
        for one in &found {
            let Some(halt) = &one.halt else { continue };
            diverged += 1;
            println!("partition {}: {halt}", one.partition);
            if arguments.new_incarnation {
                renew(&spec, &store, one).await?;
                println!("partition {}: a new incarnation starts at offset {}", one.partition, one.log.start);
            }
        }
        if diverged == 0 {
            println!("nothing diverged: all {} partitions agree with what is stored", found.len());
        } else if !arguments.new_incarnation {
            println!(
                "with --new-incarnation each of them is counted and delivered anew from its oldest record; what was \
                 counted of it before is given up"
            );
        }
        Ok(())
    })
}

async fn look(spec: &PipelineSpec, store: &Store, control: &Arc<Control>) -> Result<Vec<Found>, Failure> {
    let asked = Arc::clone(control);
    let topic = spec.source.topic.clone();
    let (committed, mut logs, topic_id) = tokio::task::spawn_blocking(move || {
        let count = asked
            .partitions(&topic)?
            .with_context(|| format!("the source topic `{topic}` does not exist"))?;
        let all: Vec<i32> = (0..count).collect();
        let topic_id = asked.topic_id().unwrap_or(None);
        Ok::<_, anyhow::Error>((asked.committed(&all)?, asked.logs(&all)?, topic_id))
    })
    .await
    .context("failed to ask Kafka")??;
    let proposal =
        FirstStart { incarnation: incarnation(1, 0), topic_id: topic_id.clone(), starts: Vec::new() };
    let all: Vec<i32> = logs.keys().copied().collect();
    let heads = store.heads(&all).await.map_err(Failure::runtime)?;
    let stored: BTreeMap<i32, Option<StoredHead>> = all.into_iter().zip(heads).collect();
    let mut found = Vec::new();
    for (partition, stored) in stored {
        let Some(mut log) = logs.remove(&partition) else {
            continue;
        };
        log.topic_id.clone_from(&topic_id);
        let head = stored.as_ref().map(read_head).transpose()?.flatten();
        let committed = committed.get(&partition).cloned().unwrap_or(Committed::Absent);
        let latest = spec.source.start_from == StartFrom::Latest;
        let halt = match start::decide(partition, &committed, head.as_ref(), &log, &proposal, latest) {
            Err(halt) => Some(halt),
            Ok(plan) => {
                let lasts: Vec<LastRecord> = plan.kafka_last.into_iter().chain(plan.state_last).collect();
                diverged(spec, partition, &lasts)?
            }
        };
        found.push(Found { partition, committed, stored, head, log, halt });
    }
    Ok(found)
}

/// Compares the records that the sinks remember with those that the log holds.
fn diverged(spec: &PipelineSpec, partition: i32, lasts: &[LastRecord]) -> Result<Option<Halt>, Failure> {
    for last in lasts {
        let consumer: BaseConsumer<client::Quiet> = client::control(spec, "rollcall-repair")
            .create_with_context(client::Quiet)
            .context("failed to make a reader")?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&spec.source.topic, partition, Offset::Offset(last.offset))
            .context("failed to name a record")?;
        consumer.assign(&list).context("failed to read a record")?;
        if let Some(Ok(message)) = consumer.poll(READ_LIMIT)
            && message.offset() == last.offset
            && fingerprint(message.timestamp().to_millis().unwrap_or(-1), message.key(), message.payload())
                != last.fingerprint
        {
            return Ok(Some(Halt::Diverged { offset: last.offset }));
        }
    }
    Ok(None)
}

/// Writes the head of a new incarnation in place of all that was stored.
async fn renew(spec: &PipelineSpec, store: &Store, found: &Found) -> Result<(), Failure> {
    let known = found.head.as_ref().map_or(0, |head| counter(&head.incarnation));
    let committed = match &found.committed {
        Committed::Ours(progress) => counter(&progress.metadata.incarnation),
        _ => 0,
    };
    let incarnation = incarnation(known.max(committed).max(1) + 1, rand::random());
    let start = found.log.start;
    let head = Head {
        schema: HEAD_SCHEMA,
        incarnation: incarnation.clone(),
        topic_id: found.log.topic_id.clone(),
        base: start,
        next: start,
        last: None,
        last_timestamp_ms: -1,
        kafka_next: start,
        kafka_last: None,
        delivery: Delivery::default(),
        gaps: Vec::new(),
        owner: String::new(),
        rebuilt_with_revision: None,
    };
    let timeline = revision::timeline(spec, None, &[], start, start).map_err(Failure::configuration)?;
    let mut state = PartitionState::new(Arc::clone(&timeline.current.layout));
    let changes = state.take_changes(rand::random::<u32>().into());
    let old = found.stored.as_ref().and_then(|stored| stored.fields.get(MANIFEST));
    let json = |value: Result<Vec<u8>, serde_json::Error>| value.expect("plain data is JSON");
    let flush = Flush {
        partition: found.partition,
        expected: found.stored.as_ref().map(|stored| stored.token.clone()),
        token: format!("{incarnation}|{start}|{:016x}", rand::random::<u64>()),
        head: BTreeMap::from([
            (PROGRESS.to_owned(), json(serde_json::to_vec(&head))),
            (MANIFEST.to_owned(), changes.manifest),
            (HISTORY.to_owned(), json(serde_json::to_vec(&timeline.history))),
        ]),
        drops: old.map(|manifest| scopes_of(manifest)).unwrap_or_default(),
        ..Flush::default()
    };
    match store.flush(&flush).await.map_err(Failure::runtime)? {
        FlushOutcome::Applied => Ok(()),
        FlushOutcome::Conflict(_) => Err(Failure::runtime(anyhow::anyhow!(
            "partition {} changed meanwhile: run `rollcall repair` again",
            found.partition
        ))),
    }
}

const READ_LIMIT: Duration = Duration::from_secs(5);
