//! Steps up and down.
//!
//! Owns when one is taken, how far it goes, and what its gain must be.

use super::decision::{Reason, workers};
use super::demand::{self, Demand, Load, number, whole};
use super::fit::{self, CatchUp, Weights};
use super::memory;
use super::observation::{Observation, WorkerReport};
use super::settings::{Profile, Settings, share};
use super::state::{Backoff, Level, State, Trial};

/// All that a rule looks at.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) settings: &'a Settings,
    pub(super) observation: &'a Observation<'a>,
    pub(super) demand: &'a Demand,
    pub(super) capacity: Option<f64>,
    /// The share of a worker that a step aims at.
    pub(super) target: f64,
}

/// What a rule says.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) replicas: u32,
    pub(super) reason: Reason,
    pub(super) sentence: String,
    pub(super) mark: Mark,
}

/// What a verdict leaves in the memory, once it is obeyed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Nothing,
    Trial(Trial),
    Useless(Backoff),
    Asleep,
}

impl Verdict {
    pub(super) fn new(replicas: u32, reason: Reason, sentence: impl Into<String>) -> Self {
        Self { replicas, reason, sentence: sentence.into(), mark: Mark::Nothing }
    }

    pub(super) fn mark(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }
}

impl Look<'_> {
    fn weights(&self, capacity: f64, utilization: f64, with_lag: bool) -> Weights {
        let within_s = number(self.settings.catch_up.ms()) / 1000.0;
        let catch_up = with_lag.then_some(CatchUp { within_s, slack_s: self.settings.slack_s() });
        Weights::new(&self.demand.loads, capacity, utilization, catch_up)
    }

    /// The number that a step would aim at, limits apart.
    pub(super) fn needed(&self, capacity: f64) -> u32 {
        self.weights(capacity, self.target, true).needed()
    }

    /// Whether the present number is enough for what arrives, with something to spare.
    pub(super) fn is_enough_for_arrivals(&self, capacity: f64) -> bool {
        let planned = self.settings.target();
        // What is kept in reserve for a sudden rise must be there when it comes.
        let spare = if self.target < planned { 0.0 } else { SPARE };
        let high = self.settings.high().min(self.target + spare).max(self.target);
        self.weights(capacity, high, false).fit(self.observation.replicas)
    }

    /// Whether the present number is enough for what waits, besides what arrives: it is worked off in time, or none of it
    /// will have waited for too long. A step would make all that moves wait once more.
    pub(super) fn is_enough_for_lag(&self, capacity: f64) -> bool {
        self.weights(capacity, 1.0, true).fit(self.observation.replicas) || self.is_in_time(capacity)
    }

    /// Whether what waits becomes less, nothing has waited for the latency target, and what came last will not wait for most
    /// of it: as long as it takes to work off what is before it.
    fn is_in_time(&self, capacity: f64) -> bool {
        let target_ms = self.settings.latency_target.ms();
        let before = |load: &Load| Load { arrival: 0.0, ..*load };
        let before: Vec<Load> = self.demand.loads.iter().map(before).collect();
        let within = CatchUp { within_s: IN_TIME * number(target_ms) / 1000.0, slack_s: 0.0 };
        self.weights(capacity, 1.0 - SPARE, false).fit(self.observation.replicas)
            && self.demand.age_ms() <= target_ms
            && Weights::new(&before, capacity, 1.0, Some(within)).fit(self.observation.replicas)
    }

    /// What arrives at the hottest worker, as a share of what it does.
    pub(super) fn hottest(&self, capacity: f64) -> f64 {
        let arrival = |&partition: &i32| self.demand.load(partition).map_or(0.0, |load| load.arrival);
        let of_worker = |worker: &WorkerReport| worker.partitions.iter().map(arrival).sum::<f64>();
        let hottest = memory::fresh(self.settings, self.observation).map(of_worker).fold(0.0, f64::max);
        let hottest_partition = self.demand.loads.iter().map(|load| load.arrival).fold(0.0, f64::max);
        hottest.max(hottest_partition) / capacity
    }

    /// Why more workers than there may be would not come, or not help; none when as many as are needed may run.
    pub(super) fn limit(&self, capacity: f64) -> Option<Reason> {
        let weights = self.weights(capacity, self.target, true);
        let needed = weights.needed();
        let (_, cap) = self.settings.limits(self.observation.partitions);
        if self.has_hot_partition(capacity) {
            Some(Reason::PartitionBound)
        } else if needed > cap {
            Some(Reason::MaxReplicas)
        } else {
            (!weights.fit(needed)).then_some(Reason::PartitionCount)
        }
    }

    fn has_hot_partition(&self, capacity: f64) -> bool {
        self.demand.loads.iter().any(|load| fit::is_hot(load, capacity))
    }

    fn is_late(&self) -> bool {
        memory::is_late(self.demand.age_ms(), self.settings)
    }

    fn hold(&self, reason: Reason, sentence: impl Into<String>) -> Verdict {
        Verdict::new(self.observation.replicas, reason, sentence)
    }

    /// Demand, in words.
    fn words(&self, capacity: f64) -> String {
        format!(
            "{} records/s arrive, a worker does {}, the oldest of {} that wait is {} s old",
            whole(self.demand.arrival()),
            whole(capacity),
            whole(self.demand.lag()),
            self.demand.age_ms() / 1000,
        )
    }
}

