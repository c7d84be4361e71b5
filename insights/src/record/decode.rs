//! From the bytes of a record to a login or a rejection: validation in order of precedence, the filter, what is counted.
//!
//! It never allocates for a record once its scratch has grown, and never keeps anything between records.

use smallvec::SmallVec;

use super::filter;
use super::plan::{Field, Plan};
use super::reason::{Reason, Rejection};
use super::scan::{Scanned, Span};
use super::timestamp;
use super::view::{Seen, View};
use super::{Counted, Login};
use crate::spec::{Fold, PipelineSpec};

/// Decodes the records of one pipeline under one specification.
#[derive(Clone, Debug)]
pub struct Decoder {
    plan: Plan,
}

/// Working memory of a [`Decoder`], used for one record after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    scanned: Scanned,
    folded: Folded,
}

/// Values of dimensions that folding changed.
#[derive(Debug, Default)]
struct Folded {
    text: String,
    /// The piece of `text` for each dimension; empty where the value stays as it is.
    spans: Vec<Span>,
}

impl Decoder {
    /// Compiles a specification that its own validation has passed. Errors: a requirement of the filter that has no
    /// meaning.
    pub fn new(spec: &PipelineSpec) -> Result<Self, filter::Error> {
        Ok(Self {
            plan: Plan::new(spec)?,
        })
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
            return Err(Rejection {
                reason: Reason::DuplicateField,
                field: Some(&plan.field(field).name),
            });
        }
        let time_ms = validate(
            View {
                plan,
                scanned: &scratch.scanned,
                document,
            },
            kafka_timestamp_ms,
        )?;
        scratch.folded.fold(View {
            plan,
            scanned: &scratch.scanned,
            document,
        });

        let scratch: &'a Scratch = scratch;
        let view = View {
            plan,
            scanned: &scratch.scanned,
            document,
        };
        let counted = Counted {
            time_ms,
            processed: plan
                .filter
                .iter()
                .all(|(field, test)| test.passes(view.seen(*field))),
            dimensions: dimensions(view, &scratch.folded),
            unique: unique(view),
        };
        Ok(Login { counted, view })
    }
}

/// Checks the document as a whole and finds its fields.
fn read<'a>(plan: &Plan, scanned: &mut Scanned, value: &'a [u8]) -> Result<&'a str, Reason> {
    if value.len() > plan.record_bytes_max {
        return Err(Reason::TooLarge);
    }
    let document = std::str::from_utf8(value).map_err(|_| Reason::NotUtf8)?;
    scanned.read(plan, document)?;
    Ok(document)
}

/// Checks every field; the login's time in milliseconds since 1970-01-01T00:00:00Z.
fn validate<'a>(view: View<'a>, kafka_timestamp_ms: i64) -> Result<i64, Rejection<'a>> {
    let mut time_ms = 0;
    let mut worst: Option<Rejection<'a>> = None;
    for (place, field) in view.plan.fields.iter().enumerate() {
        let fault = if place == view.plan.timestamp {
            match moment(view, view.seen(place), kafka_timestamp_ms) {
                Ok(moment_ms) => {
                    time_ms = moment_ms;
                    None
                }
                Err(reason) => Some(reason),
            }
        } else {
            fault(field, view.seen(place))
        };
        if let Some(reason) = fault
            && worst.is_none_or(|worst| reason < worst.reason)
        {
            worst = Some(Rejection {
                reason,
                field: Some(&field.name),
            });
        }
    }
    worst.map_or(Ok(time_ms), Err)
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
fn moment(view: View<'_>, seen: Seen<'_>, kafka_timestamp_ms: i64) -> Result<i64, Reason> {
    match seen {
        Seen::Absent => Err(Reason::MissingField),
        Seen::Boolean(_) | Seen::Composite(_) => Err(Reason::WrongType),
        Seen::Text("") => Err(Reason::EmptyField),
        Seen::Text(text) | Seen::Number(text) if text.len() > FIELD_BYTES_MAX => Err(Reason::FieldTooLong),
        Seen::Text(text) | Seen::Number(text) => timestamp::parse(text, view.plan.unit, kafka_timestamp_ms),
    }
}

impl Folded {
    /// Folds the values of dimensions that folding changes.
    fn fold(&mut self, view: View<'_>) {
        self.text.clear();
        self.spans.clear();
        for (field, fold) in &view.plan.dimensions {
            let start = self.text.len();
            let text = view.seen(*field).text().unwrap_or_default();
            match fold {
                Fold::Lower if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    self.text.push_str(text);
                    self.text
                        .get_mut(start..)
                        .unwrap_or_default()
                        .make_ascii_lowercase();
                }
                Fold::Upper if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                    self.text.push_str(text);
                    self.text
                        .get_mut(start..)
                        .unwrap_or_default()
                        .make_ascii_uppercase();
                }
                Fold::None | Fold::Lower | Fold::Upper => {}
            }
            self.spans.push(Span {
                start,
                end: self.text.len(),
            });
        }
    }
}

/// The value of each dimension as it is counted.
fn dimensions<'a>(view: View<'a>, folded: &'a Folded) -> SmallVec<[&'a str; 8]> {
    let mut values = SmallVec::new();
    for ((field, _), span) in view.plan.dimensions.iter().zip(&folded.spans) {
        let text = match span.of(&folded.text) {
            "" => view.seen(*field).text().unwrap_or_default(),
            changed => changed,
        };
        values.push(match text.as_bytes().first() {
            None => UNKNOWN,
            Some(b'~') => OTHER,
            Some(_) => text,
        });
    }
    values
}

/// The value of each `unique` field.
fn unique(view: View<'_>) -> SmallVec<[Option<&str>; 4]> {
    let mut values = SmallVec::new();
    for field in &view.plan.unique {
        values.push(view.seen(*field).text().filter(|text| !text.is_empty()));
    }
    values
}

/// Longest text of a field that must be a string, in bytes of UTF-8.
const FIELD_BYTES_MAX: usize = 256;

/// What an absent or empty dimension counts as.
const UNKNOWN: &str = "~unknown";

/// What a dimension counts as whose value could be mistaken for one of our own.
const OTHER: &str = "~other";
