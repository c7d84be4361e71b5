//! The settings that a pipeline cannot change once it has counted: another source, or the same one read otherwise, would be
//! another pipeline.
//!
//! Owns which settings these are. It never decides what to do about a difference.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::encode::{start_from, timestamp_unit};
use super::model::PipelineSpec;

/// The settings that are stored with the first state, by path. In JSON an object with sorted keys, always the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(BTreeMap<String, String>);

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The setting, for example `source.topic`.
    pub path: String,
    /// What this worker's configuration says; none where this version does not know the setting.
    pub mine: Option<String>,
    /// What was stored; none where it did not know the setting.
    pub stored: Option<String>,
}

impl PipelineSpec {
    /// The settings that must stay as they are.
    pub fn identity(&self) -> Identity {
        let fields = &self.source.fields;
        let settings = [
            ("kafka.group", self.kafka.group.as_str()),
            ("source.topic", &self.source.topic),
            ("source.startFrom", start_from(self.source.start_from)),
            ("source.timestampUnit", timestamp_unit(self.source.timestamp_unit)),
            ("source.fields.user", &fields.user),
            ("source.fields.timestamp", &fields.timestamp),
            ("source.fields.version", &fields.version),
            ("output.topic", &self.output.topic),
            ("deadLetter.topic", &self.dead_letter.topic),
        ];
        Identity(settings.into_iter().map(|(path, value)| (path.to_owned(), value.to_owned())).collect())
    }
}

impl Identity {
    /// What differs from a stored one, by path.
    pub fn differences(&self, stored: &Self) -> Vec<Difference> {
        let mut paths: Vec<&String> = self.0.keys().chain(stored.0.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut differences = Vec::new();
        for path in paths {
            let (mine, theirs) = (self.0.get(path), stored.0.get(path));
            if mine != theirs {
                differences.push(Difference {
                    path: path.clone(),
                    mine: mine.cloned(),
                    stored: theirs.cloned(),
                });
            }
        }
        differences
    }
}

impl fmt::Display for Difference {
    /// Writes `source.topic is "b" here and "a" in the stored state`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |value: &Option<String>| value.as_ref().map_or("unknown".to_owned(), |text| format!("{text:?}"));
        let (mine, stored) = (shown(&self.mine), shown(&self.stored));
        write!(formatter, "{} is {mine} here and {stored} in the stored state", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read_default;
    use super::*;

    #[test]
    fn it_is_the_same_bytes_of_json_always() {
        let json = serde_json::to_string(&read_default().identity()).unwrap();
        assert_eq!(
            json,
            "{\"deadLetter.topic\":\"user-login-dlq\",\"kafka.group\":\"rollcall.user-login\",\
             \"output.topic\":\"processed-user-login\",\"source.fields.timestamp\":\"timestamp\",\
             \"source.fields.user\":\"user_id\",\"source.fields.version\":\"app_version\",\
             \"source.startFrom\":\"Earliest\",\"source.timestampUnit\":\"Seconds\",\"source.topic\":\"user-login\"}"
        );
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), read_default().identity());
    }

    #[test]
    fn differences_name_both_sides() {
        let stored = read_default();
        let mut mine = stored.clone();
        mine.source.topic = "other".to_owned();
        mine.revision = 2;
        mine.kafka.brokers = vec!["elsewhere:9092".to_owned()];
        let differences = mine.identity().differences(&stored.identity());
        let shown: Vec<String> = differences.iter().map(Difference::to_string).collect();
        assert_eq!(shown, ["source.topic is \"other\" here and \"user-login\" in the stored state"]);
        assert_eq!(stored.identity().differences(&stored.identity()), []);
    }

    #[test]
    fn a_setting_that_one_side_does_not_know_differs() {
        let mine = read_default().identity();
        let mut stored = mine.clone();
        stored.0.remove("kafka.group");
        stored.0.insert("source.cluster".to_owned(), "x".to_owned());
        let paths: Vec<String> =
            mine.differences(&stored).into_iter().map(|difference| difference.path).collect();
        assert_eq!(paths, ["kafka.group", "source.cluster"]);
    }
}