/// The share of a worker that a step aims at. Where workers take so long to start that a sudden rise would break the
/// latency target before they come, there are spare ones for it: with a delay `d`, a target `t` and a rise to `r` times
/// the load, the oldest record is `d * (1 - share of the new load that the present workers do)` old at the end, and waits
/// once more while its partition moves.
pub(super) fn target(state: &State, settings: &Settings) -> f64 {
    let target = settings.target();
    let late = late_share(state, settings);
    if late > 0.0 { target.min((1.0 / (RISE * late)).max(LEAST_TARGET)) } else { target }
}

/// What the newest seconds ask for, where more arrives than all workers can do: a rise is answered whole, in one step. Where
/// workers take so long to start that there is no time to make sure of it, the newest seconds alone are enough of a sign.
pub(super) fn overrun(
    state: &State,
    settings: &Settings,
    observation: &Observation<'_>,
    demand: &Demand,
    capacity: Option<f64>,
) -> Option<Demand> {
    let is_slow = late_share(state, settings) > 0.0;
    let capacity = capacity.filter(|_| demand.is_measured)?;
    let fits = |demand: &Demand| {
        Weights::new(&demand.loads, capacity, settings.high(), None).fit(observation.replicas)
    };
    let hasty = demand::look_hastily(observation)?;
    (!fits(&hasty) && (is_slow || !fits(demand)) && hasty.arrival() > demand.arrival()).then_some(hasty)
}

/// The part of the delay until new workers work that is beyond the latency target.
fn late_share(state: &State, settings: &Settings) -> f64 {
    let settle_ms = state.settle_ms.filter(|_| settings.profile == Profile::Latency).unwrap_or(0);
    let delay_ms = number(settle_ms.saturating_add(settings.interval.ms().saturating_mul(LOOKS)));
    1.0 - number((settings.latency_target.ms() - MOVE_MS).max(0)) / delay_ms.max(1.0)
}

/// Whether workers lag for another reason than their own work: they are not busy, or busy with waiting.
pub(super) fn is_blocked(
    state: &State,
    settings: &Settings,
    observation: &Observation<'_>,
    demand: &Demand,
) -> bool {
    let stable_ms = state.stable_since_ms.map_or(0, |since_ms| observation.now_ms - since_ms);
    if stable_ms < SETTLED_MS || !memory::is_late(demand.age_ms(), settings) {
        return false;
    }
    let mut behind = memory::fresh(settings, observation)
        .filter(|worker| memory::has_late_partition(worker, settings, demand))
        .peekable();
    behind.peek().is_some()
        && behind.all(|worker| worker.busy < memory::SATURATED || memory::only_waits(worker, state))
}

/// Looks at what the last step up gained, once; a useless one is taken back.
pub(super) fn judge(state: &mut State, look: &Look<'_>) -> Option<Verdict> {
    let trial = state.trial?;
    let Look { settings, observation, demand, .. } = *look;
    if observation.replicas != trial.to {
        state.trial = None;
        return None;
    }
    let since_ms = state.stable_since_ms?.max(trial.at_ms);
    if observation.now_ms - since_ms < settings.effectiveness.after.ms() {
        return None;
    }
    state.trial = None;
    let gain = whole(demand.drained) - i64::try_from(trial.before).unwrap_or(i64::MAX);
    let expected = number(i64::try_from(trial.expected).unwrap_or(i64::MAX));
    let has_gained = number(gain) >= share(settings.effectiveness.threshold_percent) * expected;
    if has_gained || !look.is_late() {
        state.backoff = None;
        return None;
    }
    let first_ms = settings.effectiveness.backoff.ms();
    let length_ms = state.backoff.map_or(first_ms, |backoff| backoff.length_ms.saturating_mul(2));
    let length_ms = length_ms.min(first_ms.saturating_mul(MOST_BACKOFF));
    let until_ms = observation.now_ms.saturating_add(length_ms);
    let backoff = Backoff { until_ms, length_ms, drained: whole(demand.drained).unsigned_abs() };
    let (floor, cap) = settings.limits(observation.partitions);
    let replicas = trial.from.clamp(floor.max(1), cap);
    let sentence = format!(
        "The step from {} to {} gained {gain} records/s of {} expected: it is taken back.",
        trial.from,
        workers(trial.to),
        trial.expected
    );
    Some(Verdict::new(replicas, Reason::Ineffective, sentence).mark(Mark::Useless(backoff)))
}

