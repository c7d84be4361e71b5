//! A model of the whole protocol, in which everything that can go wrong does, at every moment.
//!
//! Owns the promises, and which steps and faults are possible when. Where a worker decides, its own functions do; the
//! checker walks through every order of steps that the faults in the budget allow.

mod configuration;
mod mutant;
mod promises;
mod steps;
mod tests;
mod world;

use std::sync::atomic::{AtomicU32, Ordering};

use stateright::{Model, Property};

use self::configuration::Configuration;
use self::mutant::Mutant;
use self::steps::{End, reload};
use self::world::{Lease, PARTITIONS, Stage, WORKERS, World};

/// The protocol, with or without a mistake.
struct Protocol {
    configuration: Configuration,
    mutant: Option<Mutant>,
    /// What has happened in any run, one bit for each [`Event`].
    seen: AtomicU32,
}

/// What must have happened for a check to say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Aborted,
    CommitFenced,
    ProducerFenced,
    CommitInDoubt,
    FlushRefused,
    ReplayedBelowAGate,
    AnotherTokenFound,
    OffsetUnstable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    // Without a fault.
    Restart(usize),
    TakeId(usize),
    Join(usize),
    AskKafka(usize, usize),
    Load(usize, usize),
    Read(usize, usize),
    SendOffsets(usize),
    Flush(usize, usize),
    Store(usize, usize),
    FindAnother(usize, usize),
    Lose(usize),
    SessionEnds(usize),
    TransactionEnds(usize),
    Complete(usize),
    LateEnd(usize),
    Commit(usize, End),
    // Faults.
    Crash(usize),
    Expel(usize),
    LoseReplyToFlush(usize, usize),
    Refuse(usize),
    Rollback,
    Empty,
    Move(usize),
}

impl Protocol {
    fn new(configuration: Configuration, mutant: Option<Mutant>) -> Self {
        Self { configuration, mutant, seen: AtomicU32::new(0) }
    }

    fn note(&self, event: Event) {
        self.seen.fetch_or(1 << event as u32, Ordering::Relaxed);
    }

    fn has_seen(&self, event: Event) -> bool {
        self.seen.load(Ordering::Relaxed) & 1 << event as u32 != 0
    }

    /// Steps that need no fault.
    fn steps(&self, world: &World, into: &mut Vec<Action>) {
        for w in 0..WORKERS {
            let (worker, transaction) = (&world.workers[w], &world.transactions[w]);
            if transaction.is_prepared {
                into.push(Action::Complete(w));
            }
            if transaction.late_end.is_some() {
                into.push(Action::LateEnd(w));
            }
            if !worker.is_up {
                into.push(Action::Restart(w));
            }
            if world.members[w].is_some() && world.members[w] != worker.member {
                into.push(Action::SessionEnds(w));
            }
            let is_alone = !worker.is_up || !world.is_member(w);
            if transaction.is_open && is_alone && worker.stage != Stage::OffsetsSent {
                into.push(Action::TransactionEnds(w));
            }
            for p in 0..PARTITIONS {
                if !world.sent[w][p].is_empty() && worker.stage != Stage::OffsetsSent {
                    into.push(Action::Store(w, p));
                }
            }
            if worker.is_up {
                self.steps_of(world, w, into);
            }
        }
    }

    fn steps_of(&self, world: &World, w: usize, into: &mut Vec<Action>) {
        let (worker, transaction) = (&world.workers[w], &world.transactions[w]);
        if worker.stage == Stage::OffsetsSent {
            into.push(Action::Commit(w, End::Answered));
            return;
        }
        if worker.member.is_some() && !world.is_member(w) {
            into.push(Action::Lose(w));
        }
        if worker.epoch.is_none() {
            if !transaction.is_prepared {
                into.push(Action::TakeId(w));
            }
            return;
        }
        if worker.member.is_none() && world.members[w].is_none() {
            into.push(Action::Join(w));
        }
        // A broker takes nothing for the next transaction while the last one is not over.
        let may_begin = !(transaction.is_prepared && world.is_latest(w));
        let records = self.configuration.records();
        let mut has_uncommitted = false;
        for (p, lease) in worker.leases.iter().enumerate() {
            match lease {
                Lease::None => {}
                Lease::Loading
                    if !world.is_unstable(p) || self.mutant == Some(Mutant::UnstableOffsetIsRead) =>
                {
                    into.push(Action::AskKafka(w, p));
                }
                Lease::Loading => self.note(Event::OffsetUnstable),
                Lease::HalfLoaded(_) => into.push(Action::Load(w, p)),
                Lease::Running(run) => {
                    has_uncommitted |= run.at.has_uncommitted();
                    if !run.reload && may_begin && run.at.read_next < records[p] {
                        into.push(Action::Read(w, p));
                    }
                    if self.is_flush_due(run) {
                        into.push(Action::Flush(w, p));
                    }
                    if self.finds_another(world, w, p) {
                        into.push(Action::FindAnother(w, p));
                    }
                }
            }
        }
        if may_begin && (has_uncommitted || worker.stage == Stage::Open) {
            into.push(Action::SendOffsets(w));
        }
    }

