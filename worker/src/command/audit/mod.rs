//! `rollcall audit`: reads the source, both sinks and Redis, and says whether every record was counted once in each.
//!
//! It only reads, in bounded memory, and may run beside live workers: what is beyond the published positions is left out.
//! It counts with the same rules as the workers; the lab's oracle, which shares no code with them, is what those are
//! tested against.

mod differences;
mod insights;
mod keys;
mod partition;
mod sink;

use std::collections::BTreeMap;

use ::insights::document::Progress;
use ::insights::spec::PipelineSpec;
use ::insights::state::PartitionState;
use ::insights::store::{Flush, FoundKey, Store, StoredHead};
use anyhow::{Context as _, Result};
use chrono::DateTime;
use serde_json::Value;
use tokio::runtime::Runtime;

use self::differences::Differences;
use self::insights::{Public, Stored};
use self::partition::{Counted, Subject};
use self::sink::Sink;
use super::reader::Reader;
use super::worker::store;
use crate::args::AuditArguments;
use crate::backend::{gap, read_head, read_history};
use crate::configuration;
use crate::control::Control;
use crate::exit::Failure;
use crate::protocol::progress::{Head, History, UNDELIVERABLE};
use crate::pump::run::MANIFEST;
use crate::revision;

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: &AuditArguments) -> Result<(), Failure> {
    let spec = configuration::load(&arguments.configuration)?;
    let store = store(&spec)?;
    let Some(public) = runtime.block_on(Public::read(&store))? else {
        println!("nothing is published yet: there is nothing to audit");
        return Ok(());
    };
    let mut audit = Audit::new(&spec, public)?;
    let partitions = audit.read_logs(runtime, &store)?;
    runtime.block_on(audit.compare_insights(&store))?;
    runtime.block_on(audit.look_for_orphans(&store, partitions))?;
    audit.conclude()
}

/// What Redis holds of a partition.
struct Known {
    partition: i32,
    stored: StoredHead,
    head: Head,
    history: History,
}

/// An audit under way.
struct Audit {
    spec: PipelineSpec,
    public: Public,
    positions: BTreeMap<i32, i64>,
    published_at_ms: i64,
    /// What must be counted.
    recounted: Store,
    states: BTreeMap<i32, Stored>,
    /// The stored states that stood where the publication does.
    at_rest: BTreeMap<i32, Stored>,
    /// Why counts cannot be proved.
    unprovable: Vec<String>,
    total: Counted,
    found: Differences,
}

impl Audit {
    fn new(spec: &PipelineSpec, public: Public) -> Result<Self> {
        let positions = public.document.get("positions").and_then(Value::as_object);
        let positions = positions.context("the published document has no positions")?;
        let place = |(partition, next): (&String, &Value)| Some((partition.parse().ok()?, next.as_i64()?));
        let positions: BTreeMap<i32, i64> = positions.iter().filter_map(place).collect();
        let published_at = public.document.get("published_at").and_then(Value::as_str).unwrap_or_default();
        let published_at = DateTime::parse_from_rfc3339(published_at).context("the document has no time")?;
        Ok(Self {
            spec: spec.clone(),
            public,
            positions,
            published_at_ms: published_at.timestamp_millis(),
            recounted: Store::memory(),
            states: BTreeMap::new(),
            at_rest: BTreeMap::new(),
            unprovable: Vec::new(),
            total: Counted::default(),
            found: Differences::default(),
        })
    }

