//! How far each sink has got in a partition, as it is written beside the sink's own data.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// The last record that a sink has taken in, to be recognised when it is passed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct LastRecord {
    /// Its offset.
    pub(crate) offset: i64,
    /// What [`fingerprint`] says of it.
    pub(crate) fingerprint: u64,
}

/// Records that are lost or unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// The first of them.
    pub(crate) from: i64,
    /// The offset behind the last of them.
    pub(crate) to: i64,
    /// `retention`, `unreadable` or `undeliverable`.
    pub(crate) reason: String,
}

/// What only delivery knows: it cannot be counted again from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Processed logins that the output topic refused for good.
    pub(crate) output_refused: u64,
    /// Records that no topic took.
    pub(crate) undeliverable: u64,
}

/// A revision of the specification and the offset from which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevisionStart {
    /// The revision.
    pub(crate) revision: u64,
    /// The first offset that it decides.
    pub(crate) first_offset: i64,
}

/// The Kafka sink's progress. Committed with the offset itself, as its metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// Marks the metadata as ours: `rollcall/1`.
    pub(crate) format: String,
    /// The pipeline.
    pub(crate) pipeline: String,
    /// Grows with each repair; `<counter>-<random>`.
    pub(crate) incarnation: String,
    /// The source topic's id.
    pub(crate) topic_id: Option<String>,
    /// The first offset of this incarnation.
    pub(crate) base: i64,
    /// The last record below the committed offset.
    pub(crate) last: Option<LastRecord>,
    /// The newest revisions, oldest first.
    pub(crate) revisions: Vec<RevisionStart>,
    /// What only delivery knows.
    pub(crate) delivery: Delivery,
    /// Whether records from the committed offset on may stand in one of the topics that are produced to and be missing in the
    /// other: how far each of them goes decides, then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) partly_delivered: bool,
}

/// How far each of the topics that are produced to goes: source offsets below are delivered there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tails {
    /// In the output.
    pub(crate) output: i64,
    /// Among the dead letters.
    pub(crate) dead_letters: i64,
}

impl Tails {
    /// Source offsets below are delivered in one of them.
    pub(crate) fn furthest(self) -> i64 {
        self.output.max(self.dead_letters)
    }
}

/// The Kafka sink's progress: a committed offset and its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KafkaProgress {
    /// The next offset to be delivered.
    pub(crate) next: i64,
    /// What was committed beside it.
    pub(crate) metadata: Metadata,
}

/// The Redis sink's progress: the field `progress` of a partition's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Marks the layout of everything stored for the partition.
    pub(crate) schema: u32,
    /// Grows with each repair; `<counter>-<random>`.
    pub(crate) incarnation: String,
    /// The source topic's id.
    pub(crate) topic_id: Option<String>,
    /// The first offset that is counted.
    pub(crate) base: i64,
    /// The next offset to be counted.
    pub(crate) next: i64,
    /// The last record below `next`.
    pub(crate) last: Option<LastRecord>,
    /// The Kafka timestamp of that record, in milliseconds; -1 when unknown.
    pub(crate) last_timestamp_ms: i64,
    /// The next offset to be delivered when this was written: a mirror of Kafka's own.
    pub(crate) kafka_next: i64,
    /// The last record below `kafka_next`.
    pub(crate) kafka_last: Option<LastRecord>,
    /// A mirror of what only delivery knows.
    pub(crate) delivery: Delivery,
    /// Records that are lost or unreadable.
    pub(crate) gaps: Vec<Gap>,
    /// The transactional id of the worker that wrote this.
    pub(crate) owner: String,
    /// Set while states are counted again with a revision that is not the one that each offset had.
    pub(crate) rebuilt_with_revision: Option<u64>,
}

/// One revision with its text, as the field `history` of a head keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevisionText {
    /// The revision.
    pub(crate) revision: u64,
    /// The first offset that it decides.
    pub(crate) first_offset: i64,
    /// The effective settings.
    pub(crate) text: String,
}

/// The field `history` of a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct History {
    /// The settings that cannot change, as canonical JSON.
    pub(crate) identity: String,
    /// All revisions, oldest first.
    pub(crate) revisions: Vec<RevisionText>,
}

/// The record of a group's very first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FirstStart {
    /// The first incarnation of every partition.
    pub(crate) incarnation: String,
    /// The source topic's id.
    pub(crate) topic_id: Option<String>,
    /// Where each partition that was there begins, by partition.
    pub(crate) starts: Vec<i64>,
}

