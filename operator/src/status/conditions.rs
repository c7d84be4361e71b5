//! Conditions: what is so, since when, and why.
//!
//! Owns how a condition changes: its time moves with its status alone. It never decides what is so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The types, in the order in which they are shown.
pub const TYPES: [&str; 10] = [
    "Ready",
    "Reconciling",
    "Stalled",
    "ConfigurationValid",
    "KafkaReachable",
    "RedisReachable",
    "WorkersAvailable",
    "ScalingActive",
    "KeepingUp",
    "DataComplete",
];

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// It is.
    True,
    /// It is not.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl Is {
    /// As Kubernetes writes it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Is {
    fn from(is: bool) -> Self {
        if is { Self::True } else { Self::False }
    }
}

/// What is so of one type, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Whether it is so.
    pub is: Is,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

impl Fact {
    /// A fact.
    pub fn new(is: impl Into<Is>, reason: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self {
            is: is.into(),
            reason: reason.to_owned(),
            message: message.chars().take(MESSAGE_MAX).collect(),
        }
    }
}

/// The conditions of `facts`, by type; what stays as it was keeps its time.
pub fn conditions(
    former: &[Condition],
    facts: &[(&'static str, Fact)],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = Vec::with_capacity(facts.len());
    for (type_, fact) in facts {
        let before = former.iter().find(|condition| condition.type_ == *type_);
        let same = before.filter(|before| before.status == fact.is.text());
        // Seconds: what is written reads back as the same.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        conditions.push(Condition {
            type_: (*type_).to_owned(),
            status: fact.is.text().to_owned(),
            reason: fact.reason.clone(),
            message: fact.message.clone(),
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |before| before.last_transition_time.clone()),
        });
    }
    conditions
}

/// A condition whose status or reason is another than before, in words for an event.
pub fn transitions<'a>(former: &[Condition], now: &'a [Condition]) -> Vec<&'a Condition> {
    let is_news = |condition: &&Condition| {
        let before = former.iter().find(|before| before.type_ == condition.type_);
        match before {
            Some(before) => before.status != condition.status,
            None => condition.status != Is::Unknown.text(),
        }
    };
    now.iter().filter(is_news).collect()
}

/// What a person reads at once; the API's own limit is 32 KiB.
const MESSAGE_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_moves_with_the_status_alone() {
        let facts = |is: Is, message: &str| [("Ready", Fact::new(is, "R", message))];
        let first = conditions(&[], &facts(Is::True, "a"), Some(1), at(10));
        let second = conditions(&first, &facts(Is::True, "b"), Some(2), at(20));
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("b", Some(2)));
        let third = conditions(&second, &facts(Is::False, "b"), Some(2), at(30));
        assert_eq!(third[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn a_transition_is_a_change_of_status() {
        let facts = |is: Is| [("Ready", Fact::new(is, "R", ""))];
        let unknown = conditions(&[], &facts(Is::Unknown), None, at(1));
        assert!(transitions(&[], &unknown).is_empty(), "nobody asked yet");
        let ready = conditions(&unknown, &facts(Is::True), None, at(2));
        assert_eq!(transitions(&unknown, &ready).len(), 1);
        assert!(transitions(&ready, &conditions(&ready, &facts(Is::True), None, at(3))).is_empty());
    }
}
