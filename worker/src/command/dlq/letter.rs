//! A dead letter, read back: where it came from, why, and the record that it was.

use crate::command::reader::Record;

/// A dead letter that Rollcall wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// The record as it was in the source topic, as far as the letter holds it.
    pub(super) original: Record,
    /// The source partition.
    pub(super) partition: i32,
    /// The source offset.
    pub(super) offset: i64,
    /// The reason code.
    pub(super) reason: String,
    /// The configured field that is to blame.
    pub(super) field: Option<String>,
    /// Whether something of the record was left out, because the topic would not take it.
    pub(super) is_cut: bool,
}

impl Letter {
    /// Reads a record of the dead-letter topic; none when Rollcall did not write it.
    pub(super) fn read(record: &Record) -> Option<Self> {
        // Rollcall's headers stand behind the record's own; a record that was a dead letter before may have both.
        let own = record.headers.iter().rposition(|(name, _)| name == REASON)?;
        let (before, added) = record.headers.split_at_checked(own)?;
        let text = |wanted: &str| {
            let (_, value) = added.iter().find(|(name, _)| name == wanted)?;
            Some(String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
        };
        let source = text(SOURCE)?;
        let mut parts = source.split(':').skip(1);
        let (partition, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let timestamp = text(TIMESTAMP).and_then(|text| text.parse().ok());
        let original = Record {
            headers: before.to_vec(),
            timestamp_ms: timestamp.unwrap_or(record.timestamp_ms),
            ..record.clone()
        };
        Some(Self {
            original,
            partition,
            offset,
            reason: text(REASON)?,
            field: text(FIELD),
            is_cut: text(VALUE_OMITTED).is_some() || text(OMITTED).is_some(),
        })
    }
}

const REASON: &str = "rollcall-reason";
const FIELD: &str = "rollcall-field";
const SOURCE: &str = "rollcall-source";
const VALUE_OMITTED: &str = "rollcall-value-omitted";
const OMITTED: &str = "rollcall-omitted";
const TIMESTAMP: &str = "rollcall-timestamp";

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> Record {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())));
        Record {
            offset: 9,
            key: Some(b"k".to_vec()),
            value: Some(b"v".to_vec()),
            timestamp_ms: 5,
            has_broker_time: false,
            headers: headers.collect(),
        }
    }

    #[test]
    fn what_rollcall_added_goes_and_what_the_record_had_stays() {
        let letter = Letter::read(&record(&[
            ("a", "1"),
            ("rollcall-reason", "not_json"),
            ("rollcall-source", "1-aa:0:3"),
            ("b", "2"),
            ("rollcall-reason", "missing_field"),
            ("rollcall-field", "user_id"),
            ("rollcall-source", "1-bb:2:77"),
            ("__connect.errors.topic", "user-login"),
            ("rollcall-timestamp", "4"),
        ]))
        .unwrap();
        assert_eq!((letter.partition, letter.offset, letter.reason.as_str()), (2, 77, "missing_field"));
        assert_eq!((letter.field.as_deref(), letter.is_cut), (Some("user_id"), false));
        assert_eq!(letter.original.headers.len(), 4);
        assert_eq!(letter.original.timestamp_ms, 4);
    }

    #[test]
    fn a_foreign_record_is_none_and_a_cut_one_says_so() {
        assert_eq!(Letter::read(&record(&[("rollcall-source", "1-a:0:0")])), None);
        let cut = [("rollcall-reason", "x"), ("rollcall-source", "1-a:0:0"), ("rollcall-value-omitted", "9")];
        assert!(Letter::read(&record(&cut)).unwrap().is_cut);
    }
}
