//! Lists of partitions, as librdkafka takes and gives them.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;

use rdkafka::bindings as sys;

/// A partition and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
}

/// An offset that is committed, with what is remembered beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// At most 4,096 bytes, a broker's default limit.
    pub metadata: String,
}

/// A list of partitions of one topic, owned.
pub(super) struct List {
    list: NonNull<sys::rd_kafka_topic_partition_list_t>,
}

impl List {
    /// A list with room for `capacity` partitions.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let capacity = i32::try_from(capacity).unwrap_or(i32::MAX);
        // SAFETY: a plain constructor; librdkafka aborts the process rather than return null.
        let list = unsafe { sys::rd_kafka_topic_partition_list_new(capacity) };
        Self { list: NonNull::new(list).expect("librdkafka's constructor returns a list") }
    }

    /// A list without offsets.
    pub(super) fn of_partitions(topic: &CStr, partitions: &[i32]) -> Self {
        let list = Self::with_capacity(partitions.len());
        for &partition in partitions {
            list.add(topic, partition, i64::from(sys::RD_KAFKA_OFFSET_INVALID));
        }
        list
    }

    /// A list with offsets.
    pub(super) fn of_positions(topic: &CStr, positions: &[Position]) -> Self {
        let list = Self::with_capacity(positions.len());
        for position in positions {
            list.add(topic, position.partition, position.offset);
        }
        list
    }

    /// A list with offsets and metadata, as a commit takes it.
    pub(super) fn of_commits(topic: &CStr, commits: &[Commit]) -> Self {
        let list = Self::with_capacity(commits.len());
        for commit in commits {
            let element = list.add(topic, commit.partition, commit.offset);
            // SAFETY: the element was just added and is ours; librdkafka frees metadata with `rd_free`, so the copy is
            // made by the C allocator.
            unsafe {
                let copy = libc::malloc(commit.metadata.len().max(1));
                assert!(!copy.is_null(), "out of memory");
                std::ptr::copy_nonoverlapping(commit.metadata.as_ptr(), copy.cast(), commit.metadata.len());
                (*element).metadata = copy;
                (*element).metadata_size = commit.metadata.len();
            }
        }
        list
    }

    /// The C list, valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.list.as_ptr()
    }

    /// Partitions, offsets and errors, as librdkafka left them.
    pub(super) fn elements(&self) -> Vec<(Position, sys::rd_kafka_resp_err_t)> {
        // SAFETY: the list is alive.
        unsafe { read(self.list.as_ptr()) }
    }

    fn add(&self, topic: &CStr, partition: i32, offset: i64) -> *mut sys::rd_kafka_topic_partition_t {
        // SAFETY: the list is alive; librdkafka copies the name and returns an element of the list.
        unsafe {
            let element =
                sys::rd_kafka_topic_partition_list_add(self.list.as_ptr(), topic.as_ptr(), partition);
            (*element).offset = offset;
            element
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list is ours and is destroyed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.list.as_ptr()) }
    }
}

/// Reads a list that librdkafka lends.
///
/// # Safety
/// `list` is null or a living list.
pub(super) unsafe fn read(
    list: *const sys::rd_kafka_topic_partition_list_t,
) -> Vec<(Position, sys::rd_kafka_resp_err_t)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller vouches for the list; `elems` has `cnt` elements.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        if count == 0 {
            return Vec::new();
        }
        std::slice::from_raw_parts((*list).elems, count)
            .iter()
            .map(|element| (Position { partition: element.partition, offset: element.offset }, element.err))
            .collect()
    }
}

/// A name of Kafka's for C. It panics at a NUL, which no valid name holds.
pub fn c_string(text: &str) -> CString {
    CString::new(text).expect("names were validated and hold no NUL")
}
