//! Owns consumer groups as an administrator's tools have them: who is in one, what it has committed, and changes of that.
//! It never joins a group.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::Kafka;

/// A group's commit for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// The text that was committed with it.
    pub metadata: String,
}

/// One member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, chosen by the broker.
    pub id: String,
    /// The client id that it gave.
    pub client_id: String,
}

impl Kafka {
    /// What `group` has committed for `topic`, by partition; partitions without a commit are absent.
    pub fn committed(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, Committed>> {
        let client = self.client();
        let consumer: BaseConsumer =
            client.config().set("group.id", group).create().context("failed to make a consumer")?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, client.partitions(topic)? - 1);
        let answer = consumer
            .committed_offsets(asked, DEADLINE)
            .with_context(|| format!("failed to read what {group} has committed"))?;
        let mut committed = BTreeMap::new();
        for element in answer.elements() {
            element.error().with_context(|| format!("no committed offset of {group}"))?;
            if let Offset::Offset(offset) = element.offset() {
                let metadata = element.metadata().to_owned();
                committed.insert(element.partition(), Committed { offset, metadata });
            }
        }
        Ok(committed)
    }

    /// Commits for a group without members, as a tool that resets offsets does (which leaves the text empty).
    pub fn reset_offset(&self, group: &str, topic: &str, partition: i32, to: &Committed) -> Result<()> {
        let client = self.client();
        let consumer: BaseConsumer =
            client.config().set("group.id", group).create().context("failed to make a consumer")?;
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(to.offset))?;
        offsets.find_partition(topic, partition).context("it was just added")?.set_metadata(&to.metadata);
        consumer
            .commit(&offsets, CommitMode::Sync)
            .with_context(|| format!("failed to reset an offset of {group}"))
    }

    /// The members of `group` and its state (`Stable`, `PreparingRebalance`, `Empty`, …); `Dead` for an unknown one.
    pub fn group(&self, group: &str) -> Result<(String, Vec<Member>)> {
        let consumer: BaseConsumer = self.client().config().create().context("failed to make a consumer")?;
        let list = consumer
            .client()
            .fetch_group_list(Some(group), DEADLINE)
            .with_context(|| format!("failed to describe the group {group}"))?;
        let Some(found) = list.groups().first() else {
            return Ok(("Dead".to_owned(), Vec::new()));
        };
        let members = found
            .members()
            .iter()
            .map(|member| Member { id: member.id().to_owned(), client_id: member.client_id().to_owned() });
        Ok((found.state().to_owned(), members.collect()))
    }
}

const DEADLINE: Duration = Duration::from_secs(30);
