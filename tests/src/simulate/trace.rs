//! The loads and troubles that every law is tried on.
//!
//! Owns what arrives when, and how workers and metrics behave meanwhile. It knows no law.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Records a second that one worker does.
pub const CAPACITY: f64 = 1000.0;

/// One trace: a load and the plant's behaviour under it.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its length.
    pub seconds: usize,
    /// Records a second, by the second.
    rate: fn(usize) -> f64,
    /// Records that come at once: when and how many.
    burst: Option<(usize, f64)>,
    /// Records a second of one partition that is not like the others.
    odd: Option<f64>,
    /// What all workers together can get rid of: from, until, records a second.
    cap: Option<(usize, usize, f64)>,
    /// When no metrics come: from, until.
    outage: Option<(usize, usize)>,
    /// How long a worker takes to start: at least and at most.
    pub(super) start: (f64, f64),
    /// How long a partition pauses when it moves.
    pub(super) pause: usize,
    /// Whether all partitions pause when one moves.
    pub(super) is_eager: bool,
}

impl Trace {
    /// What all workers together can get rid of at this second.
    pub(super) fn cap(&self, second: usize) -> f64 {
        let capped = self.cap.filter(|(from, until, _)| (*from..*until).contains(&second));
        capped.map_or(f64::INFINITY, |(_, _, cap)| cap)
    }

    /// Whether metrics come at this second.
    pub(super) fn has_metrics(&self, second: usize) -> bool {
        self.outage.is_none_or(|(from, until)| !(from..until).contains(&second))
    }

    /// Workers at the start.
    pub(super) fn first_replicas(&self) -> usize {
        let mut replicas = 1;
        while CAPACITY * 0.7 * count(replicas) < (self.rate)(0) {
            replicas += 1;
        }
        replicas
    }

    /// Records a second at this second, without noise.
    pub(super) fn rate(&self, second: usize) -> f64 {
        (self.rate)(second)
    }
}

/// What has arrived by when: the same for every law.
pub(super) struct Arrivals {
    /// The topic's partitions.
    pub(super) partitions: usize,
    ends: Vec<f64>,
}

impl Arrivals {
    /// Draws a trace's arrivals: each partition's share with 5 % noise.
    pub(super) fn draw(trace: &Trace, partitions: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut ends = Vec::with_capacity(trace.seconds * partitions);
        let mut now = vec![0.0; partitions];
        for second in 0..trace.seconds {
            let rate = (trace.rate)(second);
            let burst = trace.burst.filter(|(at, _)| *at == second).map_or(0.0, |(_, records)| records);
            for (partition, end) in now.iter_mut().enumerate() {
                let mean = match trace.odd {
                    Some(odd) if partition == 0 => odd,
                    Some(odd) => (rate - odd).max(0.0) / count(partitions - 1),
                    None => rate / count(partitions),
                };
                *end += (mean * (1.0 + NOISE * normal(&mut random))).max(0.0) + burst / count(partitions);
            }
            ends.extend_from_slice(&now);
        }
        Self { partitions, ends }
    }

    /// All partitions' log ends after this second.
    pub(super) fn ends(&self, second: usize) -> &[f64] {
        let from = second * self.partitions;
        self.ends.get(from..from + self.partitions).unwrap_or_default()
    }

    /// One partition's log end after this second.
    pub(super) fn end(&self, second: usize, partition: usize) -> f64 {
        self.ends.get(second * self.partitions + partition).copied().unwrap_or(f64::INFINITY)
    }
}

/// A draw from the standard normal distribution.
pub(super) fn normal(random: &mut StdRng) -> f64 {
    let (one, two): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * two).cos()
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts in a simulation are small")]
pub(super) fn count(count: usize) -> f64 {
    count as f64
}

const NOISE: f64 = 0.05;
const FOUR_HOURS: usize = 14_400;

/// A quiet trace, from which the others differ.
const PLAIN: Trace = Trace {
    name: "plain",
    about: "",
    seconds: FOUR_HOURS,
    rate: |_| 6000.0,
    burst: None,
    odd: None,
    cap: None,
    outage: None,
    start: (15.0, 30.0),
    pause: 5,
    is_eager: false,
};

fn diurnal(second: usize) -> f64 {
    6000.0 - 5000.0 * (std::f64::consts::TAU * count(second) / 86_400.0).cos()
}

fn spike(second: usize) -> f64 {
    if (3600..4200).contains(&second) || (10_000..10_600).contains(&second) { 18_000.0 } else { 3000.0 }
}

fn step(second: usize) -> f64 {
    if (3600..10_800).contains(&second) { 12_000.0 } else { 3000.0 }
}

/// All traces.
pub const TRACES: [Trace; 11] = [
    Trace {
        name: "diurnal",
        about: "one day between 1,000 and 11,000 records/s",
        seconds: 86_400,
        rate: diurnal,
        ..PLAIN
    },
    Trace { name: "spike", about: "3,000, twice 18,000 for ten minutes", rate: spike, ..PLAIN },
    Trace { name: "step", about: "3,000, two hours of 12,000, 3,000", rate: step, ..PLAIN },
    Trace {
        name: "backlog",
        about: "3,000, and 5 million records at once",
        rate: |_| 3000.0,
        burst: Some((600, 5_000_000.0)),
        ..PLAIN
    },
    Trace {
        name: "skew",
        about: "3,000 to 8,000; one partition gets 900",
        rate: |second| if second < 1200 { 3000.0 } else { 8000.0 },
        odd: Some(900.0),
        ..PLAIN
    },
    Trace {
        name: "hot",
        about: "6,000; one partition gets 1,500, more than a worker does",
        odd: Some(1500.0),
        ..PLAIN
    },
    Trace {
        name: "saw",
        about: "2,000 and 8,000 in turn, five minutes each",
        rate: |second| if (second / 300).is_multiple_of(2) { 2000.0 } else { 8000.0 },
        ..PLAIN
    },
    Trace {
        name: "downcap",
        about: "6,000; for 90 minutes what is behind the workers takes 5,000",
        cap: Some((3600, 9000, 5000.0)),
        ..PLAIN
    },
    Trace {
        name: "outage",
        about: "6,000 to 10,000 while no metrics come for five minutes",
        rate: |second| if (3700..9000).contains(&second) { 10_000.0 } else { 6000.0 },
        outage: Some((3600, 3900)),
        ..PLAIN
    },
    Trace {
        name: "slow-start",
        about: "the step, with workers that take 60 to 90 s to start",
        rate: step,
        start: (60.0, 90.0),
        ..PLAIN
    },
    Trace {
        name: "costly",
        about: "the spike, and every rebalance stops all partitions for 10 s",
        rate: spike,
        pause: 10,
        is_eager: true,
        ..PLAIN
    },
];
