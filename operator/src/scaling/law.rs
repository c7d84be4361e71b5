//! The law itself: how many workers, and why.
//!
//! Owns the order in which the rules speak, and what a step leaves in the memory. The rules for steps up and down are
//! `step`'s.

use super::decision::{Decision, Figures, Reason, workers};
use super::demand::{self, Demand, number, whole};
use super::fit;
use super::memory;
use super::observation::Observation;
use super::settings::{Mode, Settings};
use super::state::{State, Step};
use super::step::{self, Look, Mark, Verdict};

/// Decides how many workers run. The same arguments give the same answer, in this process or in the next.
pub fn decide(settings: &Settings, mut state: State, observation: &Observation<'_>) -> (State, Decision) {
    memory::settle(&mut state, observation);
    let mut seen = demand::look(settings, observation);
    let mut capacity = None;
    if let Ok(demand) = &mut seen {
        let is_blocked = step::is_blocked(&state, settings, observation, demand);
        memory::learn(&mut state, settings, observation, demand, is_blocked);
        memory::note_growth(&mut state, settings, observation.now_ms, demand.ends);
        state.blind_since_ms = None;
        capacity = known_capacity(&state, settings, demand);
        if let Some(hasty) = step::overrun(&state, settings, observation, demand, capacity) {
            *demand = hasty;
        }
    } else {
        state.blind_since_ms.get_or_insert(observation.now_ms);
        memory::forget_levels(&mut state);
    }
    let figures = figures(&state, settings, observation, seen.as_ref().ok(), capacity);
    let verdict = match ordered(settings, observation) {
        Some(verdict) => {
            memory::forget_levels(&mut state);
            (state.trial, state.backoff, state.asleep) = (None, None, false);
            verdict
        }
        None => match &seen {
            Ok(demand) => {
                let target = step::target(&state, settings);
                automatic(&mut state, &Look { settings, observation, demand, capacity, target })
            }
            Err(unknown) => blind(&state, settings, observation, &unknown.0),
        },
    };
    if settings.mode == Mode::DryRun && verdict.reason != Reason::Paused {
        let replicas = if observation.replicas == 0 { verdict.replicas } else { observation.replicas };
        let sentence = format!("Dry run: {}", verdict.sentence);
        return (state, decision(Verdict { sentence, ..verdict }, replicas, figures));
    }
    record(&mut state, observation, &verdict);
    let replicas = verdict.replicas;
    (state, decision(verdict, replicas, figures))
}

fn decision(verdict: Verdict, replicas: u32, figures: Figures) -> Decision {
    let Verdict { replicas: recommended, reason, sentence, .. } = verdict;
    Decision { replicas, recommended, reason, sentence, figures }
}

/// What is said by people or other programs, and obeyed.
fn ordered(settings: &Settings, observation: &Observation<'_>) -> Option<Verdict> {
    if observation.paused {
        return Some(Verdict::new(0, Reason::Paused, "desiredState is Paused."));
    }
    let reason = match settings.mode {
        Mode::Auto | Mode::DryRun => return None,
        Mode::Manual => Reason::Manual,
        Mode::External => Reason::External,
    };
    let verdict = if let Some(replicas) = observation.requested {
        Verdict::new(replicas, reason, format!("spec.replicas is {replicas}."))
    } else {
        let replicas = settings.min_replicas;
        Verdict::new(replicas, reason, format!("spec.replicas is not set: minReplicas is {replicas}."))
    };
    Some(verdict)
}

/// Without a known lag the present number stays, and never becomes smaller.
fn blind(state: &State, settings: &Settings, observation: &Observation<'_>, why: &str) -> Verdict {
    if let Some(verdict) = limited(settings, observation) {
        return verdict;
    }
    let (floor, cap) = settings.limits(observation.partitions);
    let current = observation.replicas;
    let blind_ms = state.blind_since_ms.map_or(0, |since_ms| observation.now_ms - since_ms);
    if blind_ms >= settings.fallback.after.ms()
        && let Some(fallback) = settings.fallback.replicas
    {
        let replicas = fallback.min(cap).max(current);
        return Verdict::new(
            replicas,
            Reason::Fallback,
            format!("The lag has been unknown for long ({why}): at least {fallback} workers run."),
        );
    }
    if current == 0 && !state.asleep {
        return Verdict::new(floor.max(1), Reason::Starting, "The first workers start; the lag is unknown.");
    }
    let sentence = format!("The lag is unknown ({why}): {} stay.", workers(current));
    Verdict::new(current, Reason::LagUnknown, sentence)
}

