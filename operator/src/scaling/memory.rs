//! What is learnt from an observation before anything is decided.
//!
//! Owns the measured capacity, when the group settled, and since when fewer workers are enough. Values that moved by no
//! more than noise stay as they are, so that the status does.

use super::demand::{Demand, number, whole};
use super::observation::{Observation, WorkerReport};
use super::settings::Settings;
use super::state::{Level, State};

/// Notes whether the group is at rest.
pub(super) fn settle(state: &mut State, observation: &Observation<'_>) {
    let now_ms = observation.now_ms;
    if !is_settled(observation) {
        state.stable_since_ms = None;
        let since_ms = *state.settling_since_ms.get_or_insert(now_ms);
        if observation.rollout && Some(since_ms) == state.last_up_ms {
            // It would count as the time that the step's workers take to start.
            state.settling_since_ms = Some(now_ms);
        }
        return;
    }
    state.stable_since_ms.get_or_insert(now_ms);
    // Only a step up tells how long workers take to start.
    let settled = state.settling_since_ms.take();
    if let Some(since_ms) = settled.filter(|_| settled == state.last_up_ms) {
        let took_ms = (now_ms - since_ms).clamp(0, LONGEST_SETTLE_MS);
        let smoothed_ms = state.settle_ms.map_or(took_ms, |before_ms| i64::midpoint(before_ms, took_ms));
        state.settle_ms = Some(smoothed_ms);
    }
}

/// Whether all workers that are wanted are members of a stable group, and none is to be replaced.
fn is_settled(observation: &Observation<'_>) -> bool {
    observation.group_stable && observation.ready == observation.replicas && !observation.rollout
}

/// Reports that are not too old.
pub(super) fn fresh<'a>(
    settings: &Settings,
    observation: &Observation<'a>,
) -> impl Iterator<Item = &'a WorkerReport> {
    let oldest_ms = observation.now_ms.saturating_sub(settings.stale_after.ms());
    observation.workers.iter().filter(move |worker| worker.at_ms >= oldest_ms)
}

/// Learns what a worker does. Not while the group moves, and not from workers that wait for something else.
pub(super) fn learn(
    state: &mut State,
    settings: &Settings,
    observation: &Observation<'_>,
    demand: &Demand,
    is_blocked: bool,
) {
    if is_blocked || state.stable_since_ms.is_none() {
        return;
    }
    let least_busy = if state.capacity.is_some() { BUSY } else { BARELY_BUSY };
    let mut measured: Vec<f64> = fresh(settings, observation)
        .filter(|worker| worker.since_ms.is_none_or(|since_ms| worker.at_ms - since_ms >= WARM_MS))
        .filter(|worker| worker.busy >= least_busy && worker.rate > 0.0 && !only_waits(worker, state))
        .map(|worker| capacity_of(worker, settings, demand))
        .collect();
    measured.sort_by(f64::total_cmp);
    let found = match measured.get(measured.len() / 2) {
        Some(median) => *median,
        None => match drained_each(state, settings, observation, demand) {
            Some(each) => each,
            None => return,
        },
    };
    let Some(before) = state.capacity else {
        state.capacity = Some(whole(found).unsigned_abs().max(1));
        return;
    };
    let before = count(before);
    if (found - before).abs() > NOISE * before {
        state.capacity = Some(whole(before + WEIGHT * (found - before)).unsigned_abs().max(1));
    }
}

/// Whether a worker waits for Redis or the producer most of the time, and does much less than it can. Long commits alone are
/// no sign: more workers commit more.
pub(super) fn only_waits(worker: &WorkerReport, state: &State) -> bool {
    let waits = worker.blocked.is_some_and(|blocked| blocked > MOSTLY);
    waits && state.capacity.is_some_and(|capacity| worker.rate < MOSTLY * count(capacity))
}

/// A worker that is as busy as can be and lags does what it does, whatever its busy share says (FLINK-33306).
fn capacity_of(worker: &WorkerReport, settings: &Settings, demand: &Demand) -> f64 {
    let possible = worker.rate / worker.busy.min(1.0);
    let is_saturated = worker.busy >= SATURATED && has_late_partition(worker, settings, demand);
    if is_saturated && possible > DOUBTFUL * worker.rate { worker.rate } else { possible }
}

