//! What each condition says.

use k8s_openapi::api::apps::v1::Deployment;

use super::Known;
use super::conditions::{Fact, Is};
use crate::observe::Reach;
use crate::resource::DesiredState;
use crate::scaling::{Mode, Reason};

/// All facts, in the order in which they are shown.
pub(super) fn facts(known: &Known<'_>) -> Vec<(&'static str, Fact)> {
    let workers = Workers::of(known);
    let configuration = configuration(known);
    let kafka = reach(known, "Kafka", &known.observed.kafka);
    let redis = reach(known, "Redis", &known.observed.redis);
    let stalled = stalled(known, &workers);
    let reconciling = reconciling(&stalled, &workers);
    let available = available(&workers);
    let ready = ready(&[&configuration, &kafka, &redis], &stalled, &workers);
    vec![
        ("Ready", ready),
        ("Reconciling", reconciling),
        ("Stalled", stalled),
        ("ConfigurationValid", configuration),
        ("KafkaReachable", kafka),
        ("RedisReachable", redis),
        ("WorkersAvailable", available),
        ("ScalingActive", scaling(known)),
        ("KeepingUp", keeping_up(known)),
        ("DataComplete", data_complete(known)),
    ]
}

/// The workers, in numbers.
struct Workers {
    exist: bool,
    desired: i32,
    ready: i32,
    is_rolling: bool,
    /// What the Deployment's own conditions complain of.
    trouble: Option<(String, String)>,
    is_paused: bool,
}

impl Workers {
    fn of(known: &Known<'_>) -> Self {
        let deployment = known.deployment;
        let spec = deployment.and_then(|deployment| deployment.spec.as_ref());
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        Self {
            exist: deployment.is_some(),
            desired: spec.and_then(|spec| spec.replicas).unwrap_or(0),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            is_rolling: deployment.is_some_and(is_rolling),
            trouble: deployment.and_then(trouble),
            is_paused: known.rollcall.spec.desired_state == DesiredState::Paused,
        }
    }

    fn are_all_ready(&self) -> bool {
        self.exist && !self.is_rolling && self.ready >= self.desired
    }
}

/// Whether pods of an older template are there, or the newest one was not looked at yet.
fn is_rolling(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else {
        return true;
    };
    status.observed_generation < deployment.metadata.generation || has_former_pods(deployment)
}

/// Whether pods of an older template are there. Another number of workers alone is no rollout.
pub fn has_former_pods(deployment: &Deployment) -> bool {
    let status = deployment.status.as_ref();
    status.is_some_and(|status| status.replicas.unwrap_or(0) > status.updated_replicas.unwrap_or(0))
}

fn trouble(deployment: &Deployment) -> Option<(String, String)> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| {
        (condition.type_ == "Progressing" && condition.status == "False")
            || (condition.type_ == "ReplicaFailure" && condition.status == "True")
    })?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some((text(&condition.reason), text(&condition.message)))
}

fn configuration(known: &Known<'_>) -> Fact {
    match known.obstacle {
        Some(obstacle) if obstacle.of_configuration => {
            let kept = if known.deployment.is_some() { " (the last good configuration stays)" } else { "" };
            Fact::new(false, &obstacle.reason, format!("{}{kept}", obstacle.message))
        }
        _ if known.group.is_some() => Fact::new(true, "Accepted", ""),
        _ => Fact::new(Is::Unknown, "NotReadYet", ""),
    }
}

fn reach(known: &Known<'_>, service: &str, reach: &Reach) -> Fact {
    match (reach, known.unasked) {
        (_, Some(why)) => Fact::new(Is::Unknown, "CannotAsk", why),
        (Reach::Unknown, None) => Fact::new(Is::Unknown, "NotAskedYet", ""),
        (Reach::Answered, None) => Fact::new(true, "Answered", ""),
        (Reach::Failed { reason, message }, None) => {
            Fact::new(false, reason, format!("{service}: {message}"))
        }
    }
}

/// What time alone does not mend.
fn stalled(known: &Known<'_>, workers: &Workers) -> Fact {
    if let Some(obstacle) = known.obstacle {
        return Fact::new(true, &obstacle.reason, obstacle.message.clone());
    }
    match &workers.trouble {
        Some((reason, message)) => Fact::new(true, reason_or(reason, "WorkersStuck"), message.clone()),
        None => Fact::new(false, "Progressing", ""),
    }
}