fn automatic(state: &mut State, look: &Look<'_>) -> Verdict {
    let Look { settings, observation, demand, .. } = *look;
    let current = observation.replicas;
    let (floor, cap) = settings.limits(observation.partitions);
    let needed = look.capacity.filter(|_| demand.is_measured).map(|capacity| look.needed(capacity));
    if current == 0 {
        let first = needed.unwrap_or(1).clamp(floor.max(1), cap);
        return if !state.asleep {
            Verdict::new(first, Reason::Starting, "The first workers start.")
        } else if is_idle(state, look) {
            Verdict::new(0, Reason::Idle, "No records come: no worker runs until they do.").mark(Mark::Asleep)
        } else {
            Verdict::new(first, Reason::Waking, format!("Records came: {} start.", workers(first)))
        };
    }
    if let Some(verdict) = limited(settings, observation) {
        return verdict;
    }
    let hold = |reason, sentence: &str| Verdict::new(current, reason, sentence);
    let Some((needed, capacity)) = needed.zip(look.capacity) else {
        let what =
            if demand.is_measured { "what a worker can do" } else { "how many records arrive each second" };
        return hold(Reason::Measuring, &format!("It is not known yet {what}."));
    };
    memory::note_level(state, observation.now_ms, current, needed);
    let moving_ms = state.settling_since_ms.map(|since_ms| observation.now_ms - since_ms);
    // Workers that start help against lag, but not against arrivals that exceed them all.
    let is_overrun = !look.is_enough_for_arrivals(capacity);
    if moving_ms.is_some_and(|moving_ms| moving_ms < PATIENCE_MS) && !is_overrun {
        return if observation.rollout {
            hold(Reason::RolloutInProgress, ROLLOUT)
        } else {
            hold(Reason::GroupUnstable, "Workers start, or the consumer group rebalances.")
        };
    }
    if is_idle(state, look) && step::may_go_down(state, look) {
        return Verdict::new(0, Reason::Idle, "No records come: the pipeline sleeps.").mark(Mark::Asleep);
    }
    if let Some(verdict) = step::judge(state, look) {
        return verdict;
    }
    if is_overrun || !look.is_enough_for_lag(capacity) {
        return step::up(state, look, needed, capacity);
    }
    if observation.rollout {
        return hold(Reason::RolloutInProgress, ROLLOUT);
    }
    step::down(state, look, capacity)
}

/// Whether the log has not grown for long, and nothing waits but the marks of transactions.
fn is_idle(state: &State, look: &Look<'_>) -> bool {
    let idle_ms = state.grown_ms.map_or(0, |grown_ms| look.observation.now_ms - grown_ms);
    look.settings.min_replicas == 0
        && state.ends == Some(look.demand.ends)
        && idle_ms >= look.settings.idle.after.ms()
        && look.demand.loads.iter().all(|load| load.lag <= 1.0)
}

/// A number outside the limits is brought inside, whatever else is known.
fn limited(settings: &Settings, observation: &Observation<'_>) -> Option<Verdict> {
    let current = observation.replicas;
    let (floor, cap) = settings.limits(observation.partitions);
    if current > cap {
        let by_partitions = observation.partitions == Some(cap);
        let reason = if by_partitions { Reason::PartitionCount } else { Reason::MaxReplicas };
        let what = if by_partitions { "partitions" } else { "workers at most" };
        return Some(Verdict::new(cap, reason, format!("There are {cap} {what}.")));
    }
    (0 < current && current < floor)
        .then(|| Verdict::new(floor, Reason::ScalingUp, format!("minReplicas is {floor}.")))
}

/// What a worker does: measured, or as the user guessed. Where nothing happens any number will do.
fn known_capacity(state: &State, settings: &Settings, demand: &Demand) -> Option<f64> {
    let known = state.capacity.or(settings.capacity_hint);
    let is_still =
        demand.is_measured && demand.arrival() <= 0.0 && demand.loads.iter().all(|load| load.lag <= 1.0);
    match known {
        Some(known) => Some(number(i64::try_from(known).unwrap_or(i64::MAX)).max(1.0)),
        None if is_still => Some(number(i64::try_from(demand.loads.len()).unwrap_or(i64::MAX)).max(1.0)),
        None => None,
    }
}

/// Notes a step in the memory.
fn record(state: &mut State, observation: &Observation<'_>, verdict: &Verdict) {
    let (now_ms, from, to) = (observation.now_ms, observation.replicas, verdict.replicas);
    state.asleep = matches!(verdict.mark, Mark::Asleep);
    if from == to {
        return;
    }
    state.trial = None;
    match verdict.mark {
        Mark::Trial(trial) => state.trial = Some(trial),
        Mark::Useless(backoff) => state.backoff = Some(backoff),
        Mark::Asleep | Mark::Nothing => {}
    }
    if to > from {
        state.last_up_ms = Some(now_ms);
        memory::forget_levels(state);
    } else {
        state.last_down_ms = Some(now_ms);
        state.enough.retain(|level| level.replicas < to);
    }
    (state.stable_since_ms, state.settling_since_ms) = (None, Some(now_ms));
    state.note(Step { at_ms: now_ms, from, to, reason: verdict.reason, sentence: verdict.sentence.clone() });
}

fn figures(
    state: &State,
    settings: &Settings,
    observation: &Observation<'_>,
    demand: Option<&Demand>,
    capacity: Option<f64>,
) -> Figures {
    let mut figures =
        Figures { capacity, useful: fit::useful(observation.partitions.unwrap_or(0)), ..Figures::default() };
    let Some(demand) = demand else { return figures };
    figures.lag = Some(whole(demand.lag()).unsigned_abs());
    // What waited before the first look is as old as arrivals say, once these are known.
    let age_ms = Some(demand.age_ms()).filter(|age_ms| demand.is_measured || *age_ms == 0);
    figures.lag_age_ms = age_ms.map(i64::unsigned_abs);
    if !demand.is_measured {
        return figures;
    }
    figures.arrival = Some(demand.arrival());
    let hottest = demand.loads.iter().max_by(|left, right| left.arrival.total_cmp(&right.arrival));
    figures.hottest_partition = hottest.map(|load| load.partition);
    if let Some(capacity) = capacity {
        let target = step::target(state, settings);
        let look = Look { settings, observation, demand, capacity: Some(capacity), target };
        figures.needed = Some(look.needed(capacity));
        figures.hottest = Some(look.hottest(capacity));
        figures.limit = look.limit(capacity);
    }
    figures
}

const ROLLOUT: &str = "New workers are being rolled out.";
/// How long a group may take to settle, or a rollout to end, before they no longer hold back steps up: what is stuck
/// must not let the lag grow for good.
const PATIENCE_MS: i64 = 300_000;
