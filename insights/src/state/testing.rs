//! What tests of the state and of the document share: a specification, logins, and a store of the plainest kind.
//!
//! Owns nothing that ships. It never decides what is right.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Changes, Layout, PartitionState, Scope};
use crate::record::{Counted, Value};
use crate::spec::{
    DeadLetter, Dimension, Fields, Fold, Insights, Kafka, Output, OutputKey, PipelineSpec, Redis, Source,
    StartFrom, TimestampUnit,
};
use crate::store::Parts;

/// A specification that counts these fields.
pub(crate) fn spec(dimensions: &[&str], unique: &[&str]) -> PipelineSpec {
    let name = |part: &str| format!("test-{part}");
    let dimension = |field: &&str| Dimension { field: (*field).to_owned(), fold: Fold::None };
    PipelineSpec {
        revision: 1,
        pipeline: "test".into(),
        kafka: Kafka {
            brokers: Vec::new(),
            group: name("group"),
            tls: None,
            sasl: None,
            properties: BTreeMap::new(),
        },
        redis: Redis { url: "redis://localhost".into() },
        source: Source {
            topic: name("source"),
            start_from: StartFrom::Earliest,
            timestamp_unit: TimestampUnit::Seconds,
            max_record_bytes: 65_536,
            fields: Fields { user: "user".into(), timestamp: "timestamp".into(), version: "version".into() },
            required: Vec::new(),
            defaults: BTreeMap::new(),
        },
        filter: Vec::new(),
        output: Output {
            topic: name("output"),
            key: OutputKey::Source,
            drop: Vec::new(),
            mask: Vec::new(),
            hash: Vec::new(),
            hash_key: "".into(),
        },
        dead_letter: DeadLetter { topic: name("dead-letters") },
        insights: Insights {
            dimensions: dimensions.iter().map(dimension).collect(),
            unique: unique.iter().map(ToString::to_string).collect(),
            hash_key: "".into(),
            time_zone: chrono_tz::Tz::UTC,
            max_values: NonZeroU32::new(1000).unwrap(),
            publish_every: Duration::from_secs(1),
        },
    }
}

/// A login's values in lists.
pub(crate) type Listed<'a> = Counted<Vec<Value<'a>>, Vec<Option<&'a str>>>;

/// One login.
pub(crate) fn login<'a>(
    time_ms: i64,
    processed: bool,
    dimensions: &[&'a str],
    unique: &[Option<&'a str>],
) -> Listed<'a> {
    let dimensions = dimensions.iter().map(|text| Value::new(text, Fold::None)).collect();
    Counted { time_ms, processed, dimensions, unique: unique.to_vec() }
}

/// The stored parts of one partition.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) manifest: Vec<u8>,
    pub(crate) scopes: BTreeMap<Scope, Parts>,
}

impl Stored {
    /// Writes a flush, and makes sure that it says nothing that contradicts itself.
    pub(crate) fn apply(&mut self, changes: Changes) {
        for scope in &changes.drops {
            self.scopes.remove(scope).expect("a dropped scope was stored");
        }
        for (scope, name) in &changes.deletes {
            let removed = self.scopes.get_mut(scope).and_then(|parts| parts.remove(name));
            removed.expect("a deleted part was stored");
        }
        for (scope, name, bytes) in changes.puts {
            self.scopes.entry(scope).or_default().insert(name, bytes);
        }
        self.manifest = changes.manifest;
    }

    /// The parts of a scope.
    pub(crate) fn parts(&self, scope: Scope) -> Parts {
        self.scopes.get(&scope).cloned().unwrap_or_default()
    }

    /// The state as a new owner finds it.
    pub(crate) fn restore(&self, layout: &Arc<Layout>) -> PartitionState {
        PartitionState::restore(Arc::clone(layout), &self.manifest, &self.parts(Scope::AllTime)).unwrap()
    }
}

/// Counts a login after loading what it needs.
pub(crate) fn count(state: &mut PartitionState, stored: &Stored, login: &Listed<'_>) {
    let mut missing = BTreeSet::new();
    state.missing_scopes(login.time_ms, &mut missing);
    for scope in missing {
        state.insert_scope(scope, &stored.parts(scope)).unwrap();
    }
    state.count_login(login.clone()).unwrap();
}
