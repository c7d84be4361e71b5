//! Events for people: conditions that turn, and each change of the number of workers.
//!
//! An event that cannot be written is no failure: the status says the same.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use kube::runtime::events::{Event, EventType};

use super::Context;
use crate::resource::Rollcall;
use crate::scaling::Decision;

/// Tells of conditions that turned.
pub(super) async fn of_conditions(context: &Context, rollcall: &Rollcall, turned: &[&Condition]) {
    for condition in turned {
        let Some(type_) = kind(condition) else {
            continue;
        };
        let mut note = format!("{} is {}", condition.type_, condition.status);
        if !condition.message.is_empty() {
            note = format!("{note}: {}", condition.message);
        }
        publish(context, rollcall, type_, &condition.reason, note, &condition.type_).await;
    }
}

/// Tells of another number of workers.
pub(super) async fn of_step(
    context: &Context,
    rollcall: &Rollcall,
    before: i32,
    now: i32,
    decision: &Decision,
) {
    let note = format!("{before} → {now} workers: {}", decision.sentence);
    let reason = decision.reason.to_string();
    // Events that differ in their notes alone become one, with the first one's.
    publish(context, rollcall, EventType::Normal, &reason, note, &format!("ScaleTo{now}")).await;
}

/// Whether a turn is good news or bad; none for what only accompanies others.
fn kind(condition: &Condition) -> Option<EventType> {
    match (condition.type_.as_str(), condition.status.as_str()) {
        ("Reconciling" | "ScalingActive", _) | (_, "Unknown") | ("Stalled", "False") => None,
        ("Stalled", _) | (_, "False") => Some(EventType::Warning),
        _ => Some(EventType::Normal),
    }
}

async fn publish(
    context: &Context,
    rollcall: &Rollcall,
    type_: EventType,
    reason: &str,
    note: String,
    action: &str,
) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note.chars().take(NOTE_MAX).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &rollcall.object_ref(&())).await {
        tracing::debug!(%error, reason, "failed to write an event");
    }
}

/// The API takes 1 kB; characters of up to four bytes.
const NOTE_MAX: usize = 250;
