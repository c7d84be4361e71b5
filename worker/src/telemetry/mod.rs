//! What an operator of Rollcall sees from outside: metrics, health, traces.
//!
//! Owns the names and their meaning. It never decides anything, and costs nothing that the work would notice.

mod declarations;
mod health;
mod http;
mod metrics;
mod places;

pub(crate) use self::health::{Health, Service};
pub(crate) use self::http::serve;
pub(crate) use self::metrics::{Metrics, Rebalance, Tally, Transaction, Zombie};
pub(crate) use self::places::{Log, Place};
pub(crate) use rollcall_worker::traces::{are_on as traces_are_on, start as start_traces};

use std::sync::Arc;

/// What every part of a worker tells.
#[derive(Clone, Default)]
pub(crate) struct Telemetry {
    /// Figures.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether it works.
    pub(crate) health: Arc<Health>,
}
