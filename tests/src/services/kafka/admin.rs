//! Owns what an administrator does to a broker: topics, their settings and records, and users' rights.
//! It returns only when the broker shows the change to its clients.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::Kafka;
use crate::wait::{wait_for, wait_until};

/// What a user's right is about.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// A topic, by name.
    Topic(&'a str),
    /// A consumer group, by name.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
    /// The cluster itself.
    Cluster,
}

impl Kafka {
    /// Creates a topic and returns its name.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<String> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        self.administer(async |admin, options| one(admin.create_topics([&topic], options).await?))
            .with_context(|| format!("failed to create the topic {name}"))?;
        self.wait_for_topic(name, partitions)?;
        Ok(name.to_owned())
    }

    /// Deletes a topic with all its records.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.administer(async |admin, options| one(admin.delete_topics(&[name], options).await?))
            .with_context(|| format!("failed to delete the topic {name}"))?;
        let client = self.client();
        wait_until(&format!("the topic {name} to go"), PROPAGATION_DEADLINE, || {
            client.every_partition_has_a_leader(Some(name)).is_err()
        })
    }

    /// Adds partitions to a topic, up to `partitions` in all.
    pub fn add_partitions(&self, topic: &str, partitions: i32) -> Result<()> {
        let count = usize::try_from(partitions).context("a negative number of partitions")?;
        self.administer(async |admin, options| {
            one(admin.create_partitions([&NewPartitions::new(topic, count)], options).await?)
        })
        .with_context(|| format!("failed to add partitions to {topic}"))?;
        self.wait_for_topic(topic, partitions)
    }

    /// Sets one of a topic's settings, and leaves the others as they are.
    pub fn alter_topic(&self, topic: &str, setting: &str, value: &str) -> Result<()> {
        let resource = ResourceSpecifier::Topic(topic);
        let mut described =
            self.administer(async |admin, options| Ok(admin.describe_configs([&resource], options).await?))?;
        let described = described.pop().context("no answer about the topic's settings")??;
        // The request replaces all settings: name again those that were set on the topic itself.
        let mut wanted = AlterConfig::new(resource);
        for entry in &described.entries {
            if let (ConfigSource::DynamicTopic, Some(value)) = (&entry.source, &entry.value)
                && entry.name != setting
            {
                wanted = wanted.set(&entry.name, value);
            }
        }
        let wanted = wanted.set(setting, value);
        let mut altered =
            self.administer(async |admin, options| Ok(admin.alter_configs([&wanted], options).await?))?;
        altered.pop().context("no answer about the topic's settings")?.map_err(|(_, code)| refusal(code))?;
        Ok(())
    }

    /// Deletes the records of one partition below the offset `before`, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before))?;
        let answer =
            self.administer(async |admin, options| Ok(admin.delete_records(&offsets, options).await?))?;
        for element in answer.elements() {
            element.error().with_context(|| format!("failed to delete records of {topic}/{partition}"))?;
        }
        Ok(())
    }

    /// Deletes a consumer group with all that it has committed, once its last member is gone: a killed one is missed when its
    /// session ends.
    pub fn delete_group(&self, group: &str) -> Result<()> {
        wait_for(&format!("the group {group} to be empty"), PROPAGATION_DEADLINE, || {
            self.administer(async |admin, options| one(admin.delete_groups(&[group], options).await?))
                .with_context(|| format!("failed to delete the group {group}"))
        })
    }

    /// Lets `user` do `operations` (`Read`, `Write`, `Describe`, `Create`, …) on `resource`.
    pub fn allow(&self, user: &str, operations: &[&str], resource: Resource<'_>) -> Result<()> {
        self.change_rights(&["--add"], user, operations, resource)
    }

    /// Takes back what [`Kafka::allow`] gave.
    pub fn disallow(&self, user: &str, operations: &[&str], resource: Resource<'_>) -> Result<()> {
        self.change_rights(&["--remove", "--force"], user, operations, resource)
    }

    fn change_rights(
        &self,
        change: &[&str],
        user: &str,
        operations: &[&str],
        resource: Resource<'_>,
    ) -> Result<()> {
        let principal = format!("User:{user}");
        let mut arguments = change.to_vec();
        arguments.extend(["--allow-principal", &principal]);
        match resource {
            Resource::Topic(name) => arguments.extend(["--topic", name]),
            Resource::Group(name) => arguments.extend(["--group", name]),
            Resource::TransactionalId(name) => arguments.extend(["--transactional-id", name]),
            Resource::Cluster => arguments.push("--cluster"),
        }
        for operation in operations {
            arguments.extend(["--operation", operation]);
        }
        self.tool("org.apache.kafka.tools.AclCommand", &arguments)?;
        Ok(())
    }

    fn wait_for_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        let client = self.client();
        wait_for(&format!("the topic {topic}"), PROPAGATION_DEADLINE, || {
            client.every_partition_has_a_leader(Some(topic))?;
            match client.partitions(topic)? {
                count if count == partitions => Ok(()),
                count => bail!("it has {count} partitions, not {partitions}"),
            }
        })
    }

    /// Runs one request of the administration client to its end.
    fn administer<T: Send>(
        &self,
        request: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> Result<T> + Send,
    ) -> Result<T> {
        let admin = self.client().config().create().context("failed to make an administration client")?;
        let options = AdminOptions::new().operation_timeout(Some(PROPAGATION_DEADLINE));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .context("failed to make an asynchronous runtime")?;
        // On a thread of its own: the caller's may belong to another runtime, which must not block.
        thread::scope(|scope| scope.spawn(|| runtime.block_on(request(&admin, &options))).join())
            .map_err(|_| anyhow!("the thread of an administration request panicked"))?
    }
}

/// The one answer to a request about one thing.
fn one(answers: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<()> {
    let answer = answers.into_iter().next().context("the broker did not answer")?;
    answer.map(drop).map_err(|(_, code)| refusal(code))
}

fn refusal(code: RDKafkaErrorCode) -> anyhow::Error {
    anyhow!("the broker refused: {code}")
}

const PROPAGATION_DEADLINE: Duration = Duration::from_secs(30);
