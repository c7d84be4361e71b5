//! What goes to Kafka for a record: an output record, a dead letter, or nothing.
//!
//! Owns the bytes, headers and places of produced records. It never begins, commits or aborts a transaction.

use std::cell::OnceCell;
use std::ffi::CStr;

use insights::record::{Key, Login, Rejection};

use super::run::Run;
use crate::client::{Error, Headers, Message, Outgoing, Producer, Topic};
use crate::clock::now_ms;
use crate::crash::{self, Point};
use crate::protocol::delivery::{DeadLetterForm, Form, OUTPUT_REFUSED};
use crate::protocol::progress::{Gap, UNDELIVERABLE};

/// Where records go, and the buffers in which they are made.
pub(crate) struct Delivery {
    output: Destination,
    dead_letters: Destination,
    source_topic: String,
    value: Vec<u8>,
    key: Vec<u8>,
    source: Vec<u8>,
    /// What was produced in the open transaction, by [`Outgoing::origin`].
    pub(crate) produced: Vec<Produced>,
}

/// A topic and its number of partitions.
#[derive(Clone)]
pub(crate) struct Destination {
    /// Its name.
    pub(crate) name: String,
    /// Its partitions.
    pub(crate) partitions: i32,
}

impl Destination {
    /// Which of its partitions takes the records of a source partition.
    pub(crate) fn partition_of(&self, source: i32) -> i32 {
        source % self.partitions
    }
}

/// Topic handles of the producer at hand.
pub(crate) struct Topics {
    pub(super) output: Topic,
    /// Made with the first dead letter: librdkafka looks at every partition of its topics whenever it wakes.
    dead_letters: OnceCell<Topic>,
}

/// One produced record of the open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Produced {
    /// The source partition.
    pub(crate) partition: i32,
    /// The source offset.
    pub(crate) offset: i64,
    /// Whether it went to the output topic.
    pub(crate) output: bool,
}

/// Why a record goes to the dead letters.
struct Cause<'a> {
    reason: &'static str,
    field: Option<&'a str>,
}

impl Delivery {
    /// Deliveries of one worker.
    pub(crate) fn new(source_topic: &str, output: Destination, dead_letters: Destination) -> Self {
        Self {
            output,
            dead_letters,
            source_topic: source_topic.to_owned(),
            value: Vec::new(),
            key: Vec::new(),
            source: Vec::new(),
            produced: Vec::new(),
        }
    }

    /// Handles of the topics of a new producer.
    pub(crate) fn topics(&self, producer: &Producer) -> Topics {
        Topics { output: producer.topic(&self.output.name), dead_letters: OnceCell::new() }
    }

    /// How long the value of the latest output is; 0 when it was there already.
    pub(crate) fn output_bytes(&self) -> u64 {
        self.value.len() as u64
    }

    /// Delivers a login that passed the filter.
    pub(crate) fn output(
        &mut self,
        producer: &Producer,
        topics: &Topics,
        run: &mut Run,
        message: Message<'_>,
        login: &Login<'_>,
    ) -> Result<(), Error> {
        if message.offset() < run.tails.output {
            self.value.clear();
            return Ok(());
        }
        let form = run.forms.get(&message.offset()).copied().unwrap_or(Form::Regular);
        if form != Form::Regular {
            run.delivery.output_refused += 1;
            let cause = Cause { reason: OUTPUT_REFUSED, field: None };
            return self.dead_letter(producer, topics, run, message, &cause, form);
        }
        let origin = self.note(run, message, true);
        self.value.clear();
        login.write_output(&mut self.value);
        self.key.clear();
        let key = match login.output_key(&mut self.key) {
            Key::Source => message.key(),
            Key::Value(value) => Some(value),
            Key::Null => None,
        };
        write_source(&mut self.source, run, message);
        let mut headers = Headers::of(message);
        headers.add(SOURCE, &self.source);
        producer.produce(Outgoing {
            topic: &topics.output,
            partition: self.output.partition_of(message.partition()),
            key,
            value: Some(&self.value),
            timestamp_ms: message.timestamp_ms(),
            headers,
            origin,
        })?;
        crash::point(Point::Produced);
        Ok(())
    }

    /// Delivers a record that is no login.
    pub(crate) fn rejection(
        &mut self,
        producer: &Producer,
        topics: &Topics,
        run: &mut Run,
        message: Message<'_>,
        rejection: Rejection<'_>,
    ) -> Result<(), Error> {
        let form = match run.forms.get(&message.offset()) {
            None | Some(Form::Regular) => Form::DeadLetter(DeadLetterForm::default()),
            Some(form) => *form,
        };
        let cause = Cause { reason: rejection.reason.code(), field: rejection.field };
        self.dead_letter(producer, topics, run, message, &cause, form)
    }