/// More workers are needed: all of them at once, or the reason why not.
pub(super) fn up(state: &State, look: &Look<'_>, needed: u32, capacity: f64) -> Verdict {
    let Look { settings, observation, demand, .. } = *look;
    let (current, now_ms) = (observation.replicas, observation.now_ms);
    let (_, cap) = settings.limits(observation.partitions);
    let to = needed.min(cap);
    if to <= current {
        return capped(look, capacity, cap);
    }
    if is_blocked(state, settings, observation, demand) {
        let sentence = "Workers lag but are not busy: they wait for Redis or Kafka, and more would not help.";
        return look.hold(Reason::DownstreamBound, sentence);
    }
    let waits = |backoff: Backoff| {
        let then = number(i64::try_from(backoff.drained).unwrap_or(i64::MAX));
        now_ms < backoff.until_ms && demand.drained <= (1.0 + NOTABLE) * then
    };
    if state.backoff.is_some_and(waits) {
        let sentence = "The last step up gained too little; the next one waits.";
        return look.hold(Reason::Ineffective, sentence);
    }
    let cooldown_ms = settings.scale_up.cooldown.ms().max(state.settle_ms.unwrap_or(0));
    let is_recent = state.last_step_ms().is_some_and(|last_ms| now_ms - last_ms < cooldown_ms);
    // Lag may vanish once the last step works; arrivals that exceed all workers do not.
    if is_recent && look.is_enough_for_arrivals(capacity) {
        return look
            .hold(Reason::Stabilizing, format!("{to} workers are needed; the last step is too recent."));
    }
    let possible = (f64::from(to) * capacity).min(look.weights(capacity, 1.0, true).sum());
    let expected = possible - demand.drained;
    let trial = Trial {
        at_ms: now_ms,
        from: current,
        to,
        before: whole(demand.drained).unsigned_abs(),
        expected: whole(expected.max(0.0)).unsigned_abs(),
    };
    let sentence = format!("From {current} to {}: {}.", workers(to), look.words(capacity));
    let verdict = Verdict::new(to, Reason::ScalingUp, sentence);
    // Where little more can come, little of it says nothing.
    if expected < NOTABLE * demand.drained { verdict } else { verdict.mark(Mark::Trial(trial)) }
}

fn capped(look: &Look<'_>, capacity: f64, cap: u32) -> Verdict {
    if look.has_hot_partition(capacity) {
        return look.hold(Reason::PartitionBound, PARTITION_BOUND);
    }
    if look.observation.partitions == Some(cap) {
        let sentence = format!("More than {} would help, but there are no more partitions.", workers(cap));
        return look.hold(Reason::PartitionCount, sentence);
    }
    look.hold(
        Reason::MaxReplicas,
        format!("More than {} would help, but maxReplicas is {cap}.", workers(cap)),
    )
}

