//! Rollcall's law: the function that the operator runs.
//!
//! Owns the translation of the plant's metrics into an observation, and nothing of the law.

use rollcall_operator::scaling::{
    self, History, Observation, Offsets, PartitionOffsets, Profile, Settings, State, WorkerReport,
};

use super::{Law, View};

/// As it comes.
pub(super) fn latency() -> Box<dyn Law> {
    Box::new(Rollcall { settings: Settings::default(), state: State::default(), history: History::default() })
}

/// With `profile: Economy`.
pub(super) fn economy() -> Box<dyn Law> {
    let settings = Settings { profile: Profile::Economy, ..Settings::default() };
    Box::new(Rollcall { settings, state: State::default(), history: History::default() })
}

struct Rollcall {
    settings: Settings,
    state: State,
    history: History,
}

impl Law for Rollcall {
    fn decide(&mut self, view: &View<'_>) -> usize {
        if !view.second.is_multiple_of(INTERVAL_S) || view.metrics.at == 0 {
            return view.replicas;
        }
        let at_ms = ms(view.metrics.at);
        let offsets = view.metrics.ends.iter().zip(&view.metrics.committed).enumerate();
        self.history.push(Offsets {
            at_ms,
            partitions: offsets
                .map(|(partition, (end, committed))| PartitionOffsets {
                    partition: i32::try_from(partition).unwrap_or(i32::MAX),
                    end: whole(*end),
                    start: 0,
                    committed: Some(whole(*committed)),
                })
                .collect(),
        });
        let workers: Vec<WorkerReport> = view
            .metrics
            .workers
            .iter()
            .map(|worker| WorkerReport {
                at_ms,
                since_ms: Some(ms(worker.since)),
                rate: worker.rate,
                busy: worker.busy,
                blocked: None,
                partitions: worker.partitions.iter().filter_map(|id| i32::try_from(*id).ok()).collect(),
            })
            .collect();
        let observation = Observation {
            now_ms: ms(view.second),
            paused: false,
            requested: None,
            partitions: u32::try_from(view.partitions).ok(),
            from_earliest: true,
            offsets: &self.history,
            workers: &workers,
            group_stable: view.is_stable,
            replicas: u32::try_from(view.replicas).unwrap_or(u32::MAX),
            ready: u32::try_from(view.ready).unwrap_or(u32::MAX),
            rollout: false,
        };
        let mut state = std::mem::take(&mut self.state);
        // The operator started the first workers itself, before the trace begins.
        state.settle_ms.get_or_insert(whole(view.first_start * 1000.0));
        let (state, decision) = scaling::decide(&self.settings, state, &observation);
        self.state = state;
        usize::try_from(decision.replicas).unwrap_or(usize::MAX)
    }
}

fn ms(second: usize) -> i64 {
    i64::try_from(second).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[expect(clippy::cast_possible_truncation, reason = "records in a simulation are few")]
fn whole(value: f64) -> i64 {
    value.floor() as i64
}

const INTERVAL_S: usize = 10;
