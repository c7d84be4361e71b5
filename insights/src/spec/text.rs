//! The effective text of a revision: what decides what is counted and written, in one form whatever the file's wording.
//!
//! Owns that form and the way back. It holds no connection, and of secrets only a fingerprint.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::encode;
use super::error::{Errors, Mistakes};
use super::model::{Insights, Kafka, Output, PipelineSpec};
use super::scalar::Scalar;
use super::tree::{Content, Entry, Node, Style};
use super::{Sources, settings, validate};

/// Why a stored revision cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The text is not what Rollcall writes.
    #[error("the stored revision {revision} is not JSON, something else wrote it")]
    NotJson {
        /// The stored revision.
        revision: u64,
        /// Where it is broken.
        #[source]
        source: serde_json::Error,
    },
    /// This version does not know, or refuses, what the text says.
    #[error(
        "the stored revision {revision} is of another version of rollcall, run that one or raise revision"
    )]
    Unusable {
        /// The stored revision.
        revision: u64,
        /// What is not understood.
        #[source]
        source: Errors,
    },
    /// The text was made with a secret that this worker does not have.
    #[error(
        "the stored revision {revision} uses another {path}, give that one or raise revision above {revision}"
    )]
    OtherSecret {
        /// The stored revision.
        revision: u64,
        /// The secret's path.
        path: &'static str,
    },
}

impl PipelineSpec {
    /// The effective settings that decide what is counted and written, as canonical JSON. Leaves out `revision`,
    /// `pipeline`, connections and `publishEvery`.
    pub fn text(&self) -> String {
        let mut root = Node::mapping(encode::settings(self, &fingerprint));
        root.put(&["kafka", "group"], Node::quoted(&self.kafka.group));
        let mut json = String::new();
        write_json(&root, &mut json);
        json
    }

    /// The specification of a stored text, with this worker's connections, names and secrets.
    ///
    /// Errors when the text cannot be read, or was made with other secrets.
    pub fn with_text(&self, text: &str, revision: u64) -> Result<Self, StoredError> {
        let json: Value =
            serde_json::from_str(text).map_err(|source| StoredError::NotJson { revision, source })?;
        let stored = decode(&json).map_err(|source| StoredError::Unusable { revision, source })?;
        let Self { kafka, redis, pipeline, output, insights, .. } = self;
        let output_key = adopt(&stored.output.hash_key, &output.hash_key)
            .ok_or(StoredError::OtherSecret { revision, path: "output.hashKey" })?;
        let insights_key = adopt(&stored.insights.hash_key, &insights.hash_key)
            .ok_or(StoredError::OtherSecret { revision, path: "insights.hashKey" })?;
        Ok(Self {
            revision,
            pipeline: pipeline.clone(),
            kafka: Kafka { group: stored.kafka.group, ..kafka.clone() },
            redis: redis.clone(),
            output: Output { hash_key: output_key, ..stored.output },
            insights: Insights {
                hash_key: insights_key,
                publish_every: insights.publish_every,
                ..stored.insights
            },
            source: stored.source,
            filter: stored.filter,
            dead_letter: stored.dead_letter,
        })
    }
}

fn decode(json: &Value) -> Result<PipelineSpec, Errors> {
    let mistakes = Mistakes::default();
    let nothing = Sources { environment: &|_| None, file: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let spec = settings::decode(&from_json(json), &nothing, &mistakes);
    validate::validate(&spec, &mistakes);
    mistakes.into_result(spec)
}

/// This worker's secret, when it is the stored one.
fn adopt(stored: &SecretString, mine: &SecretString) -> Option<SecretString> {
    if stored.expose_secret().is_empty() {
        return Some(SecretString::default());
    }
    (fingerprint(mine) == stored.expose_secret()).then(|| mine.clone())
}

/// Tells secrets apart without telling them.
fn fingerprint(secret: &SecretString) -> String {
    if secret.expose_secret().is_empty() {
        return String::new();
    }
    let digest = Sha256::digest(secret.expose_secret().as_bytes());
    let bytes: Vec<String> = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", bytes.concat())
}

/// JSON without white space, with sorted keys.
fn write_json(node: &Node, json: &mut String) {
    match &node.content {
        Content::Scalar(text, Style::Plain) => {
            json.push_str(if Scalar::resolve(text) == Scalar::Null { "null" } else { text });
        }
        Content::Scalar(text, Style::Quoted | Style::Given) => json.push_str(&quote(text)),
        Content::Sequence(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                json.push_str(if index == 0 { "" } else { "," });
                write_json(item, json);
            }
            json.push(']');
        }
        Content::Mapping(entries) => {
            let mut entries: Vec<&Entry> = entries.iter().collect();
            entries.sort_by(|left, right| left.key.cmp(&right.key));
            json.push('{');
            for (index, entry) in entries.into_iter().enumerate() {
                json.push_str(if index == 0 { "" } else { "," });
                json.push_str(&quote(&entry.key));
                json.push(':');
                write_json(&entry.value, json);
            }
            json.push('}');
        }
        Content::Failed => json.push_str("null"),
    }
}

fn from_json(value: &Value) -> Node {
    match value {
        Value::Null => Node::plain(&"null"),
        Value::Bool(value) => Node::plain(value),
        Value::Number(value) => Node::plain(value),
        Value::String(text) => Node::quoted(text),
        Value::Array(items) => Node::sequence(items.iter().map(from_json).collect()),
        Value::Object(entries) => {
            Node::mapping(entries.iter().map(|(key, value)| (key.as_str(), from_json(value))).collect())
        }
    }
}

/// A text in quotes, for JSON and for YAML alike.
pub(super) fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
