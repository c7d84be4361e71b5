//! What of the published document is of interest in a status.

use serde_json::Value;

use crate::resource::{InsightsSummary, Popular};

/// A published document, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The revision under which the workers count.
    pub revision: i64,
    /// The headline numbers.
    pub summary: InsightsSummary,
    /// What is lost, in a few words; empty when nothing is.
    pub gaps: String,
    /// Whether it is counted again after a loss of Redis.
    pub rebuilding: bool,
}

impl Document {
    /// Reads a document; none where it is not Rollcall's.
    pub fn read(json: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(json).ok()?;
        let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_i64);
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        let mut summary = InsightsSummary {
            logins: number("/records/logins")?,
            processed: number("/records/processed")?,
            dead_letters: number("/records/dead_letters/total").unwrap_or(0),
            peak_hour: number("/logins/peak_hour/hour").and_then(|hour| i32::try_from(hour).ok()),
            published_time: text("/published_at").unwrap_or_default().to_owned(),
            ..InsightsSummary::default()
        };
        let popular = document.get("most_popular").and_then(Value::as_object);
        for (dimension, popular) in popular.into_iter().flatten().take(DIMENSIONS_MAX) {
            let value = popular.get("value").and_then(Value::as_str);
            let logins = popular.get("logins").and_then(Value::as_i64);
            if let (Some(value), Some(logins)) = (value, logins) {
                let popular = Popular { value: value.to_owned(), logins };
                summary.most_popular.insert(dimension.clone(), popular);
            }
        }
        Some(Self {
            revision: number("/revision").unwrap_or(0),
            summary,
            gaps: gaps(document.get("gaps").and_then(Value::as_array).map_or(&[], Vec::as_slice)),
            rebuilding: document.get("rebuilding").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// `500 records: partition 0 from 120 to 500 (retention), and 2 more`.
fn gaps(gaps: &[Value]) -> String {
    let number = |gap: &Value, name| gap.get(name).and_then(Value::as_i64).unwrap_or(0);
    let Some(first) = gaps.first() else {
        return String::new();
    };
    let records: i64 = gaps.iter().map(|gap| number(gap, "to") - number(gap, "from")).sum();
    let reason = first.get("reason").and_then(Value::as_str).unwrap_or("unknown");
    let more = if gaps.len() > 1 { format!(", and {} more", gaps.len() - 1) } else { String::new() };
    format!(
        "{records} offsets: partition {} from {} to {} ({reason}){more}",
        number(first, "partition"),
        number(first, "from"),
        number(first, "to"),
    )
}

/// Bounds the status; a resource has no more dimensions.
const DIMENSIONS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_the_contract_shows_it() {
        let json = r#"{"schema": 1, "revision": 3, "published_at": "2026-11-22T05:00:00.123Z",
            "gaps": [{"partition": 0, "from": 120, "to": 500, "reason": "retention"},
                     {"partition": 1, "from": 1, "to": 3, "reason": "unreadable"}],
            "records": {"read": 2040, "logins": 2000, "processed": 480, "dead_letters": {"total": 40}},
            "logins": {"peak_hour": {"hour": 20, "logins": 181}},
            "most_popular": {"device_type": {"value": "android", "logins": 1203}, "locale": null}}"#;
        let document = Document::read(json).unwrap();
        assert_eq!((document.revision, document.rebuilding), (3, false));
        assert_eq!(document.gaps, "382 offsets: partition 0 from 120 to 500 (retention), and 1 more");
        let summary = document.summary;
        assert_eq!((summary.logins, summary.processed, summary.dead_letters), (2000, 480, 40));
        assert_eq!(summary.peak_hour, Some(20));
        assert_eq!(summary.most_popular.len(), 1);
        assert_eq!(Document::read("[]"), None);
    }
}
