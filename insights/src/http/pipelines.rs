//! The pipelines that are served, and what is told of them from elsewhere.
//!
//! Owns the list. It never finds a pipeline by itself: whoever runs the API puts it here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use serde::{Serialize, Serializer};

use super::headline::Latest;
use super::problem::Problem;
use super::zones::Zoned;
use crate::store::Store;
use crate::time::rfc3339;

/// The pipelines that are served. Clones share them.
#[derive(Clone, Default)]
pub struct Pipelines {
    by_id: Arc<RwLock<BTreeMap<String, Arc<Pipeline>>>>,
}

/// How far the group is behind, as somebody saw it who asked Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// When, in milliseconds since 1970; none when not all partitions were seen.
    pub observed_at_ms: Option<i64>,
    /// Every partition of the source topic.
    pub partitions: BTreeMap<i32, PartitionLag>,
}

/// How far one partition is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionLag {
    /// The next source offset; none when nothing was committed yet, or when it is unknown.
    pub position: Option<i64>,
    /// The last stable offset; none when it is unknown.
    pub log_end: Option<i64>,
    /// Offsets between the two; none when it is unknown.
    pub lag: Option<u64>,
}

/// One step of scaling, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// When, in milliseconds since 1970; shown as a date.
    #[serde(rename = "time", serialize_with = "as_date")]
    pub time_ms: i64,
    /// Replicas before.
    pub from: u32,
    /// Replicas then.
    pub to: u32,
    /// The reason in one word, for programs.
    pub reason: String,
    /// The reason in one sentence, for people.
    pub sentence: String,
}

/// One pipeline.
pub(super) struct Pipeline {
    pub(super) id: String,
    pub(super) store: Store,
    pub(super) zoned: tokio::sync::Mutex<Zoned>,
    latest: Mutex<Option<Arc<Latest>>>,
    /// What was told; it outlives a change of the store.
    told: Arc<Mutex<Told>>,
}

/// What somebody else knows of a pipeline.
#[derive(Default)]
struct Told {
    lag: Option<Lag>,
    decisions: Vec<Decision>,
}

impl Pipelines {
    /// Serves a pipeline from this store from now on. Another store of the same id goes, with its connection, so call this
    /// only when the store's address has changed.
    pub fn put(&self, id: &str, store: Store) {
        let told = self.find(id).map(|known| Arc::clone(&known.told)).unwrap_or_default();
        let pipeline = Pipeline {
            id: id.to_owned(),
            store,
            zoned: tokio::sync::Mutex::default(),
            latest: Mutex::default(),
            told,
        };
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(id.to_owned(), Arc::new(pipeline));
    }

    /// Serves a pipeline no more.
    pub fn remove(&self, id: &str) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Tells the lag, in place of the one that the workers report. Of an unknown pipeline it is not kept.
    pub fn set_lag(&self, id: &str, lag: Lag) {
        if let Some(pipeline) = self.find(id) {
            pipeline.told().lag = Some(lag);
        }
    }

    /// Tells the latest scaling decisions, the newest first. Of an unknown pipeline they are not kept.
    pub fn set_decisions(&self, id: &str, decisions: Vec<Decision>) {
        if let Some(pipeline) = self.find(id) {
            pipeline.told().decisions = decisions;
        }
    }

    /// The ids of all that are served, sorted.
    pub fn ids(&self) -> Vec<String> {
        self.all().iter().map(|pipeline| pipeline.id.clone()).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Pipeline>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All of them, by id.
    pub(super) fn all(&self) -> Vec<Arc<Pipeline>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The pipeline that a path names. What is not in the list is not looked for anywhere.
pub(super) fn named(
    pipelines: &Pipelines,
    id: Result<Path<String>, PathRejection>,
) -> Result<Arc<Pipeline>, Problem> {
    id.ok().and_then(|Path(id)| pipelines.find(&id)).ok_or_else(Problem::unknown_pipeline)
}

impl Pipeline {
    pub(super) fn lag(&self) -> Option<Lag> {
        self.told().lag.clone()
    }

    pub(super) fn decisions(&self) -> Vec<Decision> {
        self.told().decisions.clone()
    }

    /// What is remembered of the latest publication.
    pub(super) fn latest(&self) -> MutexGuard<'_, Option<Arc<Latest>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lag {
    /// The sum; none when one partition's is unknown.
    pub(super) fn total(&self) -> Option<u64> {
        let mut total: u64 = 0;
        for partition in self.partitions.values() {
            total = total.saturating_add(partition.lag?);
        }
        (!self.partitions.is_empty()).then_some(total)
    }
}

impl PartitionLag {
    /// The lag between two offsets.
    pub fn between(position: Option<i64>, log_end: Option<i64>) -> Self {
        let lag = position.zip(log_end).map(|(position, end)| end.saturating_sub(position));
        Self { position, log_end, lag: lag.map(|lag| u64::try_from(lag).unwrap_or(0)) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
fn as_date<S: Serializer>(time_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time_ms))
}