/// Fewer workers, when they have been enough for the whole window.
pub(super) fn down(state: &State, look: &Look<'_>, capacity: f64) -> Verdict {
    let Look { settings, observation, .. } = *look;
    let (current, now_ms) = (observation.replicas, observation.now_ms);
    let (floor, cap) = settings.limits(observation.partitions);
    let settled = || {
        if look.has_hot_partition(capacity) {
            look.hold(Reason::PartitionBound, PARTITION_BOUND)
        } else {
            look.hold(Reason::WithinTarget, format!("{}: as many as are needed.", workers(current)))
        }
    };
    let Some(lowest) = state.enough.last() else { return settled() };
    if lowest.replicas >= current || current <= floor.max(1) {
        return settled();
    }
    let kept = 1.0 - share(settings.scale_down.max_percent);
    let least = u32::try_from(whole((f64::from(current) * kept).ceil())).unwrap_or(current);
    let partitions = observation.partitions.unwrap_or(current);
    let aim = |level: &Level| {
        fit::round_up(partitions, level.replicas.max(least)).clamp(floor.max(1), cap).min(current)
    };
    let wait_ms = |level: &Level| patience_ms(settings, current, aim(level));
    let wait = || {
        let window_s = number(settings.window_ms() / 1000);
        let sentence = format!(
            "Fewer than {} would do; a step down waits until that has been so for {} to {} s, the longer the less it saves.",
            workers(current),
            whole(LEAST_WINDOWS * window_s),
            whole(LITTLE_WINDOWS * window_s)
        );
        look.hold(Reason::Stabilizing, sentence)
    };
    let for_ms = |level: &Level| now_ms - level.since_ms;
    let Some(level) = state.enough.iter().rev().find(|level| for_ms(level) >= wait_ms(level)) else {
        return wait();
    };
    // A fall is seen little by little: one step for all of it moves fewer partitions than several.
    let is_falling = lowest != level && for_ms(lowest) >= wait_ms(lowest) - demand::LONG_MS;
    let is_patient = for_ms(level) < wait_ms(level) + demand::LONG_MS;
    if (is_falling && is_patient) || !may_go_down(state, look) {
        return wait();
    }
    let to = aim(level);
    if to >= current {
        return settled();
    }
    let sentence = format!(
        "From {current} to {}, enough for the last {} s: {}.",
        workers(to),
        for_ms(level) / 1000,
        look.words(capacity)
    );
    Verdict::new(to, Reason::ScalingDown, sentence)
}

/// For how long so many workers must have been enough: the less a step saves, the longer, as each moves partitions. One for
/// three quarters of the workers waits for half the window, one for a fifth or less for six windows.
fn patience_ms(settings: &Settings, current: u32, to: u32) -> i64 {
    let saved = f64::from(current.saturating_sub(to)) / f64::from(current.max(1));
    let windows = if saved <= LITTLE { LITTLE_WINDOWS } else { (1.0 - saved / 1.5).max(LEAST_WINDOWS) };
    whole(windows * number(settings.window_ms()))
}

/// Whether nothing forbids a step down: nothing is late, every worker has reported, and the last steps are long ago.
pub(super) fn may_go_down(state: &State, look: &Look<'_>) -> bool {
    let Look { settings, observation, .. } = *look;
    let window_ms = settings.window_ms();
    let is_past = |step_ms: Option<i64>, length_ms: i64| {
        step_ms.is_none_or(|step_ms| observation.now_ms - step_ms >= length_ms)
    };
    let reports = memory::fresh(settings, observation).count();
    let all_reported = u32::try_from(reports).is_ok_and(|reports| reports >= observation.ready);
    !look.is_late()
        && all_reported
        && state.stable_since_ms.is_some()
        && is_past(state.last_up_ms, window_ms)
        && is_past(state.last_down_ms, window_ms.min(BETWEEN_DOWNS_MS))
}

const PARTITION_BOUND: &str =
    "One partition gets more than a whole worker does: no number of workers helps it.";
/// A step up is due when arrivals exceed the target by so much.
const SPARE: f64 = 0.1;
/// The rise that is survived without breaking the latency target, as far as [`LEAST_TARGET`] lets it.
const RISE: f64 = 4.0;
/// How long a partition waits while it moves to another worker.
const MOVE_MS: i64 = 5_000;
/// Looks until a rise is seen for what it is.
const LOOKS: i64 = 2;
/// At least so much of each worker is planned for; the rest is spare.
const LEAST_TARGET: f64 = 0.55;
/// A group that is stable for so long shows what its workers do.
const SETTLED_MS: i64 = 60_000;
/// A gain below this share of the present rate is lost in noise.
const NOTABLE: f64 = 0.1;
/// What will have waited for this share of the latency target, and no more, is in time.
const IN_TIME: f64 = 0.75;
/// The longest backoff, as a multiple of the first.
const MOST_BACKOFF: i64 = 8;
/// A step down that saves this share of the workers or less is hardly worth the pause of the partitions that move.
const LITTLE: f64 = 0.2;
/// It waits for so many windows.
const LITTLE_WINDOWS: f64 = 6.0;
/// No step down waits for less.
const LEAST_WINDOWS: f64 = 0.5;
/// Steps down are at least so far apart.
const BETWEEN_DOWNS_MS: i64 = 300_000;
