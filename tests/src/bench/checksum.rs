//! Owns telling whether two contenders wrote the same. It never minds white space, which they keep or not.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kafka::{Client, Isolation};

/// What a topic holds: how many records, and a sum over keys and values, in their order within each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) records: usize,
    sum: u64,
}

/// Reads what is committed in a topic.
pub(super) fn of_topic(client: &Client, topic: &str) -> Result<Checksum> {
    let records = client.read(topic, Isolation::Committed)?;
    let mut partitions: BTreeMap<i32, Sha256> = BTreeMap::new();
    for record in &records {
        let value = record.value.as_deref().context("an output without a value")?;
        let value: Value = serde_json::from_slice(value).context("an output is no JSON")?;
        let partition = partitions.entry(record.position.partition).or_default();
        partition.update(record.key.as_deref().unwrap_or_default());
        partition.update(value.to_string());
    }
    let mut whole = Sha256::new();
    for (partition, sum) in partitions {
        whole.update(partition.to_be_bytes());
        whole.update(sum.finalize());
    }
    let mut sum = [0; 8];
    for (byte, hashed) in sum.iter_mut().zip(whole.finalize()) {
        *byte = hashed;
    }
    Ok(Checksum { records: records.len(), sum: u64::from_be_bytes(sum) })
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} records, checksum {:016x}", self.records, self.sum)
    }
}
