//! The transactional producer.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::config::ClientConfig;
use rdkafka::types::RDKafkaErrorCode;

use super::connections::Connections;
use super::error::Error;
use super::generation::Generation;
use super::list::{Commit, List, c_string};
use super::message::Message;
use super::queues::{HoldsQueues, Queues, counted};

/// A transactional producer. It belongs to one thread.
pub struct Producer {
    client: NonNull<sys::rd_kafka_t>,
    callbacks: Box<Callbacks>,
    connections: Box<Connections>,
    topics: RefCell<Vec<(CString, Rc<Handle>)>>,
    waited: Cell<Duration>,
}

/// A record that a broker did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What [`Outgoing::origin`] said.
    pub origin: usize,
    /// Why.
    pub code: RDKafkaErrorCode,
}

/// A topic that is produced to, by handle: no look-up for each record.
#[derive(Clone)]
pub struct Topic(Rc<Handle>);

/// One record to be produced.
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: &'a Topic,
    /// Which of its partitions.
    pub partition: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970. librdkafka writes the time now for 0.
    pub timestamp_ms: i64,
    /// The record's headers.
    pub headers: Headers,
    /// Comes back in [`Refusal::origin`].
    pub origin: usize,
}

impl Producer {
    /// Makes a producer; nothing is sent yet.
    pub fn new(config: &ClientConfig) -> Result<Self, Error> {
        let callbacks = Box::<Callbacks>::default();
        let connections = Box::<Connections>::default();
        let client = super::consumer::create(
            config,
            sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            // SAFETY: the pointers are set on a configuration that is not in use yet; the boxes outlive the client.
            |conf| unsafe {
                sys::rd_kafka_conf_set_opaque(conf, ptr::from_ref(&*callbacks).cast_mut().cast());
                sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(delivered));
                sys::rd_kafka_conf_set_stats_cb(conf, Some(counted::<Callbacks>));
                connections.watch(conf);
            },
        )?;
        Ok(Self { client, callbacks, connections, topics: RefCell::default(), waited: Cell::default() })
    }

    /// A handle of a topic.
    pub fn topic(&self, name: &str) -> Topic {
        let name = c_string(name);
        if let Some((_, handle)) = self.topics.borrow().iter().find(|(known, _)| *known == name) {
            return Topic(Rc::clone(handle));
        }
        // SAFETY: the client is alive; a null configuration means the client's defaults.
        let topic = unsafe { sys::rd_kafka_topic_new(self.client.as_ptr(), name.as_ptr(), ptr::null_mut()) };
        let topic = NonNull::new(topic).expect("a validated topic name makes a handle");
        let handle = Rc::new(Handle { topic });
        self.topics.borrow_mut().push((name, Rc::clone(&handle)));
        Topic(handle)
    }

    /// Takes the transactional id: fences its former holder and ends what that left open. May be called again after
    /// a time-out; it goes on in the background.
    pub fn init_transactions(&self, timeout: Duration) -> Result<(), Error> {
        // SAFETY: the client is alive.
        let error = unsafe { sys::rd_kafka_init_transactions(self.client.as_ptr(), milliseconds(timeout)) };
        Error::check("failed to take the transactional id", error)
    }

    /// Begins a transaction.
    pub fn begin(&self) -> Result<(), Error> {
        // SAFETY: the client is alive.
        let error = unsafe { sys::rd_kafka_begin_transaction(self.client.as_ptr()) };
        Error::check("failed to begin a transaction", error)
    }

    /// Why the open transaction can only be aborted; none while it is well.
    pub fn transaction_error(&self) -> Option<Error> {
        // Beginning one while one is open does nothing but to answer with the error that the open one has met.
        self.begin().err().filter(|error| error.code != RDKafkaErrorCode::State)
    }

    /// Queues a record. It waits while the queue is full; what is too large for an empty one is refused as by a broker.
    pub fn produce(&self, outgoing: Outgoing<'_>) -> Result<(), Error> {
        let Outgoing { topic, partition, key, value, timestamp_ms, headers, origin } = outgoing;
        let headers = headers.into_raw();
        let arguments = [
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT, Value { rkt: topic.0.topic.as_ptr() }),
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, Value { i32_: partition }),
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, Value { mem: memory(key) }),
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, Value { mem: memory(value) }),
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY }),
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: timestamp_ms }),
            argument(sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS, Value { headers }),
            argument(
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                Value { ptr: ptr::without_provenance_mut(origin) },
            ),
        ];
        loop {
            // SAFETY: the arguments live through the call; key and value are copied by it (MSG_F_COPY).
            let error =
                unsafe { sys::rd_kafka_produceva(self.client.as_ptr(), arguments.as_ptr(), arguments.len()) };
            match Error::check("failed to produce", error) {
                Ok(()) => return Ok(()),
                Err(error) if error.code == RDKafkaErrorCode::QueueFull && self.has_queued() => {
                    let since = Instant::now();
                    self.poll(QUEUE_FULL_WAIT);
                    self.waited.set(self.waited.get() + since.elapsed());
                }
                Err(error) => {
                    if matches!(
                        error.code,
                        RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::MessageSizeTooLarge
                    ) {
                        let code = RDKafkaErrorCode::MessageSizeTooLarge;
                        self.callbacks.refusals.borrow_mut().push(Refusal { origin, code });
                    }
                    // SAFETY: librdkafka takes the headers only when the call succeeds.
                    unsafe { sys::rd_kafka_headers_destroy(headers) };
                    return Err(error);
                }
            }
        }
    }

    /// How long records waited for room in the queue since this was last asked.
    pub fn take_waited(&self) -> Duration {
        self.waited.take()
    }

    /// Adds consumed offsets to the transaction.
    pub fn send_offsets(
        &self,
        topic: &CStr,
        commits: &[Commit],
        generation: &Generation,
        timeout: Duration,
    ) -> Result<(), Error> {
        let list = List::of_commits(topic, commits);
        // SAFETY: client, list and group metadata are alive through the call.
        let error = unsafe {
            sys::rd_kafka_send_offsets_to_transaction(
                self.client.as_ptr(),
                list.as_ptr(),
                generation.as_ptr(),
                milliseconds(timeout),
            )
        };
        Error::check("failed to add offsets to the transaction", error)
    }

    /// Sends what is queued and waits for the brokers' answers, then commits.
    pub fn commit(&self, timeout: Duration) -> Result<(), Error> {
        // SAFETY: the client is alive.
        let error = unsafe { sys::rd_kafka_commit_transaction(self.client.as_ptr(), milliseconds(timeout)) };
        Error::check("failed to commit the transaction", error)
    }

    /// Throws away what is queued and aborts.
    pub fn abort(&self, timeout: Duration) -> Result<(), Error> {
        // SAFETY: the client is alive.
        let error = unsafe { sys::rd_kafka_abort_transaction(self.client.as_ptr(), milliseconds(timeout)) };
        Error::check("failed to abort the transaction", error)
    }

    /// Waits until all that was produced is answered; false after `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        // SAFETY: the client is alive.
        let code = unsafe { sys::rd_kafka_flush(self.client.as_ptr(), milliseconds(timeout)) };
        code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// What waits for an answer, as of the last statistics.
    pub fn queues(&self) -> Queues {
        self.callbacks.queues.get()
    }

    fn has_queued(&self) -> bool {
        // SAFETY: the client is alive.
        unsafe { sys::rd_kafka_outq_len(self.client.as_ptr()) > 0 }
    }

    /// Serves callbacks.
    pub fn poll(&self, timeout: Duration) {
        // SAFETY: the client is alive.
        unsafe { sys::rd_kafka_poll(self.client.as_ptr(), milliseconds(timeout)) };
    }

    /// Records that a broker did not take, since the last call.
    pub fn take_refusals(&self) -> Vec<Refusal> {
        self.callbacks.refusals.take()
    }

    /// Whether a connection was lost since the last call. A request that timed out costs its connection, too.
    pub fn take_trouble(&self) -> bool {
        self.connections.take_lost()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.topics.borrow_mut().clear();
        // SAFETY: the handles are gone and the client is destroyed once. An open transaction is left to the next holder
        // of its id, or to the broker's time-out.
        unsafe { sys::rd_kafka_destroy(self.client.as_ptr()) };
    }
}

