//! What the offsets say: arrival, lag and its age, for each partition.
//!
//! Owns the arithmetic over the history of offsets. It does not know what a worker does.

use super::observation::{History, Observation, Offsets, PartitionOffsets};
use super::settings::Settings;

/// What one partition asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    /// The partition.
    pub(super) partition: i32,
    /// Records that arrive each second.
    pub(super) arrival: f64,
    /// Records that wait.
    pub(super) lag: f64,
    /// How long the oldest of them has waited.
    pub(super) age_ms: i64,
}

/// What all partitions ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Demand {
    /// In the order of the partitions.
    pub(super) loads: Vec<Load>,
    /// Whether the arrivals were measured over long enough.
    pub(super) is_measured: bool,
    /// Records a second that the group commits.
    pub(super) drained: f64,
    /// The sum of all log ends.
    pub(super) ends: i64,
}

impl Demand {
    /// What a partition asks for; none when it is unknown.
    pub(super) fn load(&self, partition: i32) -> Option<&Load> {
        let index = self.loads.binary_search_by_key(&partition, |load| load.partition).ok()?;
        self.loads.get(index)
    }

    pub(super) fn arrival(&self) -> f64 {
        self.loads.iter().map(|load| load.arrival).sum()
    }

    pub(super) fn lag(&self) -> f64 {
        self.loads.iter().map(|load| load.lag).sum()
    }

    pub(super) fn age_ms(&self) -> i64 {
        self.loads.iter().map(|load| load.age_ms).max().unwrap_or(0)
    }
}

/// Why the lag is unknown, as the end of a sentence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unknown(pub(super) String);

/// Reads the history. A missing answer is unknown, and never zero.
pub(super) fn look(settings: &Settings, observation: &Observation<'_>) -> Result<Demand, Unknown> {
    let history = observation.offsets;
    let latest = history.latest().ok_or_else(|| Unknown("no offsets have been read yet".to_owned()))?;
    let old_ms = observation.now_ms - latest.at_ms;
    if old_ms > settings.stale_after.ms() {
        return Err(Unknown(format!(
            "the newest offsets are older than {} s",
            settings.stale_after.ms() / 1000
        )));
    }
    let Some(partitions) = observation.partitions else {
        return Err(Unknown("the topic's partitions are unknown".to_owned()));
    };
    let answered = u32::try_from(latest.partitions.len()).unwrap_or(u32::MAX);
    if answered < partitions {
        return Err(Unknown(format!("only {answered} of {partitions} partitions answered")));
    }
    let short = Arrivals::over(history, latest, SHORT_MS);
    let long = Arrivals::over(history, latest, LONG_MS);
    // The set with the larger sum: quick to see a rise, slow to believe a fall.
    let arrivals = if short.sum() >= long.sum() { &short } else { &long };
    Ok(measure(latest, observation, arrivals))
}

/// The same by what arrived in the newest seconds alone: a rise at once, and noise too.
pub(super) fn look_hastily(observation: &Observation<'_>) -> Option<Demand> {
    let latest = observation.offsets.latest()?;
    let newest = Arrivals::over(observation.offsets, latest, HASTY_MS);
    Some(measure(latest, observation, &newest))
}

fn measure(latest: &Offsets, observation: &Observation<'_>, arrivals: &Arrivals) -> Demand {
    let history = observation.offsets;
    let mut demand = Demand { is_measured: arrivals.is_measured, ..Demand::default() };
    for (now, arrival) in latest.partitions.iter().zip(&arrivals.rates) {
        let at = now.position(observation.from_earliest);
        let lag = now.end.saturating_sub(at).max(0);
        // A single offset may be the mark of a transaction, which nobody reads.
        let age_ms = if lag <= 1 { 0 } else { age_ms(history, now, at, *arrival, observation.now_ms) };
        demand.ends = demand.ends.saturating_add(now.end);
        demand.loads.push(Load { partition: now.partition, arrival: *arrival, lag: number(lag), age_ms });
    }
    demand.drained = drained(history, latest);
    demand
}

/// Rates of arrival, one for each partition of the newest look.
struct Arrivals {
    rates: Vec<f64>,
    is_measured: bool,
}

impl Arrivals {
    fn over(history: &History, latest: &Offsets, span_ms: i64) -> Self {
        let rates = rates(history, latest, span_ms, |partition| Some(partition.end));
        let is_measured = rates.is_some();
        Self { rates: rates.unwrap_or_else(|| vec![0.0; latest.partitions.len()]), is_measured }
    }

    fn sum(&self) -> f64 {
        self.rates.iter().sum()
    }
}

/// Growth a second, over about that time; none when the history is shorter than [`ENOUGH_MS`].
fn rates(
    history: &History,
    latest: &Offsets,
    span_ms: i64,
    counter: impl Fn(&PartitionOffsets) -> Option<i64>,
) -> Option<Vec<f64>> {
    let wanted_ms = latest.at_ms - span_ms;
    let before = history.looks().rev().find(|look| look.at_ms <= wanted_ms);
    let before = before.or_else(|| history.looks().next())?;
    let elapsed_ms = latest.at_ms - before.at_ms;
    if elapsed_ms < ENOUGH_MS.min(span_ms) {
        return None;
    }
    let mut rates = Vec::with_capacity(latest.partitions.len());
    for now in &latest.partitions {
        let then = find(before, now.partition).and_then(&counter);
        let grown = counter(now).zip(then).map_or(0, |(now, then)| now.saturating_sub(then).max(0));
        rates.push(number(grown) * 1000.0 / number(elapsed_ms));
    }
    Some(rates)
}

fn drained(history: &History, latest: &Offsets) -> f64 {
    rates(history, latest, SHORT_MS, |partition| partition.committed).map_or(0.0, |rates| rates.iter().sum())
}

/// How long the record at this offset has been in the log: between two looks it is interpolated, before the first one
/// it is guessed from the rate.
fn age_ms(history: &History, now: &PartitionOffsets, at: i64, arrival: f64, now_ms: i64) -> i64 {
    let mut newer: Option<(i64, i64)> = None;
    for look in history.looks().rev() {
        let Some(then) = find(look, now.partition) else { break };
        if then.end <= at {
            let Some((newer_ms, newer_end)) = newer else { return now_ms - look.at_ms };
            let share = number(at - then.end) / number((newer_end - then.end).max(1));
            return now_ms - look.at_ms - whole(share * number(newer_ms - look.at_ms));
        }
        newer = Some((look.at_ms, then.end));
    }
    let Some((oldest_ms, oldest_end)) = newer else { return 0 };
    let before_ms = number(oldest_end - at) * 1000.0 / arrival.max(0.01);
    (now_ms - oldest_ms).saturating_add(whole(before_ms.min(LONGEST_MS)))
}

fn find(look: &Offsets, partition: i32) -> Option<&PartitionOffsets> {
    let index = look.partitions.binary_search_by_key(&partition, |entry| entry.partition).ok()?;
    look.partitions.get(index)
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "rates are estimates")]
pub(super) fn number(count: i64) -> f64 {
    count as f64
}

/// A number as a count; what does not fit is the nearest that does.
#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
pub(super) fn whole(value: f64) -> i64 {
    value.round() as i64
}

const SHORT_MS: i64 = 30_000;
/// For those in haste.
const HASTY_MS: i64 = 10_000;
/// The longest time over which arrivals are measured.
pub(super) const LONG_MS: i64 = 120_000;
/// No rate is made from less.
const ENOUGH_MS: i64 = 15_000;
/// A year: what waits for longer waits for ever.
const LONGEST_MS: f64 = 365.0 * 86_400_000.0;
