//! Which revision of the specification decides each offset of a partition.
//!
//! Owns the compiled revisions and the choice among this worker's own and those that a partition has stored. It never
//! changes what is stored.

use std::collections::VecDeque;
use std::sync::Arc;

use insights::record::{Decoder, filter};
use insights::spec::{self, PipelineSpec};
use insights::state::{Layout, Revision};

use crate::protocol::progress::{History, RevisionStart, RevisionText};

/// A specification, ready for use on a partition's records.
pub(crate) struct Compiled {
    /// Its revision.
    pub(crate) revision: u64,
    /// Its rules of a record.
    pub(crate) decoder: Decoder,
    /// What it counts.
    pub(crate) layout: Arc<Layout>,
}

/// The revisions of one partition, from the one that holds where its state stands.
pub(crate) struct Timeline {
    /// The revision in force at the state's position.
    pub(crate) current: Arc<Compiled>,
    /// Later ones, each with its first offset, in order.
    pub(crate) upcoming: VecDeque<(i64, Arc<Compiled>)>,
    /// All of them, as they are stored in Redis and in Kafka's metadata.
    pub(crate) history: History,
    /// Set when this worker's own revision is higher than all of them: it takes over once both sinks are level.
    pub(crate) takeover: bool,
    /// Set when texts were lost and this worker's own stands for them.
    pub(crate) substituted: bool,
}

/// Why a worker cannot act for a partition with its own configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The settings that cannot change are others than stored.
    #[error(
        "the configuration differs from what this pipeline was started with, in settings that cannot change ({0}): \
         restore them, or choose another `pipeline` id"
    )]
    Identity(String),
    /// The same revision was used with another text.
    #[error(
        "revision {revision} is already in use with other settings ({differences}): raise `revision` in the \
         configuration, or restore the settings"
    )]
    SameRevision {
        /// The revision.
        revision: u64,
        /// What differs.
        differences: String,
    },
    /// The stored text does not fit this worker's secrets.
    #[error("failed to adopt the stored specification")]
    Adopt(#[source] spec::StoredError),
    /// A specification does not compile.
    #[error("failed to compile the specification")]
    Compile(#[source] filter::Error),
    /// What is stored cannot be read.
    #[error(
        "the stored identity of pipeline `{pipeline}` cannot be read ({detail}): it was written by another version"
    )]
    Unreadable {
        /// The pipeline.
        pipeline: String,
        /// Why not.
        detail: String,
    },
}

/// Refuses a configuration that contradicts what a partition has stored.
pub(crate) fn check(own: &PipelineSpec, history: &History) -> Result<(), Error> {
    let stored: spec::Identity = serde_json::from_str(&history.identity)
        .map_err(|error| Error::Unreadable { pipeline: own.pipeline.clone(), detail: error.to_string() })?;
    let differences = own.identity().differences(&stored);
    if !differences.is_empty() {
        let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
        return Err(Error::Identity(texts.join("; ")));
    }
    let text = own.text();
    for stored in &history.revisions {
        if stored.revision == own.revision && stored.text != text {
            return Err(Error::SameRevision {
                revision: own.revision,
                differences: differing(&text, &stored.text),
            });
        }
    }
    Ok(())
}

/// The timeline of a partition whose state stands at `state_next`. `stored` is Redis' history, `committed` what Kafka's
/// metadata remembers; where Redis lost a text that only Kafka remembers by number, this worker's own stands for it.
pub(crate) fn timeline(
    own: &PipelineSpec,
    stored: Option<&History>,
    committed: &[RevisionStart],
    base: i64,
    state_next: i64,
) -> Result<Timeline, Error> {
    if let Some(history) = stored {
        check(own, history)?;
    }
    let mut substituted = false;
    let mut revisions: Vec<RevisionText> = stored.map_or_else(Vec::new, |history| history.revisions.clone());
    for start in committed {
        if revisions.iter().any(|known| known.revision == start.revision) {
            continue;
        }
        substituted |= start.revision != own.revision;
        revisions.push(RevisionText {
            revision: start.revision,
            first_offset: start.first_offset,
            text: own.text(),
        });
    }
    if revisions.is_empty() {
        revisions.push(RevisionText { revision: own.revision, first_offset: base, text: own.text() });
    }
    revisions.sort_by_key(|revision| revision.revision);
    let compiled = compile_all(own, &revisions)?;
    let in_force = revisions.iter().rposition(|revision| revision.first_offset <= state_next).unwrap_or(0);
    let mut later = compiled.into_iter().skip(in_force);
    let current = later.next().map(|(_, compiled)| compiled).expect("there is at least one revision");
    let newest = revisions.last().map_or(0, |revision| revision.revision);
    let identity = serde_json::to_string(&own.identity()).expect("plain data is JSON");
    Ok(Timeline {
        current,
        upcoming: later.collect(),
        takeover: own.revision > newest,
        substituted,
        history: History { identity, revisions },
    })
}

/// Adds this worker's own revision at `first_offset`.
pub(crate) fn take_over(own: &PipelineSpec, timeline: &mut Timeline, first_offset: i64) -> Result<(), Error> {
    let entry = RevisionText { revision: own.revision, first_offset, text: own.text() };
    timeline.history.revisions.push(entry);
    let compiled = compile_all(own, &timeline.history.revisions)?;
    timeline.current =
        compiled.into_iter().next_back().map(|(_, compiled)| compiled).expect("one was just added");
    timeline.upcoming.clear();
    timeline.takeover = false;
    Ok(())
}

/// Compiles every revision in the light of those before it.
fn compile_all(own: &PipelineSpec, revisions: &[RevisionText]) -> Result<Vec<(i64, Arc<Compiled>)>, Error> {
    let mut past: Vec<Revision> = Vec::new();
    let mut all = Vec::new();
    for revision in revisions {
        let spec = if revision.revision == own.revision {
            own.clone()
        } else {
            own.with_text(&revision.text, revision.revision).map_err(Error::Adopt)?
        };
        let layout = Arc::new(Layout::new(&spec, &past));
        past.push(Revision::of(&spec));
        let decoder = Decoder::new(&spec).map_err(Error::Compile)?;
        all.push((
            revision.first_offset,
            Arc::new(Compiled { revision: revision.revision, decoder, layout }),
        ));
    }
    Ok(all)
}

/// The settings in which two texts differ, by path.
fn differing(own: &str, stored: &str) -> String {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let mut paths = Vec::new();
    collect_differences("", &read(own), &read(stored), &mut paths);
    paths.join(", ")
}

fn collect_differences(
    path: &str,
    own: &serde_json::Value,
    stored: &serde_json::Value,
    into: &mut Vec<String>,
) {
    match (own.as_object(), stored.as_object()) {
        (Some(mine), Some(theirs)) => {
            let keys: std::collections::BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let null = serde_json::Value::Null;
                collect_differences(
                    &inner,
                    mine.get(key).unwrap_or(&null),
                    theirs.get(key).unwrap_or(&null),
                    into,
                );
            }
        }
        _ if own != stored => into.push(path.to_owned()),
        _ => {}
    }
}