    fn faults(world: &World, into: &mut Vec<Action>) {
        let budget = &world.budget;
        for w in 0..WORKERS {
            let worker = &world.workers[w];
            if !worker.is_up {
                continue;
            }
            if budget.crashes > 0 {
                into.push(Action::Crash(w));
            }
            if budget.zombies > 0 && world.is_member(w) {
                into.push(Action::Expel(w));
            }
            if budget.refusals > 0 && worker.stage == Stage::Open {
                into.push(Action::Refuse(w));
            }
            if worker.stage == Stage::OffsetsSent {
                if budget.lost_commits > 0 {
                    let ends = [End::RequestLost, End::ReplyLost, End::RequestLate];
                    into.extend(ends.map(|end| Action::Commit(w, end)));
                }
                if budget.late_ends > 0 {
                    into.push(Action::Commit(w, End::MarkersLate));
                }
                continue;
            }
            for p in 0..PARTITIONS {
                if budget.lost_flushes > 0 && !world.sent[w][p].is_empty() {
                    into.push(Action::LoseReplyToFlush(w, p));
                }
                let is_owner = world.is_member(w) && world.owners[p] == Some(w);
                let takes = world.workers[1 - w].is_up && world.is_member(1 - w);
                if budget.moves > 0 && worker.stage == Stage::Idle && is_owner && takes {
                    into.push(Action::Move(p));
                }
            }
        }
        if budget.rollbacks > 0 && world.before != world.redis {
            into.push(Action::Rollback);
        }
        if budget.emptied > 0 && world.redis.iter().any(Option::is_some) {
            into.push(Action::Empty);
        }
    }

    fn act(&self, world: &mut World, action: Action) {
        match action {
            Action::Restart(w) => world.workers[w].is_up = true,
            Action::TakeId(w) => self.take_id(world, w),
            Action::Join(w) => {
                let number = world.budget.crashes + 10 * world.budget.zombies + 1;
                world.join(w, number);
            }
            Action::AskKafka(w, p) => {
                world.workers[w].leases[p] = Lease::HalfLoaded(world.committed[p]);
            }
            Action::Load(w, p) => self.load(world, w, p),
            Action::Read(w, p) => self.read(world, w, p),
            Action::SendOffsets(w) => self.send_offsets(world, w),
            Action::Commit(w, end) => {
                match end {
                    End::Answered => {}
                    End::MarkersLate => world.budget.late_ends -= 1,
                    _ => world.budget.lost_commits -= 1,
                }
                self.commit(world, w, end);
            }
            Action::Flush(w, p) => self.flush(world, w, p),
            Action::Store(w, p) => self.store(world, w, p, false),
            Action::FindAnother(w, p) => {
                self.note(Event::AnotherTokenFound);
                reload(world, w, p);
            }
            Action::Lose(w) => self.lose(world, w),
            Action::SessionEnds(w) => world.expel(w),
            Action::TransactionEnds(w) => {
                world.end(w);
                world.transactions[w].epoch += 1;
            }
            Action::Complete(w) => world.complete(w),
            Action::LateEnd(w) => {
                let transaction = &mut world.transactions[w];
                if transaction.late_end.take() == Some(transaction.epoch) && transaction.is_open {
                    world.complete(w);
                }
            }
            _ => self.fail(world, action),
        }
    }

    fn fail(&self, world: &mut World, fault: Action) {
        match fault {
            Action::Crash(w) => {
                world.budget.crashes -= 1;
                let worker = &mut world.workers[w];
                *worker = world::Worker {
                    is_up: false,
                    epoch: None,
                    member: None,
                    stage: Stage::Idle,
                    leases: Default::default(),
                };
            }
            Action::Expel(w) => {
                world.budget.zombies -= 1;
                world.expel(w);
            }
            Action::LoseReplyToFlush(w, p) => {
                world.budget.lost_flushes -= 1;
                self.store(world, w, p, true);
            }
            Action::Refuse(w) => {
                world.budget.refusals -= 1;
                self.abort(world, w);
            }
            Action::Rollback => {
                world.budget.rollbacks -= 1;
                world.redis = world.before.clone();
            }
            Action::Empty => {
                world.budget.emptied -= 1;
                world.redis = Default::default();
            }
            Action::Move(p) => {
                world.budget.moves -= 1;
                let from = world.owners[p].expect("only owned partitions move");
                world.owners[p] = Some(1 - from);
                world.workers[from].leases[p] = Lease::None;
                world.workers[1 - from].leases[p] = Lease::Loading;
            }
            _ => unreachable!("a step without a fault"),
        }
    }

    /// Whether there is nothing left to do: both sinks are at the log's end.
    fn is_done(&self, world: &World) -> bool {
        let records = self.configuration.records();
        (0..PARTITIONS).all(|p| {
            let kafka = world.committed[p].map_or(0, |progress| progress.next);
            let redis = world.redis[p].as_ref().map_or(0, |stored| stored.state.next);
            kafka == records[p] && redis == records[p]
        })
    }

    /// Whether work without more faults comes to rest, with both sinks at the log's end.
    fn gets_done(&self, world: &World) -> bool {
        let mut world = world.clone();
        let mut steps = Vec::new();
        for turn in 0..STEPS_MAX {
            steps.clear();
            self.steps(&world, &mut steps);
            if steps.is_empty() {
                break;
            }
            self.act(&mut world, steps[turn % steps.len()]);
        }
        steps.is_empty() && self.is_done(&world)
    }

    fn rests_only_when_done(&self, world: &World) -> bool {
        let mut steps = Vec::new();
        self.steps(world, &mut steps);
        match self.configuration {
            // It is tried from everywhere that the work gets done without more faults.
            Configuration::Redis => self.gets_done(world),
            Configuration::Doubt | Configuration::Sleep => !steps.is_empty() || self.is_done(world),
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.configuration.budget())]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.steps(world, actions);
        Self::faults(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.act(&mut next, action);
        next.renumber_epochs();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}

/// Every second record passes the filter.
fn passes(offset: i64) -> bool {
    offset % 2 == 0
}

/// Far more steps than a run without faults has.
const STEPS_MAX: usize = 500;