    /// Reads every partition and both sinks; returns how many partitions the source has.
    fn read_logs(&mut self, runtime: &Runtime, store: &Store) -> Result<i32, Failure> {
        let own = self.spec.clone();
        let control = Control::new(&own, "rollcall-audit").map_err(Failure::runtime)?;
        let count = |topic: &str| {
            let found = control.partitions(topic).with_context(|| format!("failed to ask for `{topic}`"))?;
            found.with_context(|| format!("the topic `{topic}` does not exist"))
        };
        let sources = count(&own.source.topic)?;
        let sinks = (count(&own.output.topic)?, count(&own.dead_letter.topic)?);
        let partitions: Vec<i32> = self.positions.keys().copied().collect();
        let heads = runtime.block_on(store.heads(&partitions)).map_err(Failure::runtime)?;
        for (partition, stored) in partitions.into_iter().zip(heads) {
            let read = stored.map(|stored| {
                let head = read_head(&stored)?.context("its head is damaged")?;
                let history = read_history(&stored).context("its history is damaged")?;
                Ok::<_, anyhow::Error>(Known { partition, stored, head, history })
            });
            match read.transpose() {
                Ok(Some(known)) => {
                    let counted = self.read_log(runtime, &own, sinks, &known)?;
                    say(partition, self.position(partition), counted);
                }
                Ok(None) => {
                    self.found.add(format!("partition {partition}: is published, and has no stored state"));
                }
                Err(error) => self.found.add(format!("partition {partition}: {error:#}")),
            }
        }
        Ok(sources)
    }

    async fn look_for_orphans(&mut self, store: &Store, partitions: i32) -> Result<()> {
        for FoundKey { owner, name } in keys::orphans(store, partitions).await? {
            let pipeline = &self.spec.pipeline;
            self.found.add(format!(
                "key rollcall:{{{pipeline}{owner}}}:{name}: belongs to no partition's state and to no publication"
            ));
        }
        Ok(())
    }

    fn position(&self, partition: i32) -> i64 {
        self.positions.get(&partition).copied().unwrap_or(0)
    }

    fn read_log(
        &mut self,
        runtime: &Runtime,
        own: &PipelineSpec,
        (outputs, dead_letters): (i32, i32),
        known: &Known,
    ) -> Result<Counted, Failure> {
        let Known { partition, stored, head, history } = known;
        let (partition, position) = (*partition, self.position(*partition));
        self.adopt_newest(history)?;
        if head.next < position {
            self.found.add(format!(
                "partition {partition}: is published up to {position}, stored only up to {}",
                head.next
            ));
        }
        let timeline = revision::timeline(own, Some(history), &[], head.base, head.base)
            .map_err(Failure::configuration)?;
        let source = Reader::open(own, &own.source.topic, partition, head.base)?.passing_over(&head.gaps);
        if source.start > first_there(head) {
            self.unprovable.push(format!(
                "partition {partition}: its records below {} are no longer in the source topic",
                source.start
            ));
        }
        let mut subject = Subject {
            partition,
            position,
            timeline,
            gaps: head.gaps.clone(),
            source,
            output: Sink::open(own, &own.output.topic, outputs, partition, &head.incarnation)?,
            dead_letters: Sink::open(
                own,
                &own.dead_letter.topic,
                dead_letters,
                partition,
                &head.incarnation,
            )?,
        };
        let (state, counted) = partition::audit(&mut subject, &mut self.found)?;
        self.total = sum(self.total, counted);
        let progress = Progress {
            position,
            incarnation: head.incarnation.clone(),
            gaps: head.gaps.iter().filter_map(gap).collect(),
            output_refused: counted.refused,
        };
        if head.next == position {
            let manifest = stored.fields.get(MANIFEST).cloned().unwrap_or_default();
            let progress = Progress { output_refused: head.delivery.output_refused, ..progress.clone() };
            self.at_rest.insert(partition, Stored { token: stored.token.clone(), manifest, progress });
        }
        runtime.block_on(self.keep(partition, state, progress))?;
        Ok(counted)
    }

    /// Publications are made by the newest revision that any partition has taken up.
    fn adopt_newest(&mut self, history: &History) -> Result<(), Failure> {
        if let Some(newest) = history.revisions.last().filter(|newest| newest.revision > self.spec.revision) {
            self.spec = self.spec.with_text(&newest.text, newest.revision).map_err(Failure::configuration)?;
        }
        Ok(())
    }

