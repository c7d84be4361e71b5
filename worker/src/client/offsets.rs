//! Questions about offsets, each for all partitions of a topic at once.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};

use super::admin::Question;
use super::error::Error;
use super::list::{self, List, Position, c_string};

/// Which end of the log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The oldest offset that the log still has.
    Start,
    /// The last stable offset: the end for a reader of committed records.
    Stable,
    /// The end with the records of transactions that are still open.
    Last,
}

/// One end of each partition's log. A partition that cannot be told is left out.
pub fn log_offsets<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partitions: &[i32],
    end: End,
    timeout: Duration,
) -> Result<BTreeMap<i32, i64>, Error> {
    let spec = match end {
        End::Start => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST,
        End::Stable | End::Last => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST,
    };
    let isolation = match end {
        End::Start | End::Stable => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        End::Last => sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
    };
    let positions: Vec<Position> =
        partitions.iter().map(|&partition| Position { partition, offset: spec as i64 }).collect();
    let list = List::of_positions(&c_string(topic), &positions);
    let question = Question {
        operation: "failed to ask for the ends of the log",
        kind: sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
        timeout,
    };
    // SAFETY: the list lives until the question is asked, which copies it; the answer is that to the question.
    unsafe {
        question.ask(
            client,
            |options, queue| {
                let error = sys::rd_kafka_AdminOptions_set_isolation_level(options, isolation);
                debug_assert!(error.is_null(), "the option belongs to the question");
                sys::rd_kafka_ListOffsets(client.native_ptr(), list.as_ptr(), options, queue);
            },
            |event| Ok(read_log_offsets(event)),
        )
    }
}

/// What a group has committed of a topic; partitions without a commit are left out. Does not wait for transactions that are
/// still open: what they will commit is not committed yet.
pub fn committed<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    topic: &str,
    partitions: &[i32],
    timeout: Duration,
) -> Result<BTreeMap<i32, i64>, Error> {
    let list = List::of_partitions(&c_string(topic), partitions);
    let group = c_string(group);
    let question = Question {
        operation: "failed to ask for the group's offsets",
        kind: sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
        timeout,
    };
    // SAFETY: names and list live until the question is asked, which copies them; its object is destroyed after that; the
    // answer is that to the question.
    unsafe {
        let mut asked =
            [sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list.as_ptr().cast_const())];
        let found = question.ask(
            client,
            |options, queue| {
                sys::rd_kafka_ListConsumerGroupOffsets(
                    client.native_ptr(),
                    asked.as_mut_ptr(),
                    asked.len(),
                    options,
                    queue,
                );
            },
            |event| read_committed(question.operation, event),
        );
        sys::rd_kafka_ListConsumerGroupOffsets_destroy_array(asked.as_mut_ptr(), asked.len());
        found
    }
}

/// # Safety
/// `event` is the living answer to a question about the ends of logs.
unsafe fn read_log_offsets(event: *mut sys::rd_kafka_event_t) -> BTreeMap<i32, i64> {
    let mut offsets = BTreeMap::new();
    // SAFETY: the caller vouches for the event; all that is read lives as long as the event.
    unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(event);
        if result.is_null() {
            return offsets;
        }
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        for index in 0..count {
            let element = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index));
            if (*element).err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
                && (*element).offset >= 0
            {
                offsets.insert((*element).partition, (*element).offset);
            }
        }
    }
    offsets
}

/// # Safety
/// `event` is the living answer to a question about one group's offsets.
unsafe fn read_committed(
    operation: &'static str,
    event: *mut sys::rd_kafka_event_t,
) -> Result<BTreeMap<i32, i64>, Error> {
    // SAFETY: the caller vouches for the event; all that is read lives as long as the event.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let mut count = 0;
        let groups = if result.is_null() {
            std::ptr::null_mut()
        } else {
            sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count)
        };
        if groups.is_null() || count == 0 {
            return Ok(BTreeMap::new());
        }
        let group = *groups;
        let error = sys::rd_kafka_group_result_error(group);
        if !error.is_null() {
            return Err(Error::of_code(operation, sys::rd_kafka_error_code(error)));
        }
        let mut offsets = BTreeMap::new();
        for (position, error) in list::read(sys::rd_kafka_group_result_partitions(group)) {
            Error::check_code(operation, error)?;
            if position.offset >= 0 {
                offsets.insert(position.partition, position.offset);
            }
        }
        Ok(offsets)
    }
}