/// Headers of a record to be produced.
pub struct Headers(NonNull<sys::rd_kafka_headers_t>);

impl Default for Headers {
    /// No headers, with room for some.
    fn default() -> Self {
        // SAFETY: a plain constructor.
        let headers = unsafe { sys::rd_kafka_headers_new(HEADERS_CAPACITY) };
        Self(NonNull::new(headers).expect("librdkafka's constructor returns headers"))
    }
}

impl Headers {
    /// The headers that a record came with.
    pub fn of(message: Message<'_>) -> Self {
        let source = message.headers();
        if source.is_null() {
            return Self::default();
        }
        // SAFETY: the message keeps its headers alive through the call.
        let copy = unsafe { sys::rd_kafka_headers_copy(source) };
        Self(NonNull::new(copy).expect("librdkafka copies headers"))
    }

    /// Appends a header.
    pub fn add(&mut self, name: &CStr, value: &[u8]) {
        let name_length = isize::try_from(name.count_bytes()).expect("a header's name is short");
        let value_length = isize::try_from(value.len()).expect("a slice is no longer than isize::MAX");
        // SAFETY: the headers are ours; name and value are copied by the call.
        let code = unsafe {
            sys::rd_kafka_header_add(
                self.0.as_ptr(),
                name.as_ptr(),
                name_length,
                value.as_ptr().cast(),
                value_length,
            )
        };
        debug_assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
    }

    fn into_raw(self) -> *mut sys::rd_kafka_headers_t {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: the headers are ours and are destroyed once.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

struct Handle {
    topic: NonNull<sys::rd_kafka_topic_t>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is given back once; it keeps its client's memory alive itself.
        unsafe { sys::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

/// What the callbacks leave behind. They run inside calls on the producer's own thread.
#[derive(Default)]
struct Callbacks {
    refusals: RefCell<Vec<Refusal>>,
    queues: Cell<Queues>,
}

impl HoldsQueues for Callbacks {
    fn queues(&self) -> &Cell<Queues> {
        &self.queues
    }
}

unsafe extern "C" fn delivered(
    _client: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a living message and the opaque that was set at creation.
    let (callbacks, message) = unsafe { (&*opaque.cast::<Callbacks>(), &*message) };
    let code = RDKafkaErrorCode::from(message.err);
    let purged = matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
    if code != RDKafkaErrorCode::NoError && !purged {
        callbacks.refusals.borrow_mut().push(Refusal { origin: message._private.addr(), code });
    }
}

type Value = sys::rd_kafka_vu_s__bindgen_ty_1;

fn argument(vtype: sys::rd_kafka_vtype_t, u: Value) -> sys::rd_kafka_vu_t {
    sys::rd_kafka_vu_t { vtype, u }
}

fn memory(bytes: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: bytes.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast()),
        size: bytes.map_or(0, <[u8]>::len),
    }
}

pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Long enough for a broker's answer to make room.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(5);

/// Room for our own headers beside a few of the producer's.
const HEADERS_CAPACITY: usize = 4;
