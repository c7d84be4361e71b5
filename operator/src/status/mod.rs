//! The status of a resource, from all that is known of it: pure.
//!
//! Owns what each condition means. It never writes; when a status is worth a write is said here, too.

mod conditions;
mod facts;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;

pub use self::conditions::{Fact, Is, TYPES, conditions, transitions};
pub use self::facts::has_former_pods;
use crate::build;
use crate::clock::rfc3339;
use crate::observe::Observed;
use crate::resource::{InsightsSummary, Lag, Rollcall, RollcallStatus, ScalingStatus};
use crate::scaling::{Decision, State};

/// What stands in the way of the resource as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// Whether the configuration itself is wrong.
    pub of_configuration: bool,
}

/// All that is known.
pub struct Known<'a> {
    /// The resource.
    pub rollcall: &'a Rollcall,
    /// Its consumer group, once its configuration could be read.
    pub group: Option<&'a str>,
    /// What stands in the way.
    pub obstacle: Option<&'a Obstacle>,
    /// Why its services cannot be asked, where that is so.
    pub unasked: Option<&'a str>,
    /// Its workers.
    pub deployment: Option<&'a Deployment>,
    /// What was seen of it.
    pub observed: &'a Observed,
    /// How many workers there should be, and why.
    pub decision: Option<&'a Decision>,
    /// What the next decision needs to know.
    pub state: &'a State,
    /// Now.
    pub now: Timestamp,
}

/// The status.
pub fn status(known: &Known<'_>) -> RollcallStatus {
    let former = known.rollcall.status.clone().unwrap_or_default();
    let generation = known.rollcall.metadata.generation;
    let facts = facts::facts(known);
    let workers = known.deployment.and_then(|deployment| deployment.status.as_ref());
    let count = |count: Option<Option<i32>>| count.flatten().unwrap_or(0);
    let desired = known.decision.map(|decision| to_i32(decision.replicas));
    let name = known.rollcall.metadata.name.as_deref().unwrap_or_default();
    let selector: Vec<String> =
        build::selector(name).into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let has_scaled =
        desired.is_some() && former.desired_replicas.is_some() && desired != former.desired_replicas;
    RollcallStatus {
        observed_generation: generation,
        conditions: conditions(&former.conditions, &facts, generation, known.now),
        replicas: count(workers.map(|workers| workers.replicas)),
        ready_replicas: count(workers.map(|workers| workers.ready_replicas)),
        desired_replicas: desired.or(former.desired_replicas),
        selector: selector.join(","),
        consumer_group: known.group.map(str::to_owned).or(former.consumer_group),
        partitions: known.observed.partitions.map(to_i32).or(former.partitions),
        lag: lag(known, former.lag.as_ref()),
        last_scale_time: if has_scaled { Some(rfc3339(known.now)) } else { former.last_scale_time },
        scaling: known.decision.map_or(former.scaling, |decision| {
            Some(ScalingStatus {
                recommended: to_i32(decision.recommended),
                reason: decision.reason.to_string(),
                sentence: decision.sentence.clone(),
                state: known.state.clone(),
            })
        }),
        insights: known
            .observed
            .document
            .as_ref()
            .map(|document| document.summary.clone())
            .or(former.insights),
    }
}

/// Whether a status is worth a write: at once where something changed that people or programs act on; numbers that only move
/// wait until the last write is old enough.
pub fn is_worth_writing(former: Option<&RollcallStatus>, now: &RollcallStatus, is_due: bool) -> bool {
    let Some(former) = former else {
        return true;
    };
    former != now && (is_due || steady(former) != steady(now))
}

/// A status without what only moves.
fn steady(status: &RollcallStatus) -> RollcallStatus {
    let mut steady = status.clone();
    for condition in &mut steady.conditions {
        condition.message.clear();
    }
    steady.lag = steady.lag.map(|_| Lag::default());
    steady.insights = steady.insights.map(|_| InsightsSummary::default());
    if let Some(scaling) = &mut steady.scaling {
        scaling.sentence.clear();
        scaling.recommended = 0;
        scaling.state = State { steps: std::mem::take(&mut scaling.state.steps), ..State::default() };
    }
    steady
}

/// The lag; absent while unknown. As long as the numbers stay, their time does.
fn lag(known: &Known<'_>, former: Option<&Lag>) -> Option<Lag> {
    let figures = &known.decision?.figures;
    let lag = Lag {
        records: i64::try_from(figures.lag?).unwrap_or(i64::MAX),
        seconds: figures.lag_age_ms.map(|age_ms| i64::try_from(age_ms / 1000).unwrap_or(i64::MAX)),
        observed_time: rfc3339(known.now),
    };
    match former {
        Some(former) if (former.records, former.seconds) == (lag.records, lag.seconds) => {
            Some(former.clone())
        }
        _ => Some(lag),
    }
}

fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
