//! Durations as the custom resource writes them: `60s`.
//!
//! Owns their form in JSON and in the schema. The grammar is the configuration file's.

use std::borrow::Cow;
use std::time::Duration;

use insights::spec::{format_duration, parse_duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written as a whole number with `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Its length in milliseconds.
    pub fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let duration = parse_duration(&text);
        duration.map(Self).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no duration: write a whole number with ms, s, m or h"))
        })
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn settings_read_as_they_are_written_and_refuse_what_is_no_duration() {
        let text = r#"{"maxReplicas": 12, "latencyTarget": "2m", "scaleDown": {"window": "90s"}}"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.latency_target.ms(), 120_000);
        assert_eq!(settings.window_ms(), 90_000);
        assert_eq!(settings.scale_down.max_percent, 100);
        let written = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&written).unwrap(), settings);
        let refused = serde_json::from_str::<Settings>(r#"{"catchUp": "1.5s"}"#).unwrap_err();
        assert!(refused.to_string().contains("is no duration"), "{refused}");
    }
}
