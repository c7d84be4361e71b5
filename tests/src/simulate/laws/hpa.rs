//! Kubernetes' HPA, on KEDA's lag and on busy share.
//!
//! Owns both formulas as their sources have them: `kafka_scaler.go`, `replica_calculator.go`, `horizontal.go`.

use std::collections::VecDeque;

use super::super::trace::count;
use super::{Law, View};

/// KEDA's Kafka scaler: lag over a threshold, in records.
pub(super) fn keda(threshold: f64, is_even: bool) -> Box<dyn Law> {
    Box::new(Hpa {
        metric: Metric::Lag { threshold, is_even },
        recommended: VecDeque::new(),
        told: VecDeque::new(),
    })
}

/// The mean busy share.
pub(super) fn busy(target: f64) -> Box<dyn Law> {
    Box::new(Hpa { metric: Metric::Busy { target }, recommended: VecDeque::new(), told: VecDeque::new() })
}

enum Metric {
    Lag { threshold: f64, is_even: bool },
    Busy { target: f64 },
}

struct Hpa {
    metric: Metric,
    /// Recommendations of the last five minutes.
    recommended: VecDeque<(usize, usize)>,
    /// Numbers of workers in the last period.
    told: VecDeque<(usize, usize)>,
}

impl Law for Hpa {
    fn decide(&mut self, view: &View<'_>) -> usize {
        if !view.second.is_multiple_of(PERIOD) || !view.has_metrics || view.metrics.workers.is_empty() {
            return view.replicas;
        }
        let wanted = match self.metric {
            Metric::Lag { threshold, is_even } => by_lag(view, threshold, is_even),
            Metric::Busy { target } => by_busy(view, target),
        };
        let wanted = wanted.clamp(1, view.partitions);
        self.recommended.push_back((view.second, wanted));
        self.recommended.retain(|(second, _)| view.second - second <= DOWN_WINDOW);
        let highest = self.recommended.iter().map(|(_, replicas)| *replicas).max().unwrap_or(wanted);
        // Up without a window, down to the highest recommendation of the window.
        let wanted = if wanted >= view.replicas { wanted } else { highest.min(view.replicas) };
        self.told.push_back((view.second, view.replicas));
        self.told.retain(|(second, _)| view.second - second <= PERIOD);
        let before = self.told.front().map_or(view.replicas, |(_, replicas)| *replicas);
        wanted.min((before + 4).max(before * 2))
    }
}

fn by_lag(view: &View<'_>, threshold: f64, is_even: bool) -> usize {
    let mut total = view.metrics.lag();
    if is_even {
        let divisors = (1..=view.partitions).filter(|number| view.partitions.is_multiple_of(*number));
        let mut enough = divisors.filter(|number| count(*number) * threshold >= total);
        total = count(enough.next().unwrap_or(view.partitions)) * threshold;
    }
    total = total.min(count(view.partitions) * threshold);
    let ratio = total / (threshold * count(view.replicas));
    if (1.0 - ratio).abs() <= TOLERANCE { view.replicas } else { ceil(total / threshold) }
}

fn by_busy(view: &View<'_>, target: f64) -> usize {
    let busy: f64 = view.metrics.workers.iter().map(|worker| worker.busy).sum();
    let members = count(view.metrics.workers.len());
    let ratio = busy / members / target;
    if (1.0 - ratio).abs() <= TOLERANCE {
        return view.replicas;
    }
    if ratio < 1.0 || view.ready == view.replicas {
        return ceil(ratio * members);
    }
    // Workers that are not ready count as idle when the number would rise.
    let careful = busy / count(view.replicas) / target;
    if careful <= 1.0 + TOLERANCE { view.replicas } else { ceil(careful * count(view.replicas)) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
pub(super) fn ceil(value: f64) -> usize {
    (value - 1e-9).ceil() as usize
}

const PERIOD: usize = 15;
const DOWN_WINDOW: usize = 300;
const TOLERANCE: f64 = 0.1;