/// Without any report, and with lag everywhere, what the group commits is what its workers can.
fn drained_each(
    state: &State,
    settings: &Settings,
    observation: &Observation<'_>,
    demand: &Demand,
) -> Option<f64> {
    let is_unknown = state.capacity.is_none() && settings.capacity_hint.is_none();
    let has_reports = fresh(settings, observation).next().is_some();
    let lags = demand.loads.iter().all(|load| is_late(load.age_ms, settings));
    let stable_ms = observation.now_ms - state.stable_since_ms?;
    let is_measured = demand.is_measured && stable_ms >= WARM_MS && demand.drained > 0.0;
    (is_unknown && !has_reports && lags && is_measured && observation.ready > 0)
        .then(|| demand.drained / f64::from(observation.ready))
}

/// Half of the latency target is the sign that a partition is behind.
pub(super) fn is_late(age_ms: i64, settings: &Settings) -> bool {
    age_ms > settings.latency_target.ms() / 2
}

/// Whether a worker acts for a partition that is behind.
pub(super) fn has_late_partition(worker: &WorkerReport, settings: &Settings, demand: &Demand) -> bool {
    let mut loads = worker.partitions.iter().filter_map(|&partition| demand.load(partition));
    loads.any(|load| is_late(load.age_ms, settings))
}

/// Notes since when `needed` workers are enough. A gap in the observations begins anew: nobody knows what was in it.
pub(super) fn note_level(state: &mut State, now_ms: i64, current: u32, needed: u32) {
    if state.looked_ms.is_some_and(|looked_ms| now_ms - looked_ms > GAP_MS) {
        forget_levels(state);
    }
    let mut since_ms = now_ms;
    while let Some(level) = state.enough.pop_if(|level| level.replicas <= needed) {
        since_ms = level.since_ms;
    }
    if needed >= current {
        forget_levels(state);
        return;
    }
    state.enough.retain(|level| level.replicas < current);
    state.enough.push(Level { replicas: needed, since_ms });
    if state.enough.len() > LEVELS {
        // The lowest is let go: the next higher one has been enough for longer.
        state.enough.pop();
    }
    if state.looked_ms.is_none_or(|looked_ms| now_ms - looked_ms >= GAP_MS / 2) {
        state.looked_ms = Some(now_ms);
    }
}

/// Begins to wait anew.
pub(super) fn forget_levels(state: &mut State) {
    state.enough.clear();
    state.looked_ms = None;
}

/// Notes when the log last grew, to the minute; only for those that may sleep.
pub(super) fn note_growth(state: &mut State, settings: &Settings, now_ms: i64, ends: i64) {
    if settings.min_replicas > 0 {
        (state.ends, state.grown_ms, state.asleep) = (None, None, false);
    } else if state.ends != Some(ends)
        && (state.asleep || state.grown_ms.is_none_or(|grown_ms| now_ms - grown_ms >= GAP_MS / 2))
    {
        (state.ends, state.grown_ms) = (Some(ends), Some(now_ms));
    }
}

fn count(count: u64) -> f64 {
    number(i64::try_from(count).unwrap_or(i64::MAX))
}

/// From this share of busy time on, rate over busy time is a capacity.
const BUSY: f64 = 0.2;
/// A first guess may be made from less: it errs on the low side, for workers have fixed costs.
const BARELY_BUSY: f64 = 0.02;
/// A worker that is this busy is not waiting for others.
pub(super) const SATURATED: f64 = 0.8;
/// More of the time than this, or of what a worker can do, is most of it.
const MOSTLY: f64 = 0.5;
/// What a saturated worker claims beyond this is doubted.
const DOUBTFUL: f64 = 1.15;
/// A worker this young is still warming up.
const WARM_MS: i64 = 30_000;
/// How much a new measurement counts.
const WEIGHT: f64 = 0.2;
/// Differences up to this share are noise.
const NOISE: f64 = 0.05;
/// Levels that are kept; there are about twice the root of the partitions' number.
const LEVELS: usize = 24;
/// Observations further apart than this have a gap.
const GAP_MS: i64 = 120_000;
/// A group that takes longer is broken, not slow.
const LONGEST_SETTLE_MS: i64 = 300_000;
