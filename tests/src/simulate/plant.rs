//! The plant: workers of one consumer group that work off what arrives.
//!
//! Owns how workers start and leave, how partitions move and pause, and what is measured. It decides nothing.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::laws::{Law, View};
use super::score::{Curve, Score};
use super::trace::{Arrivals, CAPACITY, Trace, count, normal};

/// What the workers and the group say of themselves, every five seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    /// When.
    pub(super) at: usize,
    /// Each partition's log end.
    pub(super) ends: Vec<f64>,
    /// Each partition's committed offset.
    pub(super) committed: Vec<f64>,
    /// Those that are members.
    pub(super) workers: Vec<Measured>,
}

/// What one worker says.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// Records a second.
    pub(super) rate: f64,
    /// Share of the time in which it worked.
    pub(super) busy: f64,
    /// Since when it is a member.
    pub(super) since: usize,
    /// Its partitions.
    pub(super) partitions: Vec<usize>,
}

impl Metrics {
    /// All records that wait.
    pub(super) fn lag(&self) -> f64 {
        self.ends.iter().zip(&self.committed).map(|(end, committed)| (end - committed).max(0.0)).sum()
    }

    /// All records that were worked off.
    pub(super) fn processed(&self) -> f64 {
        self.committed.iter().sum()
    }
}

/// Runs one law through one trace.
pub(super) fn run(trace: &Trace, arrivals: &Arrivals, law: &mut dyn Law, seed: u64) -> (Score, Curve) {
    let mut plant = Plant::new(trace, arrivals.partitions, seed);
    let (mut score, mut curve) = (Score::default(), Curve::default());
    for second in 0..trace.seconds {
        plant.change_members(second);
        plant.work(second, arrivals);
        let oldest = plant.oldest(second, arrivals);
        let lag = plant.lag(second, arrivals);
        score.seconds += count(usize::from(oldest > TARGET_S));
        score.hours += count(plant.workers.len()) / 3600.0;
        score.lag = score.lag.max(lag);
        curve.add(second, trace.seconds, trace.rate(second), plant.workers.len(), oldest);
        if second % MEASURED_EVERY == 0 && second > 0 && trace.has_metrics(second) {
            plant.measure(second, arrivals);
        }
        let ready = plant.workers.iter().filter(|worker| worker.is_member).count();
        let wanted = law.decide(&View {
            second,
            replicas: plant.workers.len(),
            ready,
            is_stable: plant.changed_at.is_none() && second >= plant.moving_until,
            has_metrics: trace.has_metrics(second),
            first_start: plant.first_start,
            partitions: arrivals.partitions,
            metrics: &plant.metrics,
        });
        score.steps += count(usize::from(wanted != plant.workers.len()));
        plant.scale(second, wanted);
    }
    score.moves = count(plant.moves);
    score.rebalances = count(plant.rebalances);
    (score, curve)
}

struct Worker {
    ready_at: f64,
    is_member: bool,
    since: usize,
    partitions: Vec<usize>,
    processed: f64,
}

struct Plant<'a> {
    trace: &'a Trace,
    random: StdRng,
    workers: Vec<Worker>,
    processed: Vec<f64>,
    paused_until: Vec<usize>,
    /// The second in which each partition's oldest waiting record arrived.
    oldest: Vec<usize>,
    /// When the membership first changed since the last rebalance.
    changed_at: Option<usize>,
    moving_until: usize,
    first_start: f64,
    metrics: Metrics,
    measured_at: usize,
    moves: usize,
    rebalances: usize,
}

impl<'a> Plant<'a> {
    fn new(trace: &'a Trace, partitions: usize, seed: u64) -> Self {
        let mut plant = Self {
            trace,
            random: StdRng::seed_from_u64(seed ^ 0x5eed),
            workers: Vec::new(),
            processed: vec![0.0; partitions],
            paused_until: vec![0; partitions],
            oldest: vec![0; partitions],
            changed_at: None,
            moving_until: 0,
            first_start: 0.0,
            metrics: Metrics::default(),
            measured_at: 0,
            moves: 0,
            rebalances: 0,
        };
        for _ in 0..trace.first_replicas().min(partitions) {
            let (least, most) = trace.start;
            let took = plant.random.random_range(least..most) + count(JOINED_WITHIN);
            plant.first_start = plant.first_start.max(took);
            plant.workers.push(Worker {
                ready_at: 0.0,
                is_member: true,
                since: 0,
                partitions: Vec::new(),
                processed: 0.0,
            });
        }
        plant.rebalance(0);
        plant.paused_until.fill(0);
        (plant.moves, plant.rebalances, plant.moving_until) = (0, 0, 0);
        plant
    }

    /// Lets ready workers join, and rebalances once the changes of three seconds are together.
    fn change_members(&mut self, second: usize) {
        for worker in &mut self.workers {
            if !worker.is_member && worker.ready_at <= count(second) {
                (worker.is_member, worker.since) = (true, second);
                self.changed_at.get_or_insert(second);
            }
        }
        if self.changed_at.is_some_and(|changed_at| second >= changed_at + JOINED_WITHIN) {
            self.changed_at = None;
            self.rebalance(second);
        }
    }

