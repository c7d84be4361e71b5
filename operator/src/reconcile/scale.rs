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
    tracing::debug!(
        replicas = decision.replicas,
        recommended = decision.recommended,
        reason = ?decision.reason,
        lag = decision.figures.lag,
        "decided"
    );
    (state, decision)
}

pub(super) fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