    fn dead_letter(
        &mut self,
        producer: &Producer,
        topics: &Topics,
        run: &mut Run,
        message: Message<'_>,
        cause: &Cause<'_>,
        form: Form,
    ) -> Result<(), Error> {
        if message.offset() < run.tails.dead_letters {
            return Ok(());
        }
        let Form::DeadLetter(form) = form else {
            run.delivery.undeliverable += 1;
            let (from, to) = (message.offset(), message.offset() + 1);
            run.pending_gaps.push(Gap { from, to, reason: UNDELIVERABLE.to_owned() });
            return Ok(());
        };
        write_source(&mut self.source, run, message);
        let mut headers = if form.bare { Headers::default() } else { Headers::of(message) };
        self.describe(&mut headers, message, cause);
        let mut timestamp_ms = message.timestamp_ms();
        if form.time_now {
            timestamp_ms = now_ms();
        }
        let (mut key, mut value) = (message.key(), message.value());
        if form.bare {
            headers.add(OMITTED, b"value,headers,key");
            (key, value) = (None, None);
        } else {
            if form.time_now {
                headers.add(TIMESTAMP, message.timestamp_ms().to_string().as_bytes());
            }
            if form.without_value {
                headers.add(VALUE_OMITTED, value.map_or(0, <[u8]>::len).to_string().as_bytes());
                value = None;
            }
        }
        let origin = self.note(run, message, false);
        producer.produce(Outgoing {
            topic: topics.dead_letters.get_or_init(|| producer.topic(&self.dead_letters.name)),
            partition: self.dead_letters.partition_of(message.partition()),
            key,
            value,
            timestamp_ms,
            headers,
            origin,
        })?;
        Ok(())
    }

    /// Notes what is produced next, so that its refusal is known for its own. Returns its origin.
    fn note(&mut self, run: &Run, message: Message<'_>, output: bool) -> usize {
        self.produced.push(Produced { partition: run.partition, offset: message.offset(), output });
        self.produced.len() - 1
    }

    /// Adds the reason in the words of Rollcall and of existing dead-letter tools (Kafka Connect; KIP-1034). Never a piece
    /// of the record itself.
    fn describe(&self, headers: &mut Headers, message: Message<'_>, cause: &Cause<'_>) {
        let partition = message.partition().to_string();
        let offset = message.offset().to_string();
        let text = match cause.field {
            Some(field) => format!("{}: {field}", cause.reason),
            None => cause.reason.to_owned(),
        };
        headers.add(REASON, cause.reason.as_bytes());
        if let Some(field) = cause.field {
            headers.add(FIELD, field.as_bytes());
        }
        headers.add(SOURCE, &self.source);
        headers.add(c"__connect.errors.topic", self.source_topic.as_bytes());
        headers.add(c"__connect.errors.partition", partition.as_bytes());
        headers.add(c"__connect.errors.offset", offset.as_bytes());
        headers.add(c"__connect.errors.stage", b"VALUE_CONVERTER");
        headers.add(c"__connect.errors.exception.class.name", EXCEPTION);
        headers.add(c"__connect.errors.exception.message", text.as_bytes());
        headers.add(c"__streams.errors.topic", self.source_topic.as_bytes());
        headers.add(c"__streams.errors.partition", partition.as_bytes());
        headers.add(c"__streams.errors.offset", offset.as_bytes());
        headers.add(c"__streams.errors.exception", EXCEPTION);
        headers.add(c"__streams.errors.message", text.as_bytes());
    }
}

/// Writes `<incarnation>:<partition>:<offset>`.
fn write_source(into: &mut Vec<u8>, run: &Run, message: Message<'_>) {
    into.clear();
    let mut number = itoa::Buffer::new();
    into.extend_from_slice(run.incarnation.as_bytes());
    into.push(b':');
    into.extend_from_slice(number.format(message.partition()).as_bytes());
    into.push(b':');
    into.extend_from_slice(number.format(message.offset()).as_bytes());
}

/// The header that says where a record comes from.
pub(crate) const SOURCE: &CStr = c"rollcall-source";

const REASON: &CStr = c"rollcall-reason";
const FIELD: &CStr = c"rollcall-field";
const VALUE_OMITTED: &CStr = c"rollcall-value-omitted";
const TIMESTAMP: &CStr = c"rollcall-timestamp";
const OMITTED: &CStr = c"rollcall-omitted";
const EXCEPTION: &[u8] = b"dev.rollcall.InvalidRecord";
