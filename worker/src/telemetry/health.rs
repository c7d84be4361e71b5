//! Whether a worker works, and what it waits for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::clock::now_ms;

/// What a worker cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    /// The source topic and the group.
    Kafka,
    /// The store.
    Redis,
}

/// What is known of a worker's state.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// When the pump last turned, in milliseconds since 1970; 0 before its first turn.
    turned_at_ms: AtomicI64,
    has_joined: AtomicBool,
    away: Mutex<BTreeMap<Service, (i64, String)>>,
}

impl Health {
    /// The pump begins another turn.
    pub(crate) fn turned(&self) {
        self.turned_at_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// The group has given partitions, or none by right.
    pub(crate) fn joined(&self, has_joined: bool) {
        self.has_joined.store(has_joined, Ordering::Relaxed);
    }

    /// What came of the latest question to a service.
    pub(crate) fn answered<T, E: fmt::Display>(&self, service: Service, answer: Result<T, E>) -> Option<T> {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => {
                away.remove(&service);
                Some(answer)
            }
            Err(error) => {
                let since_ms = away.get(&service).map_or_else(now_ms, |(since_ms, _)| *since_ms);
                away.insert(service, (since_ms, error.to_string()));
                None
            }
        }
    }

    /// Whether the pump turns; before its first turn the start is under way, which has no deadline.
    pub(crate) fn is_alive(&self) -> bool {
        let turned_at_ms = self.turned_at_ms.load(Ordering::Relaxed);
        turned_at_ms == 0 || now_ms() - turned_at_ms < TURN_LIMIT_MS
    }

    /// Whether it works, and everything that it waits for.
    pub(crate) fn readiness(&self) -> (bool, Value) {
        let mut waiting = Vec::new();
        for (service, (since_ms, why)) in &*self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            let service = format!("{service:?}").to_lowercase();
            let since = insights::time::rfc3339(*since_ms);
            waiting.push(json!({"for": service, "since": since, "why": why}));
        }
        if !self.has_joined.load(Ordering::Relaxed) {
            waiting.push(json!({"for": "group", "why": "the group has not answered yet"}));
        }
        (waiting.is_empty(), json!({"ready": waiting.is_empty(), "waiting": waiting}))
    }
}

/// Beyond what the watchdog allows, which ends the process.
const TURN_LIMIT_MS: i64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pump_that_stands_still_is_not_alive_but_one_that_has_not_begun_is() {
        let health = Health::default();
        assert!(health.is_alive());
        health.turned();
        assert!(health.is_alive());
        health.turned_at_ms.store(now_ms() - TURN_LIMIT_MS - 1, Ordering::Relaxed);
        assert!(!health.is_alive());
    }

    #[test]
    fn what_is_away_keeps_its_beginning_until_it_answers() {
        let health = Health::default();
        health.joined(true);
        assert!(health.readiness().0);
        for _ in 0..2 {
            assert_eq!(health.answered(Service::Kafka, Err::<(), _>("no route")), None);
        }
        let (is_ready, body) = health.readiness();
        assert!(!is_ready);
        assert_eq!(body.pointer("/waiting/0/why"), Some(&Value::from("no route")));
        assert_eq!(health.answered(Service::Kafka, Ok::<_, &str>(1)), Some(1));
        assert!(health.readiness().0);
    }
}
