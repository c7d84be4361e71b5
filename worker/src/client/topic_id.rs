//! The identity of a topic, which changes when it is deleted and made anew.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};

use super::error::Error;
use super::list::c_string;
use super::producer::milliseconds;

/// The id that the cluster gave a topic, in Kafka's base64; none where the broker gives none (Kafka before 2.8, the
/// mock cluster).
pub fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<String>, Error> {
    let name = c_string(topic);
    let mut names: [*const c_char; 1] = [name.as_ptr()];
    // SAFETY: everything made here is destroyed here once, after its last use; the client outlives the call.
    unsafe {
        let handle = client.native_ptr();
        let queue = sys::rd_kafka_queue_new(handle);
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options = sys::rd_kafka_AdminOptions_new(
            handle,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let mut text: [c_char; 256] = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options,
            milliseconds(timeout),
            text.as_mut_ptr(),
            text.len(),
        );
        sys::rd_kafka_DescribeTopics(handle, topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout));
        let found = read(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_queue_destroy(queue);
        found
    }
}

/// # Safety
/// `event` is null or the living answer to a description of one topic.
unsafe fn read(event: *mut sys::rd_kafka_event_t) -> Result<Option<String>, Error> {
    let operation = "failed to ask for the topic's id";
    // SAFETY: the caller vouches for the event; all that is read lives as long as the event.
    unsafe {
        if event.is_null() {
            return Err(Error::of_code(operation, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT));
        }
        let code = sys::rd_kafka_event_error(event);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Error::of_code(operation, code));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if result.is_null() || topics.is_null() || count == 0 {
            return Ok(None);
        }
        let description = *topics;
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description));
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Error::of_code(operation, code));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(description);
        let text = if id.is_null() { ptr::null() } else { sys::rd_kafka_Uuid_base64str(id) };
        if text.is_null() {
            return Ok(None);
        }
        let text = CStr::from_ptr(text).to_string_lossy().into_owned();
        Ok((text != NO_ID).then_some(text))
    }
}

/// What librdkafka prints for an id of all zeros.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
