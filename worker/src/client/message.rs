//! Consumed records, borrowed from librdkafka's buffers.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use rdkafka::bindings as sys;
use rdkafka::types::RDKafkaErrorCode;

/// The records of one batch call. They live until the batch is cleared, dropped or filled again.
pub struct Batch {
    pub(super) messages: Vec<*mut sys::rd_kafka_message_t>,
}

impl Batch {
    /// An empty batch that takes up to `capacity` records.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { messages: Vec::with_capacity(capacity) }
    }

    /// Whether it holds neither records nor errors.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The records and errors, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.messages.iter().map(|&message| Message { message, batch: PhantomData })
    }

    /// Gives the records back to librdkafka.
    pub fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: each message came from the batch call and is destroyed once.
            unsafe { sys::rd_kafka_message_destroy(message) }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One consumed record, or an error that stands in its place.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    message: *mut sys::rd_kafka_message_t,
    batch: PhantomData<&'a Batch>,
}

impl<'a> Message<'a> {
    /// The error, when this is no record.
    pub fn error(self) -> Option<RDKafkaErrorCode> {
        let code = self.raw().err;
        (code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| RDKafkaErrorCode::from(code))
    }

    /// librdkafka's words for the error.
    pub fn error_text(self) -> String {
        let raw = self.raw();
        // SAFETY: of an error the payload holds librdkafka's text.
        unsafe { bytes(raw.payload, raw.len) }
            .map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned())
    }

    /// The source partition.
    pub fn partition(self) -> i32 {
        self.raw().partition
    }

    /// The source offset.
    pub fn offset(self) -> i64 {
        self.raw().offset
    }

    /// The value; none for a tombstone.
    pub fn value(self) -> Option<&'a [u8]> {
        let raw = self.raw();
        // SAFETY: librdkafka keeps the bytes as long as the message, which lives as long as the batch.
        unsafe { bytes(raw.payload, raw.len) }
    }

    /// The key.
    pub fn key(self) -> Option<&'a [u8]> {
        let raw = self.raw();
        // SAFETY: as for the value.
        unsafe { bytes(raw.key, raw.key_len) }
    }

    /// The record's timestamp in milliseconds since 1970; -1 when it has none.
    pub fn timestamp_ms(self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        if kind == sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { -1 } else { timestamp }
    }

    /// The last value of a header; none where there is no such header, or it has no value.
    pub fn header(self, name: &CStr) -> Option<&'a [u8]> {
        let headers = self.headers();
        if headers.is_null() {
            return None;
        }
        let (mut value, mut length) = (ptr::null(), 0);
        // SAFETY: the message keeps its headers alive, and the bytes within.
        unsafe {
            let code = sys::rd_kafka_header_get_last(headers, name.as_ptr(), &raw mut value, &raw mut length);
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            bytes(value, length)
        }
    }

    /// The record's headers, parsed by librdkafka on the first call; null without any.
    pub(super) fn headers(self) -> *mut sys::rd_kafka_headers_t {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive and keeps the headers.
        let found = unsafe { sys::rd_kafka_message_headers(self.message, &raw mut headers) };
        if found == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { headers } else { ptr::null_mut() }
    }

    fn raw(self) -> &'a sys::rd_kafka_message_t {
        // SAFETY: the message lives as long as the batch, whose lifetime this value carries.
        unsafe { &*self.message }
    }
}

/// A byte string of C; null is none.
///
/// # Safety
/// `pointer` is null or points to `length` bytes that live as long as `'a`.
unsafe fn bytes<'a>(pointer: *const libc::c_void, length: usize) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for pointer and length.
    Some(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}