    /// Sticky and balanced by number: everybody keeps what it may, the rest goes to those that have least.
    fn rebalance(&mut self, second: usize) {
        let partitions = self.processed.len();
        let members = self.workers.iter().filter(|worker| worker.is_member).count();
        if members == 0 {
            return;
        }
        let (each, mut larger) = (partitions / members, partitions % members);
        let mut is_kept = vec![false; partitions];
        let mut order: Vec<usize> = (0..self.workers.len()).collect();
        order.retain(|index| self.workers.get(*index).is_some_and(|worker| worker.is_member));
        order.sort_by_key(|index| {
            std::cmp::Reverse(self.workers.get(*index).map_or(0, |worker| worker.partitions.len()))
        });
        let mut room = vec![0; self.workers.len()];
        for index in &order {
            let (Some(worker), Some(room)) = (self.workers.get_mut(*index), room.get_mut(*index)) else {
                continue;
            };
            let quota = each + usize::from(larger > 0);
            larger = larger.saturating_sub(1);
            worker.partitions.truncate(quota);
            *room = quota - worker.partitions.len();
            for partition in &worker.partitions {
                if let Some(kept) = is_kept.get_mut(*partition) {
                    *kept = true;
                }
            }
        }
        let mut moved =
            (0..partitions).filter(|partition| !is_kept.get(*partition).is_some_and(|kept| *kept));
        for index in order {
            let (Some(worker), Some(room)) = (self.workers.get_mut(index), room.get(index)) else { continue };
            for partition in moved.by_ref().take(*room) {
                worker.partitions.push(partition);
                self.moves += 1;
                if let Some(until) = self.paused_until.get_mut(partition) {
                    *until = second + self.trace.pause;
                }
            }
        }
        if self.trace.is_eager {
            self.paused_until.fill(second + self.trace.pause);
            self.moving_until = second + self.trace.pause;
        }
        self.rebalances += 1;
    }

    /// One second of work: each worker gives its partitions the same share, and what one leaves goes to the others.
    fn work(&mut self, second: usize, arrivals: &Arrivals) {
        let ends = arrivals.ends(second);
        let mut served = vec![0.0; ends.len()];
        let mut waiting: Vec<(f64, usize)> = Vec::new();
        for worker in self.workers.iter_mut().filter(|worker| worker.is_member) {
            waiting.clear();
            for partition in &worker.partitions {
                let is_paused = self.paused_until.get(*partition).is_some_and(|until| second < *until);
                let there = ends.get(*partition).zip(self.processed.get(*partition));
                if let (false, Some((end, processed))) = (is_paused, there) {
                    waiting.push((end - processed, *partition));
                }
            }
            let wanted: f64 = waiting.iter().map(|(records, _)| records).sum();
            if wanted > CAPACITY {
                waiting.sort_by(|left, right| left.0.total_cmp(&right.0));
            }
            let (mut left, mut others) = (CAPACITY, waiting.len());
            for (records, partition) in &waiting {
                let share = records.min(left / count(others));
                left -= share;
                others -= 1;
                if let Some(served) = served.get_mut(*partition) {
                    *served = share;
                }
            }
        }
        let total: f64 = served.iter().sum();
        let passed = (self.trace.cap(second) / total.max(1.0)).min(1.0);
        for (processed, served) in self.processed.iter_mut().zip(&served) {
            *processed += served * passed;
        }
        for worker in &mut self.workers {
            let of = |partition: &usize| served.get(*partition).copied().unwrap_or(0.0);
            worker.processed += worker.partitions.iter().map(of).sum::<f64>() * passed;
        }
    }

    /// How old the oldest waiting record is.
    fn oldest(&mut self, second: usize, arrivals: &Arrivals) -> f64 {
        let mut oldest = second + 1;
        for (partition, (arrived, processed)) in self.oldest.iter_mut().zip(&self.processed).enumerate() {
            while *arrived <= second && arrivals.end(*arrived, partition) <= processed + 0.5 {
                *arrived += 1;
            }
            oldest = oldest.min(*arrived);
        }
        count(second + 1 - oldest)
    }

    fn lag(&self, second: usize, arrivals: &Arrivals) -> f64 {
        arrivals.ends(second).iter().sum::<f64>() - self.processed.iter().sum::<f64>()
    }

    fn measure(&mut self, second: usize, arrivals: &Arrivals) {
        let elapsed = count((second - self.measured_at).max(1));
        self.measured_at = second;
        let random = &mut self.random;
        self.metrics.at = second;
        self.metrics.ends = arrivals.ends(second).to_vec();
        self.metrics.committed.clone_from(&self.processed);
        self.metrics.workers.clear();
        for worker in self.workers.iter_mut().filter(|worker| worker.is_member) {
            let rate = std::mem::take(&mut worker.processed) / elapsed;
            let busy = (rate / CAPACITY * (1.0 + BUSY_NOISE * normal(random))).clamp(0.0, 1.0);
            let partitions = worker.partitions.clone();
            self.metrics.workers.push(Measured { rate, busy, since: worker.since, partitions });
        }
    }

    /// Starts or stops workers: those that still start go first, then the youngest.
    fn scale(&mut self, second: usize, wanted: usize) {
        while self.workers.len() < wanted {
            let (least, most) = self.trace.start;
            let ready_at = count(second) + self.random.random_range(least..most);
            self.workers.push(Worker {
                ready_at,
                is_member: false,
                since: 0,
                partitions: Vec::new(),
                processed: 0.0,
            });
        }
        while self.workers.len() > wanted {
            let starting = self.workers.iter().rposition(|worker| !worker.is_member);
            let leaves = self.workers.remove(starting.unwrap_or(self.workers.len() - 1));
            if leaves.is_member {
                self.changed_at.get_or_insert(second);
            }
        }
    }
}

/// The latency target.
pub const TARGET_S: f64 = 60.0;
const MEASURED_EVERY: usize = 5;
const JOINED_WITHIN: usize = 3;
const BUSY_NOISE: f64 = 0.03;
