//! What is seen of the pipelines: Kafka's offsets, the workers' reports, the published document.
//!
//! Owns one task a pipeline that asks at its interval, off the way of a reconcile, and what it saw last. It decides nothing;
//! what is unknown stays unknown, and never becomes 0.

mod document;
mod kafka;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use insights::http::{Lag, PartitionLag, Pipelines};
use insights::report::Report;
use insights::spec::{PipelineSpec, RedisUrl, StartFrom};
use insights::store::{Since, Store, tail};
use kube::runtime::reflector::ObjectRef;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub use self::document::Document;
pub use self::kafka::Pem;
use self::kafka::{Look, Questions};
use crate::resource::Rollcall;
use crate::scaling::{History, Offsets, PartitionOffsets, WorkerReport};

/// A pipeline to look at.
pub struct Target {
    /// The pipeline's id.
    pub pipeline: String,
    /// How its services are reached, with the secrets themselves.
    pub spec: PipelineSpec,
    /// Certificates and keys, by their text: the operator mounts none.
    pub pem: Pem,
    /// How often it is looked at.
    pub interval: Duration,
    /// Tells this target from another of the same resource.
    pub fingerprint: String,
}

/// What is known of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It answered the latest question.
    Answered,
    /// It did not.
    Failed {
        /// In one word.
        reason: &'static str,
        /// What it said.
        message: String,
    },
}

/// What was seen of a pipeline last.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether Kafka answers.
    pub kafka: Reach,
    /// Whether Redis answers.
    pub redis: Reach,
    /// The source topic's partitions.
    pub partitions: Option<u32>,
    /// Log ends and committed offsets of the last minutes.
    pub offsets: History,
    /// Members of the consumer group; none while it rebalances, or when it is unknown.
    pub members: Option<usize>,
    /// The workers' newest reports.
    pub workers: Vec<WorkerReport>,
    /// The published document, as far as it is of interest here.
    pub document: Option<Document>,
}

/// All pipelines that are looked at.
pub struct Observer {
    pipelines: Mutex<HashMap<ObjectRef<Rollcall>, Entry>>,
    served: Pipelines,
    changed: mpsc::UnboundedSender<ObjectRef<Rollcall>>,
}

