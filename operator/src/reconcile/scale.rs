//! From what is there to what scaling looks at.

use k8s_openapi::api::apps::v1::Deployment;

use crate::clock::now_ms;
use crate::observe::{Observed, Reach};
use crate::resource::{DesiredState, Rollcall, StartFrom};
use crate::scaling::{self, Decision, Observation, State};
use crate::status::has_former_pods;

/// Asks the law.
pub(super) fn decide(
    rollcall: &Rollcall,
    deployment: Option<&Deployment>,
    observed: &Observed,
    state: State,
) -> (State, Decision) {
    let spec = &rollcall.spec;
    let workers = deployment.and_then(|deployment| deployment.spec.as_ref());
    let status = deployment.and_then(|deployment| deployment.status.as_ref());
    let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let ready = count(status.and_then(|status| status.ready_replicas));
    let observation = Observation {
        now_ms: now_ms(),
        paused: spec.desired_state == DesiredState::Paused,
        requested: spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()),
        partitions: observed.partitions,
        from_earliest: spec.source.start_from == StartFrom::Earliest,
        offsets: &observed.offsets,
        workers: &observed.workers,
        group_stable: observed.kafka == Reach::Answered
            && observed.members.and_then(|members| u32::try_from(members).ok()) == Some(ready),
        replicas: count(workers.and_then(|workers| workers.replicas)),
        ready,
        rollout: deployment.is_some_and(has_former_pods),
    };
    let (state, decision) = scaling::decide(&spec.scaling, state, &observation);
    if decision.replicas != observation.replicas {
        trace(observation.replicas, &decision);
    }
    (state, decision)
}

/// A span for a step: all that it was made from, and why it was made.
fn trace(from: u32, decision: &Decision) {
    let figures = &decision.figures;
    let span = tracing::info_span!(
        "scale",
        from,
        to = decision.replicas,
        reason = %decision.reason,
        sentence = decision.sentence,
        lag = figures.lag,
        lag_age_ms = figures.lag_age_ms,
        arrival = figures.arrival,
        capacity = figures.capacity,
        hottest = figures.hottest,
        hottest_partition = figures.hottest_partition,
        needed = figures.needed,
        limit = figures.limit.map(tracing::field::display),
    );
    span.in_scope(|| tracing::debug!("decided"));
}

pub(super) fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;
    use crate::scaling::{Offsets, PartitionOffsets};
    use crate::testing::minimal;

    /// The fields of each `scale` span.
    #[derive(Clone, Default)]
    struct Spans(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

    struct Fields(BTreeMap<&'static str, String>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }
    }

    impl<S: tracing::Subscriber> Layer<S> for Spans {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            if attributes.metadata().name() == "scale" {
                let mut fields = Fields(BTreeMap::new());
                attributes.record(&mut fields);
                self.0.lock().unwrap().push(fields.0);
            }
        }
    }

    /// Four partitions that get 1,000 records a second each, for a minute.
    fn observed() -> Observed {
        let mut observed =
            Observed { kafka: Reach::Answered, partitions: Some(4), members: Some(1), ..Observed::default() };
        let now_ms = now_ms();
        for seconds in (0..=60).rev().step_by(10) {
            let end = 1_000_000 - seconds * 1000;
            let partitions = (0..4)
                .map(|partition| PartitionOffsets { partition, end, start: 0, committed: Some(end - 500) })
                .collect();
            observed.offsets.push(Offsets { at_ms: now_ms - seconds * 1000, partitions });
        }
        observed
    }

    #[test]
    fn a_step_is_a_span_that_tells_why_and_what_stays_is_none() {
        let workers = json!({
            "metadata": {"generation": 1},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1},
        });
        let workers: Deployment = serde_json::from_value(workers).unwrap();
        let state = State { capacity: Some(1000), ..State::default() };
        let spans = Spans::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(spans.clone()), || {
            let (state, decision) = decide(&minimal(), Some(&workers), &observed(), state);
            assert_eq!(decision.replicas, 4, "{}", decision.sentence);
            let held = decide(&minimal(), Some(&workers), &Observed::default(), state).1;
            assert_eq!(held.replicas, 1, "{}", held.sentence);
        });
        let spans = spans.0.lock().unwrap();
        let [span] = spans.as_slice() else { panic!("one step is one span: {spans:?}") };
        let expected = [
            ("from", "1"),
            ("to", "4"),
            ("reason", "ScalingUp"),
            ("lag", "2000"),
            ("arrival", "4000.0"),
            ("capacity", "1000.0"),
            ("needed", "4"),
            ("limit", "PartitionBound"),
        ];
        for (field, value) in expected {
            assert_eq!(span.get(field).map(String::as_str), Some(value), "{field} of {span:?}");
        }
        for field in ["sentence", "lag_age_ms", "hottest", "hottest_partition"] {
            assert!(span.contains_key(field), "{field} of {span:?}");
        }
    }
}
