//! What a worker says of itself every five seconds, in the public hash `workers`.
//!
//! Owns the report's form and when a worker counts as gone. It never reads a clock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::rfc3339;

/// A worker's report as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When it was made.
    pub time: String,
    /// The same in milliseconds since 1970.
    pub time_ms: i64,
    /// The partitions that the worker acts for.
    pub partitions: Vec<i32>,
    /// Source records a second.
    pub records_per_second: f64,
    /// Since when the worker runs, in milliseconds since 1970; none from a worker that did not say so yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Share of the time in which the worker worked, or waited for its producer.
    pub busy: f64,
    /// Share of the time in which it waited for its producer, or for Redis with all partitions paused; none from a worker that
    /// did not say so yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<f64>,
    /// Next source offsets.
    pub positions: BTreeMap<i32, i64>,
    /// Last stable offsets of the source topic.
    pub log_ends: BTreeMap<i32, i64>,
    /// Up to when each partition's logins are counted, in milliseconds since 1970.
    pub through_ms: BTreeMap<i32, i64>,
}

impl Report {
    /// A report of this moment that says nothing yet.
    pub fn at(time_ms: i64) -> Self {
        Self {
            time: rfc3339(time_ms),
            time_ms,
            partitions: Vec::new(),
            records_per_second: 0.0,
            since_ms: None,
            busy: 0.0,
            blocked: None,
            positions: BTreeMap::new(),
            log_ends: BTreeMap::new(),
            through_ms: BTreeMap::new(),
        }
    }

    /// Reads a stored report; none where it is no report.
    pub fn parse(stored: &str) -> Option<Self> {
        serde_json::from_str(stored).ok()
    }

    /// The report as it is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data is JSON")
    }

    /// How old it is; one from the future is new.
    pub fn age(&self, now_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(now_ms.saturating_sub(self.time_ms)).unwrap_or(0))
    }

    /// Whether its worker is gone.
    pub fn is_of_the_gone(&self, now_ms: i64) -> bool {
        self.age(now_ms) >= GONE_AFTER
    }
}

/// A worker without a report for so long is gone.
pub const GONE_AFTER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_written_and_grows_old() {
        let report =
            Report { partitions: vec![2], positions: BTreeMap::from([(2, i64::MAX)]), ..Report::at(1_000) };
        let read = Report::parse(&report.to_json()).unwrap();
        assert_eq!(read, report);
        assert!(!read.is_of_the_gone(30_999));
        assert!(read.is_of_the_gone(31_000));
        assert_eq!(read.age(-5), Duration::ZERO);
        assert_eq!(Report::parse("{}"), None);
    }

    #[test]
    fn a_report_of_an_older_worker_is_read() {
        let older = r#"{"time":"","time_ms":1,"partitions":[],"records_per_second":0.0,"busy":0.0,"positions":{},
            "log_ends":{},"through_ms":{}}"#;
        let read = Report::parse(older).unwrap();
        assert_eq!((read.since_ms, read.blocked), (None, None));
    }
}
