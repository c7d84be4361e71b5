//! Owns the verdict on one source record: output, filtered or dead letter, and what is counted of it. Never
//! looks at another record, a clock or a service.

use std::collections::BTreeMap;

use super::decimal::Decimal;
use super::json::{self, Document, Kind};
use super::settings::{Fold, Settings, SourceRecord, TimestampUnit};
use super::{filter, splice};

/// What becomes of a record, and what is counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Where the record goes.
    pub verdict: Verdict,
    /// What the insights count; `None` for a dead letter.
    pub counted: Option<Counted>,
}

/// Where a record goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// To the output topic.
    Output {
        /// The output record's key.
        key: Option<Vec<u8>>,
        /// The output record's value.
        value: Vec<u8>,
    },
    /// Nowhere: a login that does not pass the filter.
    Filtered,
    /// To the dead-letter topic.
    DeadLetter {
        /// The reason's code.
        reason: &'static str,
        /// The field that is to blame, where a reason names one.
        field: Option<String>,
    },
}

/// What the insights count of one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The event's time in seconds since 1970-01-01T00:00:00Z, floored.
    pub time_seconds: i64,
    /// A value for each dimension, folded, with `~unknown` and `~other` in place.
    pub dimensions: Vec<String>,
    /// A value for each unique field; `None` where it is absent or empty.
    pub unique: Vec<Option<String>>,
}

/// A value that a configured field has, after the defaults. `null` is no value.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) kind: Kind,
    /// The unescaped text of a string; the JSON text of anything else.
    pub(super) text: String,
}

pub(super) type Values = BTreeMap<String, Value>;

/// Judges one record.
pub fn judge(settings: &Settings, record: &SourceRecord) -> Judged {
    match read_login(settings, record) {
        Ok(login) => {
            let verdict = if filter::passes(settings, &login.values) {
                Verdict::Output {
                    key: splice::key(settings, record, &login),
                    value: splice::value(settings, &login),
                }
            } else {
                Verdict::Filtered
            };
            Judged { verdict, counted: Some(count(settings, &login)) }
        }
        Err(Refusal { reason, field }) => {
            Judged { verdict: Verdict::DeadLetter { reason, field }, counted: None }
        }
    }
}

/// A valid login.
pub(super) struct Login<'a> {
    pub(super) text: &'a str,
    pub(super) document: Document,
    pub(super) values: Values,
    pub(super) time_seconds: i64,
}

struct Refusal {
    reason: &'static str,
    field: Option<String>,
}

