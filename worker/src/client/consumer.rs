//! The consumer: batches of records, and rebalances served inside the batch call.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::config::ClientConfig;
use rdkafka::types::RDKafkaErrorCode;

use super::error::Error;
use super::generation::Generation;
use super::list::{self, List, Position, c_string};
use super::message::Batch;
use super::producer::milliseconds;
use super::queues::{HoldsQueues, Queues, counted};

/// Answers rebalances. Its methods run inside [`Consumer::poll`] and [`Consumer::close`], on the calling thread.
pub trait RebalanceHandler {
    /// These partitions are ours now. Nothing is fetched until [`Consumer::assign`] is called for them.
    fn assigned(&mut self, consumer: &Consumer, partitions: &[i32]);

    /// These partitions go to somebody else as soon as this returns; `lost`: they may have gone already. What was
    /// assigned of them must be unassigned by then; the consumer does so for the partitions that this returns.
    fn revoked(&mut self, consumer: &Consumer, partitions: &[i32], lost: bool) -> Vec<i32>;
}

/// A member of a consumer group that reads one topic. It belongs to one thread.
pub struct Consumer {
    client: NonNull<sys::rd_kafka_t>,
    queue: NonNull<sys::rd_kafka_queue_t>,
    topic: CString,
    callbacks: Box<Callbacks>,
    closed: Cell<bool>,
    woken_at: Cell<Instant>,
}

