//! Which number of workers is enough.
//!
//! Owns the rule that the hottest worker decides: Kafka deals out partitions by number, not by load.

use super::demand::Load;

/// How what waits is worked off.
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchUp {
    /// In so many seconds.
    pub(super) within_s: f64,
    /// Apart from the records of so many seconds.
    pub(super) slack_s: f64,
}

/// What the partitions weigh, in records a second that a worker must be able to do for them.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    capacity: f64,
    partitions: u32,
    sum: f64,
    max: f64,
}

impl Weights {
    /// Weighs the partitions. `utilization` is the share of a worker that arrivals may fill; with `catch_up`, what
    /// waits is to be worked off in that time besides.
    pub(super) fn new(loads: &[Load], capacity: f64, utilization: f64, catch_up: Option<CatchUp>) -> Self {
        let partitions = u32::try_from(loads.len()).unwrap_or(u32::MAX);
        let mut weights = Self { capacity, partitions, sum: 0.0, max: 0.0 };
        for load in loads {
            let weight = weight(load, capacity, utilization, catch_up);
            weights.sum += weight;
            weights.max = weights.max.max(weight);
        }
        weights
    }

    /// Whether so many workers are enough: all together, and the one with the heaviest partition.
    pub(super) fn fit(&self, replicas: u32) -> bool {
        if replicas == 0 {
            return self.sum <= 0.0;
        }
        let shared = f64::from(self.partitions.div_ceil(replicas).saturating_sub(1));
        let others = f64::from(self.partitions.saturating_sub(1)).max(1.0);
        let other = ((self.sum - self.max) / others).max(0.0);
        self.sum <= f64::from(replicas) * self.capacity && self.max + shared * other <= self.capacity
    }

    /// The smallest useful number of workers that is enough; the largest when none is.
    pub(super) fn needed(&self) -> u32 {
        let steps = useful(self.partitions);
        let enough = steps.iter().copied().find(|replicas| self.fit(*replicas));
        enough.unwrap_or(self.partitions).max(1)
    }

    /// Records a second in all.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }
}

/// Whether one partition gets more than a worker does. No number of workers helps it.
pub(super) fn is_hot(load: &Load, capacity: f64) -> bool {
    load.arrival > MOST * capacity
}

fn weight(load: &Load, capacity: f64, utilization: f64, catch_up: Option<CatchUp>) -> f64 {
    if is_hot(load, capacity) {
        return HOT * capacity;
    }
    let catch_up = catch_up.map_or(0.0, |CatchUp { within_s, slack_s }| {
        (load.lag - slack_s * load.arrival).max(0.0) / within_s.max(1.0)
    });
    (load.arrival / utilization + catch_up).min(MOST * capacity)
}

/// The numbers of workers that change what the hottest one has to do: one for each number of partitions a worker.
pub(super) fn useful(partitions: u32) -> Vec<u32> {
    let mut steps: Vec<u32> = (1..=partitions).map(|each| partitions.div_ceil(each)).collect();
    steps.dedup();
    steps.reverse();
    steps
}

/// The useful number at or above this one.
pub(super) fn round_up(partitions: u32, replicas: u32) -> u32 {
    useful(partitions).into_iter().find(|step| *step >= replicas).unwrap_or(partitions)
}

/// A partition weighs at most so much of a worker, so that one worker for it alone is enough.
const MOST: f64 = 0.98;
/// A partition that no worker can keep up with gets so much of one. It lags whatever is done; without this share its
/// neighbours would starve it, and with a whole worker every partition would need its own.
const HOT: f64 = 0.75;