fn read_login<'a>(settings: &Settings, record: &'a SourceRecord) -> Result<Login<'a>, Refusal> {
    let whole = |reason| Refusal { reason, field: None };
    let bytes = record.value.as_deref().ok_or_else(|| whole("not_json"))?;
    if bytes.len() > settings.max_record_bytes {
        return Err(whole("too_large"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole("not_utf8"))?;
    let document = json::read(text).ok_or_else(|| whole("not_json"))?;
    let values = read_values(settings, text, &document).ok_or_else(|| whole("not_json"))?;
    if document.kind != Kind::Object {
        return Err(whole("not_an_object"));
    }
    check_fields(settings, &document, &values)?;
    let time_ms = event_time_ms(settings, record, &values)?;
    Ok(Login { text, document, values, time_seconds: time_ms.div_euclid(1000) })
}

/// What the configured fields hold; `None` when one of them is a string with a lone surrogate.
fn read_values(settings: &Settings, text: &str, document: &Document) -> Option<Values> {
    let configured = settings.configured_fields();
    let mut values = Values::new();
    for member in &document.members {
        let Some(name) = member.name.as_deref().filter(|name| configured.contains(name)) else {
            continue;
        };
        let json_text = text.get(member.value.clone()).expect("the reader's places are in the text");
        let value_text = match member.kind {
            Kind::Null => continue,
            Kind::Text => json::unescape(json_text)?,
            _ => json_text.to_owned(),
        };
        values.insert(name.to_owned(), Value { kind: member.kind, text: value_text });
    }
    for (name, default) in &settings.defaults {
        values.entry(name.clone()).or_insert_with(|| Value { kind: Kind::Text, text: default.clone() });
    }
    Some(values)
}

/// All reasons of single fields but those of time, each for all fields before the next one.
fn check_fields(settings: &Settings, document: &Document, values: &Values) -> Result<(), Refusal> {
    let refusal = |reason, field: &str| Err(Refusal { reason, field: Some(field.to_owned()) });
    for field in settings.configured_fields() {
        let named = document.members.iter().filter(|member| member.name.as_deref() == Some(field));
        if named.count() > 1 {
            return refusal("duplicate_field", field);
        }
    }
    for field in settings.required_fields() {
        if !values.contains_key(field) {
            return refusal("missing_field", field);
        }
    }
    let present = || settings.text_fields().into_iter().filter_map(|field| Some((field, values.get(field)?)));
    for (field, value) in present() {
        let may_be_a_number = field == settings.timestamp_field;
        if value.kind != Kind::Text && !(may_be_a_number && value.kind == Kind::Number) {
            return refusal("wrong_type", field);
        }
    }
    for field in settings.required_fields() {
        if values.get(field).is_some_and(|value| value.text.is_empty()) {
            return refusal("empty_field", field);
        }
    }
    for (field, value) in present() {
        if value.text.len() > TEXT_BYTES_MAX {
            return refusal("field_too_long", field);
        }
    }
    Ok(())
}

fn event_time_ms(settings: &Settings, record: &SourceRecord, values: &Values) -> Result<i64, Refusal> {
    let refusal = |reason| Refusal { reason, field: Some(settings.timestamp_field.clone()) };
    let value = values.get(&settings.timestamp_field).expect("the timestamp is required");
    let number = Decimal::parse(&value.text).ok_or_else(|| refusal("bad_timestamp"))?;
    let unit_ms = match settings.timestamp_unit {
        TimestampUnit::Seconds => 1000,
        TimestampUnit::Milliseconds => 1,
    };
    let time_ms = number.floor().and_then(|units| units.checked_mul(unit_ms));
    let time_ms = time_ms.ok_or_else(|| refusal("timestamp_out_of_range"))?;
    let latest_ms = match record.timestamp_ms {
        -1 => LATEST_MS,
        kafka_ms => kafka_ms.saturating_add(AHEAD_MS_MAX).min(LATEST_MS),
    };
    if time_ms < EARLIEST_MS || time_ms > latest_ms {
        return Err(refusal("timestamp_out_of_range"));
    }
    Ok(time_ms)
}

fn count(settings: &Settings, login: &Login<'_>) -> Counted {
    let text =
        |field: &str| login.values.get(field).map(|value| value.text.clone()).filter(|text| !text.is_empty());
    let dimension_value = |field: &str, fold| match text(field) {
        None => "~unknown".to_owned(),
        Some(value) if value.starts_with('~') => "~other".to_owned(),
        Some(value) => match fold {
            Fold::Keep => value,
            Fold::Lower => value.to_ascii_lowercase(),
            Fold::Upper => value.to_ascii_uppercase(),
        },
    };
    Counted {
        time_seconds: login.time_seconds,
        dimensions: settings.dimensions.iter().map(|each| dimension_value(&each.field, each.fold)).collect(),
        unique: settings.unique.iter().map(|field| text(field)).collect(),
    }
}

/// 2000-01-01T00:00:00Z.
const EARLIEST_MS: i64 = 946_684_800_000;
/// 9999-12-31T23:59:59.999Z.
const LATEST_MS: i64 = 253_402_300_799_999;
const AHEAD_MS_MAX: i64 = 86_400_000;
const TEXT_BYTES_MAX: usize = 256;