fn reconciling(stalled: &Fact, workers: &Workers) -> Fact {
    if stalled.is == Is::True {
        return Fact::new(false, "Stalled", "");
    }
    if workers.are_all_ready() {
        return Fact::new(false, "AsWritten", "");
    }
    let (ready, desired) = (workers.ready, workers.desired);
    let reason = if workers.is_rolling { "RollingOut" } else { "Starting" };
    Fact::new(true, reason, format!("{ready} of {desired} workers are ready"))
}

fn available(workers: &Workers) -> Fact {
    let (ready, desired) = (workers.ready, workers.desired);
    if !workers.exist {
        return Fact::new(Is::Unknown, "NotMadeYet", "");
    }
    if desired == 0 {
        let reason = if workers.is_paused { "Paused" } else { "NoneWanted" };
        return Fact::new(true, reason, "no worker is wanted");
    }
    if ready >= desired {
        return Fact::new(true, "AllReady", "");
    }
    let why = workers.trouble.as_ref().map(|(_, message)| format!(": {message}")).unwrap_or_default();
    Fact::new(false, "NotReady", format!("{ready} of {desired} workers are ready{why}"))
}

/// The summary: it works, with at least one worker where some are wanted.
fn ready(needs: &[&Fact], stalled: &Fact, workers: &Workers) -> Fact {
    if let Some(missing) = needs.iter().find(|fact| fact.is == Is::False) {
        return Fact::new(false, &missing.reason, missing.message.clone());
    }
    if stalled.is == Is::True {
        return Fact::new(false, &stalled.reason, stalled.message.clone());
    }
    if !workers.exist {
        return Fact::new(Is::Unknown, "Starting", "");
    }
    if workers.desired == 0 && workers.is_paused {
        return Fact::new(true, "Paused", "paused, as the resource says");
    }
    if workers.desired == 0 {
        return Fact::new(true, "Idle", "no worker is needed");
    }
    match workers.ready {
        0 => Fact::new(false, "Starting", format!("none of {} workers is ready", workers.desired)),
        ready if ready < workers.desired => {
            Fact::new(true, "Running", format!("{ready} of {} workers are ready", workers.desired))
        }
        _ => Fact::new(true, "Running", ""),
    }
}

fn scaling(known: &Known<'_>) -> Fact {
    let Some(decision) = known.decision else {
        return Fact::new(Is::Unknown, "NotDecidedYet", "");
    };
    let is = match decision.reason {
        Reason::Paused | Reason::Manual | Reason::External => Is::False,
        Reason::LagUnknown | Reason::Fallback | Reason::Measuring => Is::Unknown,
        _ if known.rollcall.spec.scaling.mode == Mode::DryRun => Is::False,
        _ => Is::True,
    };
    Fact::new(is, &decision.reason.to_string(), decision.sentence.clone())
}

fn keeping_up(known: &Known<'_>) -> Fact {
    let figures = known.decision.map(|decision| &decision.figures);
    let Some(lag) = figures.and_then(|figures| figures.lag) else {
        return Fact::new(Is::Unknown, "LagUnknown", "");
    };
    let target_ms = known.rollcall.spec.scaling.latency_target.ms();
    match figures.and_then(|figures| figures.lag_age_ms) {
        None if lag == 0 => Fact::new(true, "WithinTarget", ""),
        None => Fact::new(Is::Unknown, "AgeUnknown", format!("{lag} records wait")),
        Some(age_ms) if i64::try_from(age_ms).unwrap_or(i64::MAX) <= target_ms => {
            Fact::new(true, "WithinTarget", "")
        }
        Some(age_ms) => {
            let message = format!(
                "{lag} records wait, the oldest for about {} s; the target is {} s",
                age_ms / 1000,
                target_ms / 1000
            );
            Fact::new(false, "Behind", message)
        }
    }
}

fn data_complete(known: &Known<'_>) -> Fact {
    match &known.observed.document {
        None => Fact::new(Is::Unknown, "NothingPublished", ""),
        Some(document) if !document.gaps.is_empty() => Fact::new(false, "Gaps", document.gaps.clone()),
        Some(document) if document.rebuilding => {
            Fact::new(Is::Unknown, "Rebuilding", "all is counted again after a loss of Redis")
        }
        Some(_) => Fact::new(true, "NoGaps", ""),
    }
}

/// A condition's reason is never empty.
fn reason_or<'a>(reason: &'a str, otherwise: &'a str) -> &'a str {
    if reason.is_empty() { otherwise } else { reason }
}
