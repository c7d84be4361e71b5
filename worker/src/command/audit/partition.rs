//! One source partition against both topics: every record delivered once, in order, as the specification of its offset says.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;
use insights::record::{Key, Rejection, Scratch};
use insights::state::PartitionState;

use super::differences::Differences;
use super::sink::{Delivered, Sink};
use crate::command::reader::{Reader, Record};
use crate::protocol::delivery::OUTPUT_REFUSED;
use crate::protocol::progress::{Gap, UNDELIVERABLE};
use crate::revision::{Compiled, Timeline};

/// What is known of a partition before its records are read.
pub(super) struct Subject {
    pub(super) partition: i32,
    /// All source records below this offset are audited.
    pub(super) position: i64,
    pub(super) timeline: Timeline,
    pub(super) gaps: Vec<Gap>,
    pub(super) source: Reader,
    pub(super) output: Sink,
    pub(super) dead_letters: Sink,
}

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) records: u64,
    pub(super) outputs: u64,
    pub(super) dead_letters: u64,
    pub(super) refused: u64,
    /// Deliveries that the sinks' own retention may have deleted.
    pub(super) unprovable: u64,
}

/// What the specification says of a record.
enum Expected {
    Output { key: Option<Vec<u8>>, value: Vec<u8> },
    DeadLetter { reason: &'static str, field: Option<String> },
    Nothing,
}

/// Reads the partition and both sinks side by side; returns what must be counted of it.
pub(super) fn audit(subject: &mut Subject, found: &mut Differences) -> Result<(PartitionState, Counted)> {
    let mut upcoming = std::mem::take(&mut subject.timeline.upcoming);
    let mut compiled = Arc::clone(&subject.timeline.current);
    let mut state = PartitionState::new(Arc::clone(&compiled.layout));
    let mut counted = Counted::default();
    let mut scratch = Scratch::default();
    while let Some(record) = subject.source.next()? {
        if record.offset >= subject.position {
            break;
        }
        enter(record.offset, &mut upcoming, &mut compiled, &mut state);
        counted.records += 1;
        let expected = expect(&compiled, &mut scratch, &record, &mut state)?;
        compare(subject, &record, expected, &mut counted, found)?;
    }
    // What is left names offsets that were passed, or that lie beyond what is audited.
    for sink in [&mut subject.output, &mut subject.dead_letters] {
        while let Some((delivered, place)) = sink.take()? {
            if delivered.source_offset < subject.position {
                found.add(stray(subject.partition, delivered.source_offset, &place));
            }
        }
        for line in std::mem::take(&mut sink.unmarked) {
            found.add(line);
        }
    }
    Ok((state, counted))
}

fn enter(
    offset: i64,
    upcoming: &mut VecDeque<(i64, Arc<Compiled>)>,
    compiled: &mut Arc<Compiled>,
    state: &mut PartitionState,
) {
    while upcoming.front().is_some_and(|(first, _)| *first <= offset) {
        if let Some((_, next)) = upcoming.pop_front() {
            state.adopt(Arc::clone(&next.layout));
            *compiled = next;
        }
    }
}

fn expect(
    compiled: &Compiled,
    scratch: &mut Scratch,
    record: &Record,
    state: &mut PartitionState,
) -> Result<Expected> {
    match &compiled.decoder.decode(scratch, record.value.as_deref(), record.timestamp_ms) {
        Ok(login) => {
            state.count_login(login.counted())?;
            if !login.processed {
                return Ok(Expected::Nothing);
            }
            let (mut value, mut buffer) = (Vec::new(), Vec::new());
            login.write_output(&mut value);
            let key = match login.output_key(&mut buffer) {
                Key::Source => record.key.clone(),
                Key::Value(key) => Some(key.to_vec()),
                Key::Null => None,
            };
            Ok(Expected::Output { key, value })
        }
        Err(Rejection { reason, field, .. }) => {
            state.count_dead_letter(*reason);
            Ok(Expected::DeadLetter { reason: reason.code(), field: field.map(str::to_owned) })
        }
    }
}

fn compare(
    subject: &mut Subject,
    record: &Record,
    expected: Expected,
    counted: &mut Counted,
    found: &mut Differences,
) -> Result<()> {
    let (partition, offset) = (subject.partition, record.offset);
    let output = matching(&mut subject.output, partition, offset, found)?;
    let letter = matching(&mut subject.dead_letters, partition, offset, found)?;
    let name = format!("source {partition}@{offset}");
    let undeliverable =
        subject.gaps.iter().any(|gap| gap.reason == UNDELIVERABLE && (gap.from..gap.to).contains(&offset));
    match expected {
        Expected::Output { key, value } => {
            if let Some((delivered, place)) = output {
                counted.outputs += 1;
                compare_output(&name, record, (&key, &value), &delivered.record, &place, found);
                if let Some((_, place)) = letter {
                    found.add(format!("{name}: was produced, and is a dead letter too ({place})"));
                }
            } else if let Some((delivered, place)) = letter {
                counted.refused += 1;
                compare_letter(&name, record, (OUTPUT_REFUSED, None), &delivered.record, &place, found);
            } else if undeliverable {
                counted.refused += 1;
            } else if subject.output.may_be_deleted(offset) {
                counted.unprovable += 1;
            } else {
                found.add(format!("{name}: passed the filter and is missing from the output topic"));
            }
        }
        Expected::DeadLetter { reason, field } => {
            if let Some((_, place)) = output {
                found.add(format!("{name}: is no login ({reason}), and was produced ({place})"));
            }
            if let Some((delivered, place)) = letter {
                counted.dead_letters += 1;
                compare_letter(&name, record, (reason, field.as_deref()), &delivered.record, &place, found);
            } else if undeliverable {
                // Counted, and known to have no place.
            } else if subject.dead_letters.may_be_deleted(offset) {
                counted.unprovable += 1;
            } else {
                found.add(format!("{name}: is no login ({reason}) and is missing from the dead letters"));
            }
        }
        Expected::Nothing => {
            for (_, place) in output.into_iter().chain(letter) {
                found.add(format!("{name}: did not pass the filter, and was delivered ({place})"));
            }
        }
    }
    Ok(())
}

/// The sink's record of this offset. Records of lower offsets stand where they must not.
fn matching(
    sink: &mut Sink,
    partition: i32,
    offset: i64,
    found: &mut Differences,
) -> Result<Option<(Delivered, String)>> {
    while sink.next_offset().is_some_and(|next| next < offset) {
        if let Some((delivered, place)) = sink.take()? {
            found.add(stray(partition, delivered.source_offset, &place));
        }
    }
    if sink.next_offset() == Some(offset) { sink.take() } else { Ok(None) }
}

fn stray(partition: i32, offset: i64, place: &str) -> String {
    format!(
        "source {partition}@{offset}: is delivered twice, out of order, or without a source record ({place})"
    )
}

fn compare_output(
    name: &str,
    record: &Record,
    (key, value): (&Option<Vec<u8>>, &Vec<u8>),
    delivered: &Record,
    place: &str,
    found: &mut Differences,
) {
    if delivered.value.as_ref() != Some(value) {
        found.add(format!("{name}: the value of its output differs ({place})"));
    }
    if delivered.key != *key {
        found.add(format!("{name}: the key of its output differs ({place})"));
    }
    compare_envelope(name, record, delivered, place, found);
    if delivered.headers.len() != record.headers.len() + 1 {
        found.add(format!(
            "{name}: its output has other headers than its source and `rollcall-source` ({place})"
        ));
    }
}

fn compare_letter(
    name: &str,
    record: &Record,
    (reason, field): (&str, Option<&str>),
    delivered: &Record,
    place: &str,
    found: &mut Differences,
) {
    let header = |wanted: &str| {
        let found = delivered.headers.iter().rev().find(|(name, _)| name == wanted);
        found.and_then(|(_, value)| value.as_deref())
    };
    if header("rollcall-reason") != Some(reason.as_bytes())
        || header("rollcall-field") != field.map(str::as_bytes)
    {
        let field = field.map_or_else(String::new, |field| format!(" of `{field}`"));
        found.add(format!("{name}: its dead letter must say {reason}{field} ({place})"));
    }
    if header("rollcall-omitted").is_some() {
        return;
    }
    if header("rollcall-value-omitted").is_none() && delivered.value != record.value {
        found.add(format!("{name}: the value of its dead letter differs ({place})"));
    }
    if delivered.key != record.key {
        found.add(format!("{name}: the key of its dead letter differs ({place})"));
    }
    if header("rollcall-timestamp").is_some() {
        let mut as_sent = delivered.clone();
        as_sent.timestamp_ms = record.timestamp_ms;
        compare_envelope(name, record, &as_sent, place, found);
    } else {
        compare_envelope(name, record, delivered, place, found);
    }
}

/// The timestamp, and the source's own headers in front.
fn compare_envelope(name: &str, record: &Record, delivered: &Record, place: &str, found: &mut Differences) {
    if delivered.timestamp_ms != record.timestamp_ms && !delivered.has_broker_time {
        found.add(format!(
            "{name}: its timestamp was {}, now {} ({place})",
            record.timestamp_ms, delivered.timestamp_ms
        ));
    }
    if !delivered.headers.starts_with(&record.headers) {
        found.add(format!("{name}: the headers of its source were changed ({place})"));
    }
}
