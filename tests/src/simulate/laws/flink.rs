//! The autoscaler of Flink's Kubernetes operator.
//!
//! Owns its formulas for a source vertex: `ScalingMetricEvaluator`, `JobVertexScaler`, `DelayedScaleDown`, alignment
//! `BALANCED`. Its restart of the whole job is not counted against it.

use super::super::trace::count;
use super::hpa::ceil;
use super::{Law, View};

/// Its options, in seconds and shares.
pub(super) struct Options {
    interval: usize,
    stabilization: usize,
    window: usize,
    utilization: f64,
    lowest: f64,
    highest: f64,
    catch_up: f64,
    restart: f64,
    down_interval: usize,
}

/// As it comes.
pub(super) const DEFAULT: Options = Options {
    interval: 60,
    stabilization: 300,
    window: 900,
    utilization: 0.7,
    lowest: 0.4,
    highest: 1.0,
    catch_up: 1800.0,
    restart: 300.0,
    down_interval: 3600,
};
/// As its documentation's basic example has it.
pub(super) const DOCS: Options = Options {
    interval: 60,
    stabilization: 60,
    window: 300,
    utilization: 0.6,
    lowest: 0.4,
    highest: 0.8,
    catch_up: 300.0,
    restart: 120.0,
    down_interval: 3600,
};
/// As fast as seems sensible.
pub(super) const FAST: Options = Options {
    interval: 15,
    stabilization: 30,
    window: 120,
    utilization: 0.7,
    lowest: 0.4,
    highest: 0.85,
    catch_up: 120.0,
    restart: 45.0,
    down_interval: 300,
};

/// The law with these options.
pub(super) fn law(options: &'static Options) -> Box<dyn Law> {
    Box::new(Flink { options, samples: Vec::new(), rescaled_at: 0, down: None })
}

struct Sample {
    second: usize,
    lag: f64,
    processed: f64,
    rate: f64,
    busy: f64,
}

struct Flink {
    options: &'static Options,
    samples: Vec<Sample>,
    rescaled_at: usize,
    /// The first request for fewer workers, and the largest since.
    down: Option<(usize, usize)>,
}

impl Law for Flink {
    fn decide(&mut self, view: &View<'_>) -> usize {
        if !view.second.is_multiple_of(self.options.interval) || !view.has_metrics {
            return view.replicas;
        }
        let settles =
            view.ready < view.replicas || view.second < self.rescaled_at + self.options.stabilization;
        if settles {
            return view.replicas;
        }
        self.samples.push(Sample {
            second: view.second,
            lag: view.metrics.lag(),
            processed: view.metrics.processed(),
            rate: view.metrics.workers.iter().map(|worker| worker.rate).sum(),
            busy: view.metrics.workers.iter().map(|worker| worker.busy).fold(0.0, f64::max),
        });
        let window = self.options.window;
        let first = self.samples.first().map_or(view.second, |sample| sample.second);
        if view.second - first < window {
            return view.replicas;
        }
        self.samples.retain(|sample| view.second - sample.second <= window);
        let wanted = self.evaluate(view);
        if wanted != view.replicas {
            self.rescaled_at = view.second;
            self.samples.clear();
            self.down = None;
        }
        wanted
    }
}

impl Flink {
    fn evaluate(&mut self, view: &View<'_>) -> usize {
        let options = self.options;
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else {
            return view.replicas;
        };
        let elapsed = count((last.second - first.second).max(1));
        let data_rate = ((last.processed + last.lag - first.processed - first.lag) / elapsed).max(0.0);
        let samples = count(self.samples.len());
        let rate = self.samples.iter().map(|sample| sample.rate).sum::<f64>() / samples;
        let busy = self.samples.iter().map(|sample| sample.busy).sum::<f64>() / samples;
        let mut true_rate = rate / busy.max(0.01);
        let lagging: Vec<f64> = self
            .samples
            .iter()
            .filter(|sample| sample.lag >= OBSERVED_LAG_S * sample.rate)
            .map(|sample| sample.rate)
            .collect();
        if lagging.len() >= 2 {
            let observed = lagging.iter().sum::<f64>() / count(lagging.len());
            if true_rate > OBSERVED_SWITCH * observed {
                true_rate = observed;
            }
        }
        let has_backlog = last.lag / rate.max(1.0) > BACKLOG_S;
        let (lowest, highest) = if has_backlog { (0.0, 1.0) } else { (options.lowest, options.highest) };
        let target = |utilization: f64, with_restart: bool| {
            let restart = if with_restart { data_rate * options.restart / options.catch_up } else { 0.0 };
            last.lag / options.catch_up + restart + data_rate / utilization
        };
        let is_high = true_rate < target(highest, false);
        let is_low = lowest > 0.0 && true_rate > target(lowest, true);
        if !is_high && !is_low {
            self.down = None;
            return view.replicas;
        }
        let factor = (target(options.utilization, true) / true_rate.max(1.0)).max(1.0 - MOST_DOWN);
        let wanted = balanced(ceil(factor * count(view.replicas)).max(1), view.partitions);
        if wanted >= view.replicas {
            self.down = None;
            return wanted;
        }
        let (since, largest) = self.down.unwrap_or((view.second, wanted));
        let largest = largest.max(wanted);
        self.down = Some((since, largest));
        if view.second - since >= options.down_interval { largest } else { view.replicas }
    }
}

/// The next number above with which the partitions spread better.
fn balanced(wanted: usize, partitions: usize) -> usize {
    let spreads = |number: &usize| {
        partitions.is_multiple_of(*number) || partitions / number < partitions / wanted.min(partitions)
    };
    (wanted.min(partitions)..=partitions).find(spreads).unwrap_or(partitions)
}

const OBSERVED_LAG_S: f64 = 30.0;
const OBSERVED_SWITCH: f64 = 1.15;
const BACKLOG_S: f64 = 300.0;
const MOST_DOWN: f64 = 0.6;
