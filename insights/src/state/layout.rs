//! What the fold needs to know of a specification at a revision.
//!
//! Owns the identities under which tables and sketches are stored. It never counts.

use chrono_tz::Tz;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::spec::PipelineSpec;

/// What is counted, and under which identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Fields whose values are counted, in the specification's order.
    pub dimensions: Vec<DimensionLayout>,
    /// Fields of which distinct values a day are estimated, in the specification's order.
    pub unique: Vec<UniqueLayout>,
    /// Most values that a table holds.
    pub max_values: usize,
    /// What a day of distinct values is.
    pub time_zone: Tz,
    /// The key under which distinct values are hashed.
    pub hash_key: [u8; 16],
}

/// A field whose values are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimensionLayout {
    /// The field.
    pub field: String,
    /// `<field>@<revision since which it is counted without a break>`: a dimension that was gone for a while starts anew.
    pub id: String,
}

/// A field of which distinct values are estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueLayout {
    /// The field.
    pub field: String,
    /// `<field>@<revision>-<fingerprint of the key>`: sketches under different keys can never be merged.
    pub id: String,
}

/// What one revision of a specification counts, as the history of a partition remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The revision.
    pub revision: u64,
    /// Fields of its dimensions.
    pub dimensions: Vec<String>,
    /// Its `unique` fields.
    pub unique: Vec<String>,
    /// [`key_fingerprint`] of it.
    pub key_fingerprint: String,
}

impl Revision {
    /// What a specification counts.
    pub fn of(spec: &PipelineSpec) -> Self {
        Self {
            revision: spec.revision,
            dimensions: spec.insights.dimensions.iter().map(|dimension| dimension.field.clone()).collect(),
            unique: spec.insights.unique.clone(),
            key_fingerprint: key_fingerprint(spec),
        }
    }
}

impl Layout {
    /// The layout of a specification in a partition that was counted under `history` before, oldest first. Revisions
    /// in it that are not lower than the specification's own are passed over.
    pub fn new(spec: &PipelineSpec, history: &[Revision]) -> Self {
        let now = Revision::of(spec);
        let since = |counts: &dyn Fn(&Revision) -> bool| {
            let before = history.iter().rev().filter(|past| past.revision < now.revision);
            before.take_while(|past| counts(past)).last().map_or(now.revision, |past| past.revision)
        };
        let dimension = |field: &String| {
            let revision = since(&|past| past.dimensions.contains(field));
            DimensionLayout { field: field.clone(), id: format!("{field}@{revision}") }
        };
        let unique = |field: &String| {
            let fingerprint = &now.key_fingerprint;
            let revision = since(&|past| past.unique.contains(field) && past.key_fingerprint == *fingerprint);
            UniqueLayout { field: field.clone(), id: format!("{field}@{revision}-{fingerprint}") }
        };
        Self {
            dimensions: now.dimensions.iter().map(dimension).collect(),
            unique: now.unique.iter().map(unique).collect(),
            max_values: usize::try_from(spec.insights.max_values.get()).unwrap_or(usize::MAX),
            time_zone: spec.insights.time_zone,
            hash_key: hash_key(spec),
        }
    }
}

/// Tells keys of distinct values apart, without telling the key: 8 hex digits.
pub fn key_fingerprint(spec: &PipelineSpec) -> String {
    let digest =
        Sha256::new().chain_update("rollcall unique fingerprint").chain_update(hash_key(spec)).finalize();
    digest.iter().take(4).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The field of a table's or sketch's id.
pub(crate) fn field_of(id: &str) -> &str {
    id.rsplit_once('@').map_or(id, |(field, _)| field)
}

/// The field and the key's fingerprint of a sketch's id.
pub(crate) fn field_and_fingerprint_of(id: &str) -> (&str, &str) {
    (field_of(id), id.rsplit_once('-').map_or("", |(_, fingerprint)| fingerprint))
}

fn hash_key(spec: &PipelineSpec) -> [u8; 16] {
    let secret = spec.insights.hash_key.expose_secret();
    let material = if secret.is_empty() { &spec.pipeline } else { secret };
    let digest = Sha256::new().chain_update("rollcall unique").chain_update(material).finalize();
    digest.first_chunk().copied().expect("a SHA-256 digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::super::testing::spec;
    use super::*;

    #[test]
    fn a_dimension_that_was_gone_starts_anew() {
        let mut spec = spec(&["device", "locale"], &["user"]);
        spec.revision = 4;
        let past = |revision, dimensions: &[&str]| Revision {
            revision,
            dimensions: dimensions.iter().map(ToString::to_string).collect(),
            ..Revision::of(&spec)
        };
        let history = [
            past(1, &["device", "locale"]),
            past(2, &["device"]),
            past(3, &["device", "locale"]),
            past(4, &[]),
        ];
        let layout = Layout::new(&spec, &history);
        let ids: Vec<&str> = layout.dimensions.iter().map(|dimension| dimension.id.as_str()).collect();
        assert_eq!(ids, ["device@1", "locale@3"]);
    }

    #[test]
    fn another_key_starts_fresh_sketches() {
        let mut spec = spec(&[], &["user"]);
        spec.revision = 3;
        let now = Revision::of(&spec);
        let other_key = Revision { revision: 2, key_fingerprint: "00000000".into(), ..now.clone() };
        let history = [Revision { revision: 1, ..now.clone() }, other_key];
        let id = Layout::new(&spec, &history).unique[0].id.clone();
        assert_eq!(id, format!("user@3-{}", now.key_fingerprint));
        assert_eq!(field_and_fingerprint_of(&id), ("user", now.key_fingerprint.as_str()));
        let before = Layout::new(&spec, &[]).hash_key;
        spec.insights.hash_key = "secret".into();
        assert_ne!(Layout::new(&spec, &[]).hash_key, before);
        assert_ne!(Revision::of(&spec).key_fingerprint, now.key_fingerprint);
    }
}
