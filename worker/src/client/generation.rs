//! A member's place in its group, for a transaction's offsets.

use std::ptr::NonNull;

use rdkafka::bindings as sys;

use super::list::c_string;

/// Where a member stood in its group at a moment: what a transaction's offsets are fenced by.
pub struct Generation {
    metadata: NonNull<sys::rd_kafka_consumer_group_metadata_t>,
}

impl Generation {
    /// Takes over what librdkafka handed out; none for null.
    pub(super) fn new(metadata: *mut sys::rd_kafka_consumer_group_metadata_t) -> Option<Self> {
        NonNull::new(metadata).map(|metadata| Self { metadata })
    }

    /// No member's: a broker takes offsets of a transaction without a generation from anyone, also while the group has
    /// members. Only for offsets that are to be aborted, or to fall.
    pub fn of_nobody(group: &str) -> Self {
        let group = c_string(group);
        // SAFETY: the name is copied by the call.
        let metadata = unsafe { sys::rd_kafka_consumer_group_metadata_new(group.as_ptr()) };
        Self { metadata: NonNull::new(metadata).expect("librdkafka's constructor returns metadata") }
    }

    pub(super) fn as_ptr(&self) -> *const sys::rd_kafka_consumer_group_metadata_t {
        self.metadata.as_ptr()
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // SAFETY: the metadata is ours and is destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.metadata.as_ptr()) }
    }
}