    async fn keep(&mut self, partition: i32, mut state: PartitionState, progress: Progress) -> Result<()> {
        let changes = state.take_changes(1);
        let token = format!("{}|{}|audit", progress.incarnation, progress.position);
        let flush = Flush {
            partition,
            expected: None,
            token: token.clone(),
            head: BTreeMap::from([(MANIFEST.to_owned(), changes.manifest.clone())]),
            drops: Vec::new(),
            puts: changes.puts,
            deletes: Vec::new(),
        };
        self.recounted.flush(&flush).await.context("failed to keep what was counted")?;
        self.states.insert(partition, Stored { token, manifest: changes.manifest, progress });
        Ok(())
    }

    async fn compare_insights(&mut self, store: &Store) -> Result<()> {
        if !self.unprovable.is_empty() {
            return Ok(());
        }
        let must = insights::publish(&self.spec, &self.recounted, &self.states, self.published_at_ms).await?;
        let must = must.context("what was counted moved")?;
        insights::compare_documents("insights", &must.document, &self.public.document, &mut self.found)?;
        insights::compare_keys(&must.keys, &self.public.keys, &mut self.found);
        for (&partition, stored) in &self.at_rest {
            let only = |stored: &Stored| BTreeMap::from([(partition, stored.clone())]);
            let Some(state) = self.states.get(&partition) else { continue };
            let must =
                insights::publish(&self.spec, &self.recounted, &only(state), self.published_at_ms).await?;
            let what = format!("partition {partition}'s stored state");
            match insights::publish(&self.spec, store, &only(stored), self.published_at_ms).await {
                Ok(Some(is)) => {
                    let Some(must) = must else { continue };
                    let document = serde_json::from_str(&is.document).context("a document is no JSON")?;
                    insights::compare_documents(&what, &must.document, &document, &mut self.found)?;
                    let keys = is.keys.into_iter().map(|(name, value)| (name, Some(value))).collect();
                    insights::compare_keys(&must.keys, &keys, &mut self.found);
                }
                // It went on meanwhile, which is none of this audit's business.
                Ok(None) => {}
                Err(error) => self.found.add(format!("{what}: {error:#}")),
            }
        }
        Ok(())
    }

    fn conclude(self) -> Result<(), Failure> {
        let Counted { records, outputs, dead_letters, refused, unprovable } = self.total;
        println!(
            "{records} records, {outputs} outputs, {dead_letters} dead letters, {refused} refused by the output topic"
        );
        if unprovable > 0 {
            println!(
                "{unprovable} deliveries are older than what the sinks' retention keeps: they cannot be proved"
            );
        }
        for line in &self.unprovable {
            println!("{line}: the insights cannot be proved");
        }
        for line in self.found.lines() {
            println!("{line}");
        }
        match self.found.count() {
            0 if self.unprovable.is_empty() && unprovable == 0 => {
                println!("every record below the published positions was counted once in each sink");
                Ok(())
            }
            0 => {
                println!("what can be proved is right");
                Ok(())
            }
            count => {
                Err(Failure::runtime(anyhow::anyhow!("{count} differences: see above; nothing was changed")))
            }
        }
    }
}

/// The oldest record that must be there for the counts to be proved: what a gap names was never counted.
fn first_there(head: &Head) -> i64 {
    let lost = head.gaps.iter().filter(|gap| gap.from <= head.base && gap.reason != UNDELIVERABLE);
    lost.map(|gap| gap.to).fold(head.base, i64::max)
}

fn sum(left: Counted, right: Counted) -> Counted {
    Counted {
        records: left.records + right.records,
        outputs: left.outputs + right.outputs,
        dead_letters: left.dead_letters + right.dead_letters,
        refused: left.refused + right.refused,
        unprovable: left.unprovable + right.unprovable,
    }
}

fn say(partition: i32, position: i64, counted: Counted) {
    println!(
        "partition {partition}: {} records below offset {position}, {} outputs, {} dead letters",
        counted.records, counted.outputs, counted.dead_letters
    );
}
