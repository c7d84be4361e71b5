//! The insights that must be, and those that are: two stores compared by what they publish.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use insights::document::{Context, Merge, Progress, Published};
use insights::spec::PipelineSpec;
use insights::store::{Loaded, PublicValue, Store, Token};
use serde_json::Value;

use super::differences::Differences;

/// One partition's stored state, as a publisher sees it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) token: Token,
    pub(super) manifest: Vec<u8>,
    pub(super) progress: Progress,
}

/// What the public keys held at one moment.
#[derive(Debug)]
pub(super) struct Public {
    /// The document's fields.
    pub(super) document: Value,
    /// All other public keys that it names, but for those that are not there.
    pub(super) keys: BTreeMap<String, Option<PublicValue>>,
}

impl Public {
    /// Reads the document and its keys of one publication; none before the first.
    pub(super) async fn read(store: &Store) -> Result<Option<Self>> {
        loop {
            let Some(text) = store.published().await.context("failed to read the insights")? else {
                return Ok(None);
            };
            let document: Value = serde_json::from_str(&text).context("the published document is no JSON")?;
            let names = document.get("keys").and_then(Value::as_array).into_iter().flatten();
            let mut keys = BTreeMap::new();
            for name in names.filter_map(Value::as_str) {
                let value = store.public_value(name).await.context("failed to read a public key")?;
                keys.insert(name.to_owned(), value);
            }
            // Another publication in between is read anew, so that all that is compared belongs together.
            let again = store.published().await.context("failed to read the insights")?;
            if again.as_deref() == Some(text.as_str()) {
                return Ok(Some(Self { document, keys }));
            }
        }
    }
}

/// What these states publish together; none when one of them moved meanwhile.
pub(super) async fn publish(
    spec: &PipelineSpec,
    store: &Store,
    states: &BTreeMap<i32, Stored>,
    published_at_ms: i64,
) -> Result<Option<Published>> {
    let mut merge = Merge::new(spec);
    let today = merge.today(published_at_ms);
    for (&partition, stored) in states {
        let wanted = merge
            .wanted(partition, &stored.manifest, today)
            .with_context(|| format!("the manifest of partition {partition} is damaged"))?;
        match store.load(partition, &stored.token, &wanted).await? {
            Loaded::Parts(parts) => merge
                .update(partition, stored.progress.clone(), &stored.manifest, &parts)
                .with_context(|| format!("the stored state of partition {partition} is damaged"))?,
            Loaded::Moved(_) => return Ok(None),
        }
    }
    Ok(Some(merge.document(&Context {
        published_at_ms,
        complete_through_ms: None,
        rebuilding: None,
        rebuilt_with_revision: None,
        nonce: "0".repeat(insights::store::NONCE_LENGTH),
    })))
}

/// Compares two documents field by field, but for what changes with each publication.
pub(super) fn compare_documents(
    what: &str,
    expected: &str,
    actual: &Value,
    found: &mut Differences,
) -> Result<()> {
    let expected: Value = serde_json::from_str(expected).context("a document is no JSON")?;
    compare(what, "", &stable(expected), &stable(actual.clone()), found);
    Ok(())
}

/// Compares the public keys.
pub(super) fn compare_keys(
    expected: &BTreeMap<String, PublicValue>,
    actual: &BTreeMap<String, Option<PublicValue>>,
    found: &mut Differences,
) {
    let names: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    for name in names {
        let (must, is) =
            (expected.get(name).map(members), actual.get(name).and_then(Option::as_ref).map(members));
        match (must, is) {
            (Some(_), None) => found.add(format!("key {name}: is missing")),
            (None, Some(_)) => found.add(format!("key {name}: must not be there")),
            (Some((kind, must)), Some((other, _))) if kind != other => {
                found.add(format!("key {name}: must be a {kind} of {} members, is a {other}", must.len()));
            }
            (Some((_, must)), Some((_, is))) => {
                let members: BTreeSet<&&str> = must.keys().chain(is.keys()).collect();
                for member in members {
                    let (must, is) = (must.get(*member), is.get(*member));
                    if must != is {
                        found.add(format!(
                            "key {name}: {member:?} must be {}, is {}",
                            number(must),
                            number(is)
                        ));
                    }
                }
            }
            (None, None) => {}
        }
    }
}

fn number(value: Option<&u64>) -> String {
    value.map_or_else(|| "absent".to_owned(), u64::to_string)
}

fn members(value: &PublicValue) -> (&'static str, BTreeMap<&str, u64>) {
    let (kind, members) = match value {
        PublicValue::SortedSet(members) => ("sorted set", members),
        PublicValue::Hash(members) => ("hash", members),
    };
    (kind, members.iter().map(|(name, value)| (name.as_str(), *value)).collect())
}

fn stable(mut document: Value) -> Value {
    if let Some(fields) = document.as_object_mut() {
        for name in VOLATILE {
            fields.remove(name);
        }
    }
    document
}

fn compare(what: &str, path: &str, expected: &Value, actual: &Value, found: &mut Differences) {
    match (expected, actual) {
        (Value::Object(must), Value::Object(is)) => {
            let names: BTreeSet<&String> = must.keys().chain(is.keys()).collect();
            for name in names {
                let null = Value::Null;
                let (must, is) = (must.get(name).unwrap_or(&null), is.get(name).unwrap_or(&null));
                compare(what, &format!("{path}/{name}"), must, is, found);
            }
        }
        _ if expected != actual => found.add(format!("{what}: {path} must be {expected}, is {actual}")),
        _ => {}
    }
}

/// What changes with each publication, or says how one came about.
const VOLATILE: [&str; 7] = [
    "published_at",
    "complete_through",
    "rebuilding",
    "rebuilt",
    "rebuilt_with_revision",
    "publication",
    "keys",
];
