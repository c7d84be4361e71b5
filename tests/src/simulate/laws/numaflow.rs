//! Numaflow's autoscaler for a source.
//!
//! Owns its formula: pending records over the rate, to be worked off in a target time (`scaling.go`).

use std::collections::VecDeque;

use super::super::trace::count;
use super::{Law, View};

/// The law with this target time, and so many workers a step.
pub(super) fn law(target_s: f64, step: usize) -> Box<dyn Law> {
    Box::new(Numaflow { target_s, step, samples: VecDeque::new(), scaled_at: 0 })
}

struct Numaflow {
    target_s: f64,
    step: usize,
    /// Time, pending, processed.
    samples: VecDeque<(usize, f64, f64)>,
    scaled_at: usize,
}

impl Law for Numaflow {
    fn decide(&mut self, view: &View<'_>) -> usize {
        if !view.second.is_multiple_of(INTERVAL) || !view.has_metrics || view.metrics.at == 0 {
            return view.replicas;
        }
        self.samples.push_back((view.metrics.at, view.metrics.lag(), view.metrics.processed()));
        self.samples.retain(|(second, ..)| view.second - second <= LOOKBACK);
        if view.ready != view.replicas || view.second < self.scaled_at + COOLDOWN {
            return view.replicas;
        }
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return view.replicas;
        };
        if last.0 == first.0 {
            return view.replicas;
        }
        let rate = (last.2 - first.2) / count(last.0 - first.0);
        let pending =
            self.samples.iter().map(|(_, pending, _)| pending).sum::<f64>() / count(self.samples.len());
        if rate <= 0.0 {
            return view.replicas;
        }
        let wanted =
            whole((pending / rate / self.target_s * count(view.ready)).round()).clamp(1, view.partitions);
        let wanted = wanted.clamp(view.replicas.saturating_sub(self.step).max(1), view.replicas + self.step);
        if wanted != view.replicas {
            self.scaled_at = view.second;
        }
        wanted
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
fn whole(value: f64) -> usize {
    value as usize
}

const INTERVAL: usize = 30;
const LOOKBACK: usize = 120;
const COOLDOWN: usize = 90;
