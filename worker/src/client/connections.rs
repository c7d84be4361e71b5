//! Which brokers a client is connected to, and whether a connection was lost.
//!
//! librdkafka reports a connection that could not be made, but keeps quiet about one that broke while a request was under way
//! on it. Its interceptors see both.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::bindings as sys;

/// The connections of one client, told by its broker threads.
#[derive(Default)]
pub(super) struct Connections {
    up: Mutex<BTreeSet<(Vec<u8>, i32)>>,
    lost: AtomicBool,
}

impl Connections {
    /// Watches the client that is made of `conf`.
    ///
    /// # Safety
    ///
    /// `conf` must be a living configuration, and this must outlive the client.
    pub(super) unsafe fn watch(&self, conf: *mut sys::rd_kafka_conf_t) {
        let opaque = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the name is copied; the opaque outlives the client, as the caller says.
        let code =
            unsafe { sys::rd_kafka_conf_interceptor_add_on_new(conf, NAME.as_ptr(), Some(made), opaque) };
        debug_assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    /// Whether a connection was lost since the last call.
    pub(super) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    fn changed(&self, name: &[u8], port: i32, state: &[u8]) {
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = (name.to_vec(), port);
        if state == b"UP" {
            up.insert(broker);
        } else if state == b"DOWN" && up.remove(&broker) {
            self.lost.store(true, Ordering::Release);
        }
    }
}

unsafe extern "C" fn made(
    client: *mut sys::rd_kafka_t,
    _conf: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _text: *mut c_char,
    _text_size: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: librdkafka calls this while it makes the client, with the opaque that was given.
    unsafe {
        sys::rd_kafka_interceptor_add_on_broker_state_change(client, NAME.as_ptr(), Some(changed), opaque)
    }
}

unsafe extern "C" fn changed(
    _client: *mut sys::rd_kafka_t,
    _id: i32,
    _protocol: *const c_char,
    name: *const c_char,
    port: i32,
    state: *const c_char,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: librdkafka passes C strings and the opaque that was given.
    let (connections, name, state) =
        unsafe { (&*opaque.cast::<Connections>(), CStr::from_ptr(name), CStr::from_ptr(state)) };
    // By its name, not by its number: a broker has none until it is known, and a coordinator's connection never has.
    connections.changed(name.to_bytes(), port, state.to_bytes());
    sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

const NAME: &CStr = c"connections";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_that_was_there_can_be_lost() {
        let connections = Connections::default();
        for state in ["DOWN", "CONNECT", "DOWN", "CONNECT", "UP", "REAUTH"] {
            connections.changed(b"kafka", 9092, state.as_bytes());
        }
        connections.changed(b"kafka", 9093, b"DOWN");
        assert!(!connections.take_lost());
        connections.changed(b"kafka", 9092, b"DOWN");
        assert!(connections.take_lost());
        assert!(!connections.take_lost());
    }
}