impl Consumer {
    /// Makes a consumer that will read `topic`; it joins the group with [`Self::subscribe`].
    pub fn new(config: &ClientConfig, topic: &str) -> Result<Self, Error> {
        let callbacks = Box::<Callbacks>::default();
        let client = create(
            config,
            sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            // SAFETY: the pointers are set on a configuration that is not in use yet; the box outlives the client.
            |conf| unsafe {
                sys::rd_kafka_conf_set_opaque(conf, ptr::from_ref(&*callbacks).cast_mut().cast());
                sys::rd_kafka_conf_set_rebalance_cb(conf, Some(rebalanced));
                sys::rd_kafka_conf_set_error_cb(conf, Some(failed));
                sys::rd_kafka_conf_set_stats_cb(conf, Some(counted::<Callbacks>));
            },
        )?;
        // SAFETY: the client is alive. Sending everything to the consumer's queue lets the batch call serve it all.
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client.as_ptr());
            sys::rd_kafka_queue_get_consumer(client.as_ptr())
        };
        let queue = NonNull::new(queue).expect("a consumer has a queue");
        let (closed, woken_at) = (Cell::new(false), Cell::new(Instant::now()));
        Ok(Self { client, queue, topic: c_string(topic), callbacks, closed, woken_at })
    }

    /// The topic's name.
    pub fn topic(&self) -> &CStr {
        &self.topic
    }

    /// Joins the group.
    pub fn subscribe(&self) -> Result<(), Error> {
        let list = List::of_partitions(&self.topic, &[PARTITION_UNASSIGNED]);
        // SAFETY: client and list are alive through the call.
        let code = unsafe { sys::rd_kafka_subscribe(self.client.as_ptr(), list.as_ptr()) };
        Error::check_code("failed to subscribe", code)
    }

    /// Fills `batch` with up to its capacity of records; waits until it is full or `timeout` is over. Rebalances are
    /// served meanwhile by `handler`; records of partitions that it gave up may still be in the batch.
    pub fn poll(&self, batch: &mut Batch, timeout: Duration, handler: &mut dyn RebalanceHandler) {
        batch.clear();
        let capacity = batch.messages.capacity();
        self.with_handler(handler, || {
            // SAFETY: the queue is alive, and the array has room for `capacity` pointers.
            let count = unsafe {
                sys::rd_kafka_consume_batch_queue(
                    self.queue.as_ptr(),
                    milliseconds(timeout),
                    batch.messages.as_mut_ptr(),
                    capacity,
                )
            };
            // SAFETY: the call filled the first `count` places; it returns -1 only for an unusable queue.
            unsafe { batch.messages.set_len(usize::try_from(count).unwrap_or(0)) };
        });
        if self.woken_at.get().elapsed() >= WAKE_EVERY {
            self.woken_at.set(Instant::now());
            // librdkafka's main thread sleeps for up to a second unless it is asked something, and the heartbeats, from which a
            // member learns that partitions move, wait with it.
            drop(self.generation());
        }
    }

    /// What waits to be polled, as of the last statistics.
    pub fn queues(&self) -> Queues {
        self.callbacks.queues.get()
    }

    /// Starts to fetch these partitions from these offsets, beside those fetched already.
    pub fn assign(&self, positions: &[Position]) -> Result<(), Error> {
        let list = List::of_positions(&self.topic, positions);
        // SAFETY: client and list are alive through the call.
        let error = unsafe { sys::rd_kafka_incremental_assign(self.client.as_ptr(), list.as_ptr()) };
        Error::check("failed to start fetching", error)
    }

    /// Moves assigned partitions to these offsets; records fetched before are not handed out any more.
    pub fn seek(&self, positions: &[Position], timeout: Duration) -> Result<(), Error> {
        if positions.is_empty() {
            return Ok(());
        }
        let list = List::of_positions(&self.topic, positions);
        // SAFETY: client and list are alive through the call.
        let error = unsafe {
            sys::rd_kafka_seek_partitions(self.client.as_ptr(), list.as_ptr(), milliseconds(timeout))
        };
        Error::check("failed to seek", error)?;
        first_error("failed to seek", &list)
    }

    /// Fetches a partition that is not assigned yet. librdkafka remembers a pause over the loss of a partition.
    pub fn start(&self, position: Position) -> Result<(), Error> {
        self.assign(&[position])?;
        self.resume(&[position.partition])
    }

    /// Fetches an assigned partition from this offset on, paused or not. One that librdkafka gave up, since its offset was
    /// not in the log, takes no seek any more: it is assigned anew, which leaves it paused.
    pub fn restart(&self, position: Position, timeout: Duration) -> Result<(), Error> {
        self.seek(&[position], timeout).or_else(|_| {
            self.unassign(&[position.partition])?;
            self.assign(&[position])
        })?;
        self.resume(&[position.partition])
    }

    /// Stops fetching these partitions; what was fetched is thrown away.
    pub fn pause(&self, partitions: &[i32]) -> Result<(), Error> {
        let list = List::of_partitions(&self.topic, partitions);
        // SAFETY: client and list are alive through the call.
        let code = unsafe { sys::rd_kafka_pause_partitions(self.client.as_ptr(), list.as_ptr()) };
        Error::check_code("failed to pause", code)?;
        first_error("failed to pause", &list)
    }

    /// Fetches paused partitions again.
    pub fn resume(&self, partitions: &[i32]) -> Result<(), Error> {
        let list = List::of_partitions(&self.topic, partitions);
        // SAFETY: client and list are alive through the call.
        let code = unsafe { sys::rd_kafka_resume_partitions(self.client.as_ptr(), list.as_ptr()) };
        Error::check_code("failed to resume", code)?;
        first_error("failed to resume", &list)
    }

    /// Where the consumer stands: past the last record handed out and past transaction markers behind it. Not to be
    /// trusted after a batch that held errors, which librdkafka counts as records (librdkafka #5213), nor after one that was
    /// being handed out when a rebalance was served: librdkafka forgets where it stands when a partition is sought or given up,
    /// and notes the batch behind that.
    pub fn positions(&self, partitions: &[i32]) -> Vec<Position> {
        let list = List::of_partitions(&self.topic, partitions);
        // SAFETY: client and list are alive through the call.
        unsafe { sys::rd_kafka_position(self.client.as_ptr(), list.as_ptr()) };
        list.elements()
            .into_iter()
            .map(|(position, _)| position)
            .filter(|position| position.offset >= 0)
            .collect()
    }

    /// The end of the log as of the last answer to a fetch; 0 before the first. Offsets of open transactions are below it.
    pub fn high_watermark(&self, partition: i32) -> i64 {
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client is alive; the call only copies what the client has cached.
        unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.as_ptr(),
                self.topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            );
        }
        high.max(0)
    }

    /// Where this member stands in its group now; none before it joined and after it was thrown out. The broker takes
    /// offsets of a transaction without a generation from anyone, so there is no such value to pass on.
    pub fn generation(&self) -> Option<Generation> {
        // SAFETY: the client is alive.
        let metadata = unsafe { sys::rd_kafka_consumer_group_metadata(self.client.as_ptr()) };
        let generation = Generation::new(metadata)?;
        // SAFETY: the metadata was just handed to us; the member id is a C string in it or null.
        let joined = unsafe {
            let member = sys::rd_kafka_consumer_group_metadata_member_id(metadata);
            sys::rd_kafka_consumer_group_metadata_generation_id(metadata) >= 0
                && !member.is_null()
                && !CStr::from_ptr(member).is_empty()
        };
        (joined && !self.is_assignment_lost()).then_some(generation)
    }

    /// Whether the group threw this member out and its partitions may be another's.
    pub fn is_assignment_lost(&self) -> bool {
        // SAFETY: the client is alive.
        unsafe { sys::rd_kafka_assignment_lost(self.client.as_ptr()) != 0 }
    }

    /// The error that made the client useless, if any.
    pub fn take_fatal(&self) -> Option<String> {
        self.callbacks.fatal.take()
    }

    /// Gives all partitions up and leaves the group.
    pub fn close(&self, handler: &mut dyn RebalanceHandler) {
        self.closed.set(true);
        self.with_handler(handler, || {
            // SAFETY: the client is alive; closing serves the last rebalance on this thread.
            unsafe { sys::rd_kafka_consumer_close(self.client.as_ptr()) };
        });
    }

    /// Lends `handler` to the callbacks while `call` runs.
    fn with_handler(&self, handler: &mut dyn RebalanceHandler, call: impl FnOnce()) {
        // SAFETY: only the lifetime is erased. The pointer is taken back before this returns, and the callbacks that use
        // it run inside `call`, while nothing else uses `handler`.
        let lent = unsafe {
            std::mem::transmute::<&mut dyn RebalanceHandler, &'static mut dyn RebalanceHandler>(handler)
        };
        let lent: *mut dyn RebalanceHandler = lent;
        self.callbacks.lent.set(Some((lent, ptr::from_ref(self))));
        call();
        self.callbacks.lent.set(None);
    }

    /// Lets the next join follow at once. A partition moves in two: one in which its holder gives it up, and one in which the
    /// other gets it. librdkafka joins once a second at most, but for an answer about the cluster (the end of
    /// `rd_kafka_parse_Metadata`), whatever it says: this asks for the topic, which never makes it, and does not wait.
    fn hasten_join(&self) {
        let mut answer = ptr::null();
        // SAFETY: client and topic are alive in the call; an answer is given to us only when it came within no time, and goes
        // at once.
        unsafe {
            let topic = sys::rd_kafka_topic_new(self.client.as_ptr(), self.topic.as_ptr(), ptr::null_mut());
            if topic.is_null() {
                return;
            }
            sys::rd_kafka_metadata(self.client.as_ptr(), 0, topic, &raw mut answer, 0);
            sys::rd_kafka_topic_destroy(topic);
            if !answer.is_null() {
                sys::rd_kafka_metadata_destroy(answer);
            }
        }
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), Error> {
        let list = List::of_partitions(&self.topic, partitions);
        // SAFETY: client and list are alive through the call.
        let error = unsafe { sys::rd_kafka_incremental_unassign(self.client.as_ptr(), list.as_ptr()) };
        Error::check("failed to stop fetching", error)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: queue and client are ours and go once. A consumer that was not closed leaves by its session's end, since
        // closing here could wait for a rebalance that nobody answers.
        unsafe {
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            sys::rd_kafka_destroy_flags(self.client.as_ptr(), sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// Makes a client of either kind. `prepare` sets callbacks.
pub(super) fn create(
    config: &ClientConfig,
    kind: sys::rd_kafka_type_t,
    prepare: impl FnOnce(*mut sys::rd_kafka_conf_t),
) -> Result<NonNull<sys::rd_kafka_t>, Error> {
    let operation = "failed to make a Kafka client";
    let invalid = RDKafkaErrorCode::InvalidArgument;
    let native =
        config.create_native_config().map_err(|error| Error::local(operation, invalid, error.to_string()))?;
    let mut text: [c_char; ERROR_LENGTH] = [0; ERROR_LENGTH];
    // SAFETY: the duplicate is ours until `rd_kafka_new` takes it, which it does only on success; the text has room for
    // the length that is given.
    unsafe {
        let conf = sys::rd_kafka_conf_dup(native.ptr());
        sys::rd_kafka_conf_set_log_cb(conf, Some(logged));
        prepare(conf);
        let client = sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len());
        NonNull::new(client).ok_or_else(|| {
            sys::rd_kafka_conf_destroy(conf);
            Error::local(operation, invalid, CStr::from_ptr(text.as_ptr()).to_string_lossy())
        })
    }
}

/// What the callbacks need and leave behind. They run inside calls on the consumer's own thread.
#[derive(Default)]
struct Callbacks {
    lent: Cell<Option<(*mut dyn RebalanceHandler, *const Consumer)>>,
    fatal: RefCell<Option<String>>,
    queues: Cell<Queues>,
}

impl HoldsQueues for Callbacks {
    fn queues(&self) -> &Cell<Queues> {
        &self.queues
    }
}

unsafe extern "C" fn rebalanced(
    _client: *mut sys::rd_kafka_t,
    code: sys::rd_kafka_resp_err_t,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes the opaque that was set at creation and a living list.
    let (callbacks, listed) = unsafe { (&*opaque.cast::<Callbacks>(), list::read(partitions)) };
    let partitions: Vec<i32> = listed.into_iter().map(|(position, _)| position.partition).collect();
    let Some((handler, consumer)) = callbacks.lent.get() else {
        tracing::error!("a rebalance came outside of a poll");
        return;
    };
    // SAFETY: `with_handler` lent both for the time of the call inside which this runs.
    let (handler, consumer) = unsafe { (&mut *handler, &*consumer) };
    let answer = if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        handler.assigned(consumer, &partitions);
        let answer = consumer.assign(&[]);
        consumer.hasten_join();
        answer
    } else {
        let fetched = handler.revoked(consumer, &partitions, consumer.is_assignment_lost());
        consumer.unassign(&fetched)
    };
    if let Err(error) = answer {
        tracing::error!(%error, ?partitions, "failed to answer a rebalance");
    }
}

unsafe extern "C" fn failed(
    client: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a C string and the opaque that was set at creation.
    let (callbacks, reason) =
        unsafe { (&*opaque.cast::<Callbacks>(), CStr::from_ptr(reason).to_string_lossy()) };
    let mut text: [c_char; ERROR_LENGTH] = [0; ERROR_LENGTH];
    // SAFETY: the client is alive in its own callback; the text has room for the length that is given.
    let fatal = unsafe { sys::rd_kafka_fatal_error(client, text.as_mut_ptr(), text.len()) };
    if fatal == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        tracing::debug!(code, %reason, "the consumer reports an error");
    } else {
        *callbacks.fatal.borrow_mut() = Some(reason.into_owned());
    }
}

unsafe extern "C" fn logged(
    _client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: librdkafka passes C strings.
    let (facility, text) =
        unsafe { (CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(text).to_string_lossy()) };
    // Connections that come and go are librdkafka's own business: what matters to a user is said by the pump.
    if level <= SYSLOG_CRITICAL {
        tracing::error!(target: "librdkafka", %facility, "{text}");
    } else {
        tracing::debug!(target: "librdkafka", %facility, "{text}");
    }
}

fn first_error(operation: &'static str, list: &List) -> Result<(), Error> {
    list.elements().into_iter().try_for_each(|(_, code)| Error::check_code(operation, code))
}

const ERROR_LENGTH: usize = 512;
/// A third of the time between heartbeats.
const WAKE_EVERY: Duration = Duration::from_millis(100);

/// `RD_KAFKA_PARTITION_UA`, which the bindings leave out: the topic as a whole.
const PARTITION_UNASSIGNED: i32 = -1;
const SYSLOG_CRITICAL: c_int = 2;