impl Metadata {
    /// The text that is committed; the oldest revisions are left out where it would grow too long.
    pub(crate) fn to_text(&self) -> String {
        let mut metadata = self.clone();
        loop {
            let text = serde_json::to_string(&metadata).expect("plain data is JSON");
            if text.len() <= METADATA_BYTES_MAX || metadata.revisions.len() <= 1 {
                return text;
            }
            metadata.revisions.remove(0);
        }
    }

    /// Reads what was committed; none when it is not this pipeline's.
    pub(crate) fn parse(text: &str, pipeline: &str) -> Option<Self> {
        let metadata: Self = serde_json::from_str(text).ok()?;
        (metadata.format == METADATA_FORMAT && metadata.pipeline == pipeline).then_some(metadata)
    }
}

/// The counter of an incarnation; the higher one wins.
pub(crate) fn counter(incarnation: &str) -> u64 {
    incarnation.split('-').next().and_then(|counter| counter.parse().ok()).unwrap_or(0)
}

/// An incarnation's name.
pub(crate) fn incarnation(counter: u64, random: u32) -> String {
    format!("{counter}-{random:08x}")
}

/// Recognises a record: XXH3 of its timestamp, key and value, with their lengths (null apart from empty).
pub(crate) fn fingerprint(timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&timestamp_ms.to_le_bytes());
    for part in [key, value] {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        hash.update(&length.to_le_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.digest()
}

/// Adds a gap, sorted and merged with those of its reason that it touches.
pub(crate) fn add_gap(gaps: &mut Vec<Gap>, gap: Gap) {
    if gap.from >= gap.to {
        return;
    }
    gaps.push(gap);
    gaps.sort_by_key(|gap| (gap.from, gap.to));
    let mut merged: Vec<Gap> = Vec::with_capacity(gaps.len());
    for gap in gaps.drain(..) {
        match merged.last_mut() {
            Some(last) if last.reason == gap.reason && gap.from <= last.to => last.to = last.to.max(gap.to),
            _ => merged.push(gap),
        }
    }
    *gaps = merged;
}

/// What [`Metadata::format`] says.
pub(crate) const METADATA_FORMAT: &str = "rollcall/1";

/// What [`Head::schema`] says.
pub(crate) const HEAD_SCHEMA: u32 = 1;

/// The reason of a gap that retention made.
pub(crate) const RETENTION: &str = "retention";

/// The reason of a gap that the client cannot read.
pub(crate) const UNREADABLE: &str = "unreadable";

/// The reason of a gap that no topic took.
pub(crate) const UNDELIVERABLE: &str = "undeliverable";

/// A broker's default of `offset.metadata.max.bytes`.
const METADATA_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: i64, to: i64, reason: &str) -> Gap {
        Gap { from, to, reason: reason.to_owned() }
    }

    #[test]
    fn gaps_are_sorted_and_merged_where_they_touch() {
        let mut gaps = Vec::new();
        for new in
            [gap(10, 20, RETENTION), gap(0, 5, RETENTION), gap(5, 10, RETENTION), gap(7, 8, UNDELIVERABLE)]
        {
            add_gap(&mut gaps, new);
        }
        add_gap(&mut gaps, gap(30, 30, RETENTION));
        assert_eq!(gaps, [gap(0, 20, RETENTION), gap(7, 8, UNDELIVERABLE)]);
    }

    #[test]
    fn metadata_fits_a_broker_however_many_revisions_there_were() {
        let metadata = Metadata {
            format: METADATA_FORMAT.to_owned(),
            pipeline: "p".repeat(128),
            incarnation: incarnation(1, 7),
            topic_id: Some("x".repeat(22)),
            base: 0,
            last: Some(LastRecord { offset: 1, fingerprint: u64::MAX }),
            revisions: (0..1000).map(|n| RevisionStart { revision: n, first_offset: 1 << 40 }).collect(),
            delivery: Delivery::default(),
            partly_delivered: false,
        };
        let text = metadata.to_text();
        assert!(text.len() <= METADATA_BYTES_MAX);
        let read = Metadata::parse(&text, &metadata.pipeline).unwrap();
        assert_eq!(read.revisions.last(), metadata.revisions.last());
        assert_eq!(Metadata::parse(&text, "another"), None);
        assert_eq!(Metadata::parse("", &metadata.pipeline), None);
    }

    #[test]
    fn a_fingerprint_tells_null_from_empty_and_key_from_value() {
        let all = [
            fingerprint(0, None, None),
            fingerprint(0, Some(b""), None),
            fingerprint(0, None, Some(b"")),
            fingerprint(0, Some(b"a"), Some(b"")),
            fingerprint(0, Some(b""), Some(b"a")),
            fingerprint(1, None, None),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn the_higher_counter_wins() {
        assert!(counter("10-00000000") > counter("9-ffffffff"));
    }
}
