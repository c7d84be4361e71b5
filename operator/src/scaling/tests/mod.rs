//! A small world for the law's tests: a topic whose load is spread evenly, and workers that do what they can.

mod issues;
mod properties;
mod rules;

use super::demand::number;
use super::{
    Decision, History, Observation, Offsets, PartitionOffsets, Settings, State, WorkerReport, decide,
};

/// The world. Tests change its fields between looks.
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble of its own")]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) history: History,
    pub(super) now_ms: i64,
    pub(super) partitions: Vec<PartitionOffsets>,
    /// Records a second for each partition.
    pub(super) arrival: i64,
    /// Records a second that one worker does.
    pub(super) capacity: i64,
    /// Records a second that all workers together get rid of.
    pub(super) downstream: i64,
    pub(super) replicas: u32,
    /// Workers that are ready; all when none.
    pub(super) ready: Option<u32>,
    pub(super) from_earliest: bool,
    /// Whether offsets are read.
    pub(super) reads: bool,
    /// Whether workers report.
    pub(super) reports: bool,
    pub(super) rollout: bool,
    pub(super) paused: bool,
    pub(super) requested: Option<u32>,
    /// The most that a worker says of its busy share.
    pub(super) most_busy: f64,
    /// Whether workers wait for what is downstream whenever they do nothing else, and are busy with it.
    pub(super) waits: bool,
    /// Whether what is decided is done.
    pub(super) obeys: bool,
    pub(super) decisions: Vec<Decision>,
}

impl World {
    pub(super) fn new(partitions: i32, replicas: u32, arrival: i64) -> Self {
        let first = |partition| PartitionOffsets { partition, end: FIRST, start: 0, committed: Some(FIRST) };
        Self {
            settings: Settings::default(),
            state: State { capacity: Some(1000), ..State::default() },
            history: History::default(),
            now_ms: 1_000_000,
            partitions: (0..partitions).map(first).collect(),
            arrival,
            capacity: 1000,
            downstream: i64::MAX,
            replicas,
            ready: None,
            from_earliest: true,
            reads: true,
            reports: true,
            rollout: false,
            paused: false,
            requested: None,
            most_busy: 1.0,
            waits: false,
            obeys: true,
            decisions: Vec::new(),
        }
    }

    fn ready(&self) -> u32 {
        self.ready.unwrap_or(self.replicas)
    }

    fn each(&self) -> i64 {
        let most = (i64::from(self.ready()) * self.capacity).min(self.downstream);
        most * LOOK_S / i64::try_from(self.partitions.len()).unwrap()
    }

    fn workers(&self, done: i64) -> Vec<WorkerReport> {
        let ready = i64::from(self.ready());
        let all: Vec<i32> = self.partitions.iter().map(|entry| entry.partition).collect();
        let rate = if ready == 0 { 0.0 } else { number(done) / number(LOOK_S * ready) };
        (0..ready)
            .map(|index| WorkerReport {
                at_ms: self.now_ms,
                since_ms: None,
                rate,
                busy: if self.waits { 1.0 } else { (rate / number(self.capacity)).min(self.most_busy) },
                blocked: self.waits.then_some(0.6),
                partitions: all.iter().copied().filter(|id| i64::from(*id) % ready == index).collect(),
            })
            .collect()
    }

    /// Ten seconds pass, and the law looks.
    pub(super) fn look(&mut self) -> Decision {
        self.now_ms += LOOK_S * 1000;
        let (each, mut done) = (self.each(), 0);
        for entry in &mut self.partitions {
            entry.end += self.arrival * LOOK_S;
            if let Some(committed) = &mut entry.committed {
                let share = each.min(entry.end - (*committed).max(entry.start)).max(0);
                *committed = (*committed).max(entry.start) + share;
                done += share;
            }
        }
        if self.reads {
            self.history.push(Offsets { at_ms: self.now_ms, partitions: self.partitions.clone() });
        }
        let workers = if self.reports { self.workers(done) } else { Vec::new() };
        let state = std::mem::take(&mut self.state);
        let (state, decision) = decide(&self.settings, state, &self.observation(&workers));
        self.state = state;
        if self.obeys {
            self.replicas = decision.replicas;
        }
        self.decisions.push(decision.clone());
        decision
    }

    pub(super) fn observation<'a>(&'a self, workers: &'a [WorkerReport]) -> Observation<'a> {
        Observation {
            now_ms: self.now_ms,
            paused: self.paused,
            requested: self.requested,
            partitions: u32::try_from(self.partitions.len()).ok(),
            from_earliest: self.from_earliest,
            offsets: &self.history,
            workers,
            group_stable: self.ready() == self.replicas,
            replicas: self.replicas,
            ready: self.ready(),
            rollout: self.rollout,
        }
    }

    /// So many seconds pass.
    pub(super) fn run(&mut self, seconds: i64) -> Decision {
        for _ in 1..seconds / LOOK_S {
            self.look();
        }
        self.look()
    }

    /// The group goes back by so many records in so many partitions: a lag without arrivals.
    pub(super) fn fall_behind(&mut self, partitions: usize, records: i64) {
        for entry in self.partitions.iter_mut().take(partitions) {
            entry.committed = entry.committed.map(|committed| committed - records);
        }
    }

    /// How often the number of workers changed.
    pub(super) fn steps(&self) -> usize {
        self.decisions.windows(2).filter(|pair| pair[0].replicas != pair[1].replicas).count()
    }
}

const LOOK_S: i64 = 10;
/// Where the log ends at first.
const FIRST: i64 = 1_000_000;
