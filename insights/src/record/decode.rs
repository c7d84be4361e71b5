//! From the bytes of a record to a login or a rejection: validation in order of precedence, the filter, what is counted.
//!
//! It never allocates for a record once its scratch has grown, and never keeps anything between records.

use super::Login;
use super::filter;
use super::plan::{Field, Plan};
use super::reason::{Reason, Rejection};
use super::scan::{FIELD_BYTES_MAX, Scanned};
use super::timestamp;
use super::view::{Seen, View};
use crate::spec::PipelineSpec;

/// Decodes the records of one pipeline under one specification.
#[derive(Clone, Debug)]
pub struct Decoder {
    plan: Plan,
}

/// Working memory of a [`Decoder`], used for one record after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    scanned: Scanned,
}

impl Decoder {
    /// Compiles a specification that its own validation has passed. Errors: a requirement of the filter that has no
    /// meaning.
    pub fn new(spec: &PipelineSpec) -> Result<Self, filter::Error> {
        Ok(Self { plan: Plan::new(spec)? })
    }

    /// Decodes one record. `value`: none for a tombstone; `kafka_timestamp_ms`: the record's own, in milliseconds since
    /// 1970-01-01T00:00:00Z, -1 for none. Errors: the first reason, in order of precedence, why it is no login.
    pub fn decode<'a>(
        &'a self,
        scratch: &'a mut Scratch,
        value: Option<&'a [u8]>,
        kafka_timestamp_ms: i64,
    ) -> Result<Login<'a>, Rejection<'a>> {
        let plan = &self.plan;
        let document = read(plan, &mut scratch.scanned, value.unwrap_or_default())
            .map_err(|reason| Rejection { reason, field: None })?;
        if let Some(field) = scratch.scanned.duplicate {
            return Err(Rejection { reason: Reason::DuplicateField, field: Some(&plan.field(field).name) });
        }
        let view = View { plan, scanned: &scratch.scanned, document };
        Ok(Login {
            time_ms: validate(view, kafka_timestamp_ms)?,
            processed: plan.filter.iter().all(|(field, test)| test.passes(view.seen(*field))),
            view,
        })
    }
}

/// Checks the document as a whole and finds its fields.
fn read<'a>(plan: &Plan, scanned: &mut Scanned, value: &'a [u8]) -> Result<&'a str, Reason> {
    if value.len() > plan.record_bytes_max {
        return Err(Reason::TooLarge);
    }
    let document = simdutf8::basic::from_utf8(value).map_err(|_| Reason::NotUtf8)?;
    scanned.read(plan, document)?;
    Ok(document)
}

/// Checks every field; the login's time in milliseconds since 1970-01-01T00:00:00Z.
fn validate(view: View<'_>, kafka_timestamp_ms: i64) -> Result<i64, Rejection<'_>> {
    let timestamp = view.plan.timestamp;
    let moment = moment(view.plan, view.seen(timestamp), kafka_timestamp_ms);
    let mut others = view.scanned.found.iter().enumerate().filter(|(place, _)| *place != timestamp);
    if others.all(|(_, found)| found.is_good_text())
        && let Ok(time_ms) = moment
    {
        return Ok(time_ms);
    }
    validate_each(view, moment)
}

/// The same, field by field, with what is known of the timestamp.
fn validate_each<'a>(view: View<'a>, moment: Result<i64, Reason>) -> Result<i64, Rejection<'a>> {
    let plan = view.plan;
    let mut worst: Option<Rejection<'a>> = None;
    for (place, field) in plan.fields.iter().enumerate() {
        let reason = if place == plan.timestamp { moment.err() } else { fault(field, view.seen(place)) };
        if let Some(reason) = reason
            && worst.is_none_or(|worst| reason < worst.reason)
        {
            worst = Some(Rejection { reason, field: Some(&field.name) });
        }
    }
    match worst {
        Some(rejection) => Err(rejection),
        None => Ok(moment.expect("the timestamp is one of the fields")),
    }
}

/// What is wrong with a field other than the timestamp.
#[inline]
fn fault(field: &Field, seen: Seen<'_>) -> Option<Reason> {
    match seen {
        Seen::Absent => field.is_required.then_some(Reason::MissingField),
        _ if !field.is_text => None,
        Seen::Text("") => field.is_required.then_some(Reason::EmptyField),
        Seen::Text(text) => (text.len() > FIELD_BYTES_MAX).then_some(Reason::FieldTooLong),
        Seen::Number(_) | Seen::Boolean(_) | Seen::Composite(_) => Some(Reason::WrongType),
    }
}

/// The moment that the timestamp field names, in milliseconds since 1970-01-01T00:00:00Z.
#[inline]
fn moment(plan: &Plan, seen: Seen<'_>, kafka_timestamp_ms: i64) -> Result<i64, Reason> {
    match seen {
        Seen::Absent => Err(Reason::MissingField),
        Seen::Boolean(_) | Seen::Composite(_) => Err(Reason::WrongType),
        Seen::Text("") => Err(Reason::EmptyField),
        Seen::Text(text) | Seen::Number(text) if text.len() > FIELD_BYTES_MAX => Err(Reason::FieldTooLong),
        Seen::Text(text) | Seen::Number(text) => timestamp::parse(text, plan.unit, kafka_timestamp_ms),
    }
}
