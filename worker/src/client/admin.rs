//! Questions to the cluster that the `rdkafka` crate's admin client does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};

use super::error::Error;
use super::list::c_string;
use super::producer::milliseconds;

/// The id that the cluster gave a topic, in Kafka's base64; it changes when the topic is deleted and made anew. None where
/// the broker gives none (Kafka before 2.8, the mock cluster).
pub fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<String>, Error> {
    let name = c_string(topic);
    let mut names: [*const c_char; 1] = [name.as_ptr()];
    let question = Question {
        operation: "failed to ask for the topic's id",
        kind: sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        timeout,
    };
    // SAFETY: the names live until the question is asked, and the collection is destroyed after that; the answer is that
    // to the question.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let found = question.ask(
            client,
            |options, queue| sys::rd_kafka_DescribeTopics(client.native_ptr(), topics, options, queue),
            |event| read_topic_id(question.operation, event),
        );
        sys::rd_kafka_TopicCollection_destroy(topics);
        found
    }
}

/// Partitions by the client id of the group's member that holds them.
pub type Members = BTreeMap<String, BTreeSet<i32>>;

/// Which partitions of a topic the group's members hold; none while the group is rebalancing. While a partition moves from
/// one member to another, a stable group gives it to nobody (KIP-429).
pub fn members<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Members>, Error> {
    let (group, topic) = (c_string(group), c_string(topic));
    let mut groups: [*const c_char; 1] = [group.as_ptr()];
    let question = Question {
        operation: "failed to ask for the group's members",
        kind: sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        timeout,
    };
    // SAFETY: the names live until the question is asked; the answer is that to the question.
    unsafe {
        question.ask(
            client,
            |options, queue| {
                sys::rd_kafka_DescribeConsumerGroups(
                    client.native_ptr(),
                    groups.as_mut_ptr(),
                    groups.len(),
                    options,
                    queue,
                );
            },
            |event| read_members(question.operation, event, &topic),
        )
    }
}

/// A question that is answered by an event.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) operation: &'static str,
    pub(super) kind: sys::rd_kafka_admin_op_t,
    pub(super) timeout: Duration,
}

impl Question {
    /// Asks, waits, and reads the answer.
    ///
    /// # Safety
    /// `ask` asks a question of this kind; `read` may rely on a living answer to it without an error.
    pub(super) unsafe fn ask<C: ClientContext, T>(
        self,
        client: &Client<C>,
        ask: impl FnOnce(*mut sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
        read: impl FnOnce(*mut sys::rd_kafka_event_t) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // SAFETY: everything made here is destroyed here once, after its last use; the client outlives the call.
        unsafe {
            let queue = sys::rd_kafka_queue_new(client.native_ptr());
            let options = sys::rd_kafka_AdminOptions_new(client.native_ptr(), self.kind);
            let mut text: [c_char; 256] = [0; 256];
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                milliseconds(self.timeout),
                text.as_mut_ptr(),
                text.len(),
            );
            ask(options, queue);
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(self.timeout));
            let found = if event.is_null() {
                Err(Error::of_code(self.operation, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT))
            } else {
                let answer = Error::check_code(self.operation, sys::rd_kafka_event_error(event))
                    .and_then(|()| read(event));
                sys::rd_kafka_event_destroy(event);
                answer
            };
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_queue_destroy(queue);
            found
        }
    }
}

/// # Safety
/// `event` is the living answer to a description of one topic.
unsafe fn read_topic_id(
    operation: &'static str,
    event: *mut sys::rd_kafka_event_t,
) -> Result<Option<String>, Error> {
    // SAFETY: the caller vouches for the event; all that is read lives as long as the event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if result.is_null() || topics.is_null() || count == 0 {
            return Ok(None);
        }
        let description = *topics;
        Error::check_code(
            operation,
            sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description)),
        )?;
        let id = sys::rd_kafka_TopicDescription_topic_id(description);
        let text = if id.is_null() { ptr::null() } else { sys::rd_kafka_Uuid_base64str(id) };
        if text.is_null() {
            return Ok(None);
        }
        let text = CStr::from_ptr(text).to_string_lossy().into_owned();
        Ok((text != NO_ID).then_some(text))
    }
}

/// # Safety
/// `event` is the living answer to a description of one group.
unsafe fn read_members(
    operation: &'static str,
    event: *mut sys::rd_kafka_event_t,
    topic: &CStr,
) -> Result<Option<Members>, Error> {
    // SAFETY: the caller vouches for the event; all that is read lives as long as the event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event);
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if result.is_null() || groups.is_null() || count == 0 {
            return Ok(None);
        }
        let group = *groups;
        Error::check_code(
            operation,
            sys::rd_kafka_error_code(sys::rd_kafka_ConsumerGroupDescription_error(group)),
        )?;
        let stable = sys::rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE;
        if sys::rd_kafka_ConsumerGroupDescription_state(group) != stable {
            return Ok(None);
        }
        let mut members = Members::new();
        for number in 0..sys::rd_kafka_ConsumerGroupDescription_member_count(group) {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, number);
            let assignment = sys::rd_kafka_MemberDescription_assignment(member);
            let partitions = sys::rd_kafka_MemberAssignment_partitions(assignment);
            let count = usize::try_from((*partitions).cnt).unwrap_or(0);
            let client_id = CStr::from_ptr(sys::rd_kafka_MemberDescription_client_id(member));
            let held = members.entry(client_id.to_string_lossy().into_owned()).or_default();
            for index in 0..count {
                let element = (*partitions).elems.add(index);
                if CStr::from_ptr((*element).topic) == topic {
                    held.insert((*element).partition);
                }
            }
        }
        Ok(Some(members))
    }
}

/// What librdkafka prints for an id of all zeros.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