struct Entry {
    pipeline: String,
    fingerprint: String,
    questions: Result<Questions, String>,
    redis: SecretString,
    store: Result<Store, String>,
    seen: Arc<Mutex<Arc<Observed>>>,
    task: AbortHandle,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Observer {
    /// Nothing is looked at yet. `changed` hears of each look; what is looked at is served from then on.
    pub fn new(changed: mpsc::UnboundedSender<ObjectRef<Rollcall>>, served: Pipelines) -> Self {
        Self { pipelines: Mutex::default(), served, changed }
    }

    /// The pipelines that are looked at, for the HTTP API.
    pub fn served(&self) -> &Pipelines {
        &self.served
    }

    /// Looks at a pipeline from now on; at another target of the same resource no more. What was seen stays until the new
    /// target answers.
    pub fn watch(&self, key: &ObjectRef<Rollcall>, target: Target) {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let former = pipelines.get(key);
        if former.is_some_and(|entry| entry.fingerprint == target.fingerprint) {
            return;
        }
        let seen = former.map_or_else(Arc::default, |entry| Arc::clone(&entry.seen));
        let (pipeline, fingerprint) = (target.pipeline.clone(), target.fingerprint.clone());
        let others = pipelines.values().filter_map(|entry| entry.questions.as_ref().ok());
        let questions = Questions::new(&target.spec, &target.pem, others);
        let redis = target.spec.redis.url.clone();
        let store = store(&pipelines, &redis, &pipeline);
        if let Ok(store) = &store {
            self.served.put(&pipeline, store.clone());
        }
        let looks = Looks {
            key: key.clone(),
            seen: Arc::clone(&seen),
            served: self.served.clone(),
            changed: self.changed.clone(),
        };
        let task = tokio::spawn(look_at(target, questions.clone(), store.clone(), looks)).abort_handle();
        let entry = Entry { pipeline, fingerprint, questions, redis, store, seen, task };
        pipelines.insert(key.clone(), entry);
    }

    /// Looks at a pipeline no more.
    pub fn forget(&self, key: &ObjectRef<Rollcall>) {
        let former = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(former) = former {
            self.served.remove(&former.pipeline);
        }
    }

    /// Whether this very target is looked at.
    pub fn is_watched(&self, key: &ObjectRef<Rollcall>, fingerprint: &str) -> bool {
        let pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.get(key).is_some_and(|entry| entry.fingerprint == fingerprint)
    }

    /// What was seen last; nothing where it is not looked at.
    pub fn seen(&self, key: &ObjectRef<Rollcall>) -> Arc<Observed> {
        let pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.get(key).map_or_else(Arc::default, |entry| {
            Arc::clone(&entry.seen.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }
}

/// A pipeline's place in its Redis; those in the same one share a connection.
fn store(
    pipelines: &HashMap<ObjectRef<Rollcall>, Entry>,
    redis: &SecretString,
    pipeline: &str,
) -> Result<Store, String> {
    let same = pipelines.values().find(|entry| entry.redis.expose_secret() == redis.expose_secret());
    if let Some(Ok(store)) = same.map(|entry| &entry.store) {
        return Ok(store.beside(pipeline));
    }
    let url = RedisUrl::parse(redis.expose_secret()).map_err(|error| error.to_string())?;
    Ok(Store::redis(url.into(), pipeline))
}

/// Looks again and again; ends when it is aborted.
async fn look_at(
    target: Target,
    questions: Result<Questions, String>,
    store: Result<Store, String>,
    looks: Looks,
) {
    let from_earliest = target.spec.source.start_from == StartFrom::Earliest;
    let mut document_tail = None;
    let mut ticks = tokio::time::interval(target.interval.max(INTERVAL_MIN));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let former = Arc::clone(&looks.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut observed = Observed::clone(&former);
        let (kafka, redis) = tokio::join!(ask_kafka(&questions), ask_redis(&store, document_tail.as_deref()));
        observed.kafka = kafka.map(|look| look.put_into(&mut observed)).err().unwrap_or(Reach::Answered);
        observed.redis = match redis {
            Ok((workers, since)) => {
                observed.workers = workers;
                match since {
                    Since::Same => {}
                    Since::Nothing => (observed.document, document_tail) = (None, None),
                    Since::Document(document) => {
                        document_tail = Some(tail(&document));
                        observed.document = Document::read(&document);
                    }
                }
                Reach::Answered
            }
            Err(failed) => failed,
        };
        if let Some(offsets) = observed.offsets.latest() {
            looks.served.set_lag(&target.pipeline, lag(offsets, from_earliest));
        }
        *looks.seen.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(observed);
        if looks.changed.send(looks.key.clone()).is_err() {
            return;
        }
    }
}

/// Where looks go.
struct Looks {
    key: ObjectRef<Rollcall>,
    seen: Arc<Mutex<Arc<Observed>>>,
    served: Pipelines,
    changed: mpsc::UnboundedSender<ObjectRef<Rollcall>>,
}

/// How far the group is behind, as the API shows it.
fn lag(offsets: &Offsets, from_earliest: bool) -> Lag {
    let of = |partition: &PartitionOffsets| {
        let position = partition.position(from_earliest);
        (partition.partition, PartitionLag::between(Some(position), Some(partition.end)))
    };
    Lag { observed_at_ms: Some(offsets.at_ms), partitions: offsets.partitions.iter().map(of).collect() }
}

async fn ask_kafka(questions: &Result<Questions, String>) -> Result<Look, Reach> {
    match questions {
        Ok(questions) => questions.ask().await,
        Err(error) => Err(Reach::Failed { reason: "Settings", message: error.clone() }),
    }
}

async fn ask_redis(
    store: &Result<Store, String>,
    tail: Option<&str>,
) -> Result<(Vec<WorkerReport>, Since), Reach> {
    let failed = |reason, message| Reach::Failed { reason, message };
    let store = store.as_ref().map_err(|error| failed("Settings", error.clone()))?;
    let asked = async {
        let reports = store.reports().await?;
        Ok::<_, insights::store::Error>((reports, store.published_since(tail).await?))
    };
    match tokio::time::timeout(REDIS_LIMIT, asked).await {
        Ok(Ok((reports, since))) => {
            Ok((reports.values().filter_map(|report| worker_report(report)).collect(), since))
        }
        Ok(Err(error)) => Err(failed("NoAnswer", error.to_string())),
        Err(_) => Err(failed("NoAnswer", "no answer from Redis within 5 s".to_owned())),
    }
}

fn worker_report(json: &str) -> Option<WorkerReport> {
    let report = Report::parse(json)?;
    Some(WorkerReport {
        at_ms: report.time_ms,
        since_ms: report.since_ms,
        rate: report.records_per_second,
        busy: report.busy,
        blocked: report.blocked,
        partitions: report.partitions,
    })
}

/// Whatever a resource says: each look costs the brokers five answers.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

const REDIS_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_workers_write_it() {
        let json = r#"{"time":"2026-11-22T05:00:00.000Z","time_ms":5,"partitions":[0,2],"records_per_second":1.5,
            "since_ms":3,"busy":0.25,"blocked":0.125,"positions":{"0":1},"log_ends":{"0":2},"through_ms":{}}"#;
        let report = worker_report(json).unwrap();
        assert_eq!((report.at_ms, report.rate, report.busy), (5, 1.5, 0.25));
        assert_eq!((report.since_ms, report.blocked), (Some(3), Some(0.125)));
        assert_eq!(report.partitions, [0, 2]);
        assert_eq!(worker_report("{}"), None);
    }
}
