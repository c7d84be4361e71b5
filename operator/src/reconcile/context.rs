//! What all reconciles share, and what is remembered from one to the next.
//!
//! Owns the memory, which may be lost at any time: the status says the same, a little older.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::ObjectRef;

use super::{events, scale};
use crate::build::Defaults;
use crate::metrics::Metrics;
use crate::observe::{Observed, Observer};
use crate::resource::Rollcall;
use crate::scaling::{Decision, State, Step};

/// What all reconciles share.
pub struct Context {
    /// Kubernetes.
    pub client: Client,
    /// Writes events.
    pub recorder: Recorder,
    /// Looks at pipelines.
    pub observer: Observer,
    /// What the operator says of all workers.
    pub defaults: Defaults,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// How long nothing may happen before a resource is looked at again.
    pub resync: Duration,
    /// Whether this process leads; otherwise it looks, and writes nothing.
    pub leads: AtomicBool,
    /// What is remembered of each resource.
    pub memories: Mutex<HashMap<ObjectRef<Rollcall>, Memory>>,
}

/// What is remembered of a resource.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) state: Option<State>,
    pub(super) status_written: Option<Instant>,
    pub(super) failures: u32,
}

impl Context {
    pub(super) fn remember<T>(&self, key: &ObjectRef<Rollcall>, change: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        change(memories.entry(key.clone()).or_default())
    }

    /// Lets go of a resource that is gone.
    pub fn forget(&self, key: &ObjectRef<Rollcall>) {
        self.observer.forget(key);
        self.metrics.forget(key);
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// How many workers there should be. What is remembered here is newer than what the status says.
    pub(super) fn decide(
        &self,
        key: &ObjectRef<Rollcall>,
        rollcall: &Rollcall,
        deployment: Option<&Deployment>,
        observed: &Observed,
    ) -> (State, Decision) {
        let stored = || {
            let status = rollcall.status.as_ref()?;
            status.scaling.as_ref().map(|scaling| scaling.state.clone())
        };
        let state = self.remember(key, |memory| memory.state.take()).or_else(stored).unwrap_or_default();
        let (state, decision) = scale::decide(rollcall, deployment, observed, state);
        self.remember(key, |memory| memory.state = Some(state.clone()));
        self.metrics.decided(key, &decision);
        self.show_steps(rollcall, &state);
        (state, decision)
    }

    /// Shows over HTTP the last steps that the status tells of.
    pub(super) fn show_told_steps(&self, rollcall: &Rollcall) {
        if let Some(scaling) = rollcall.status.as_ref().and_then(|status| status.scaling.as_ref()) {
            self.show_steps(rollcall, &scaling.state);
        }
    }

    /// Shows the last steps over HTTP.
    fn show_steps(&self, rollcall: &Rollcall, state: &State) {
        let shown = |step: &Step| insights::http::Decision {
            time_ms: step.at_ms,
            from: step.from,
            to: step.to,
            reason: step.reason.to_string(),
            sentence: step.sentence.clone(),
        };
        let steps = state.steps.iter().map(shown).collect();
        self.observer.served().set_decisions(&rollcall.pipeline(), steps);
    }

    /// Tells of a change of the number of workers.
    pub(super) async fn told(&self, rollcall: &Rollcall, before: Option<i32>, decision: &Decision) {
        let now = scale::to_i32(decision.replicas);
        if before == Some(now) || (before.is_none() && now == 0) {
            return;
        }
        let before = before.unwrap_or(0);
        tracing::info!(before, now, reason = ?decision.reason, "{}", decision.sentence);
        events::of_step(self, rollcall, before, now, decision).await;
    }
}
