//! Rules that no published mistake stands for.

use super::super::state::Level;
use super::super::{Reason, Span};
use super::{LOOK_S, World};

/// A rollout that hangs must not let the lag grow for good.
#[test]
fn a_rollout_holds_back_steps_up_for_five_minutes_at_most() {
    let mut world = World::new(24, 4, 125);
    world.run(120);
    world.rollout = true;
    world.fall_behind(24, 40_000);
    let held = world.run(290);
    assert_eq!((held.replicas, held.reason), (4, Reason::RolloutInProgress));
    world.run(30);
    assert_eq!(world.replicas, 12, "{:?}", world.decisions.last());
}

#[test]
fn a_rollout_does_not_hold_back_what_arrivals_beyond_all_workers_need() {
    let mut world = World::new(24, 4, 125);
    world.run(120);
    (world.rollout, world.arrival) = (true, 300);
    world.run(30);
    assert!(world.replicas > 4, "{:?}", world.decisions.last());
}

#[test]
fn a_rollout_never_steps_down_and_is_no_measure_of_how_long_workers_take_to_start() {
    let mut world = World::new(24, 4, 300);
    while world.look().replicas == 4 {}
    let raised = world.replicas;
    (world.arrival, world.rollout) = (10, true);
    let held = world.run(7200);
    assert_eq!((held.replicas, held.reason), (raised, Reason::RolloutInProgress));
    world.rollout = false;
    world.run(600);
    assert!(world.replicas < raised, "{:?}", world.decisions.last());
    assert_eq!(world.state.settle_ms, None);
}

/// The first look after a rise sees a part of it in its 30 seconds: the number for that part would be moved again at once.
#[test]
fn a_rise_is_answered_in_one_step() {
    let mut world = World::new(24, 4, 125);
    world.run(300);
    world.arrival = 500;
    world.run(60);
    assert_eq!((world.replicas, world.steps()), (24, 1), "{:?}", world.state.steps);
}

/// After a rise, what came while workers started waits still: those that came work it off, and another step would only make
/// all that moves wait once more.
#[test]
fn what_will_be_worked_off_in_time_asks_for_no_step() {
    // Two partitions a worker. What waits takes it 36 s and 80 s; at last it grows, as a worker hardly does what arrives.
    for (arrival, waits, replicas) in [(375, 18_000, 24), (375, 40_000, 48), (470, 18_000, 48)] {
        let mut world = World::new(48, 24, arrival);
        world.run(120);
        world.fall_behind(48, waits);
        assert_eq!(world.run(60).replicas, replicas, "{waits} wait: {:?}", world.decisions.last());
    }
}

#[test]
fn a_step_down_waits_the_longer_the_less_it_saves() {
    // Three quarters of the workers, a third, a sixth.
    for (from, arrival, to, after_s) in [(12, 100, 3, 300), (12, 250, 8, 466), (6, 170, 5, 3600)] {
        let mut world = World::new(24, from, arrival);
        while world.look().replicas == from && world.decisions.len() < 400 {}
        let waited_s = i64::try_from(world.decisions.len()).unwrap() * LOOK_S;
        assert_eq!(world.replicas, to, "{:?}", world.decisions.last());
        assert!((after_s..after_s + 60).contains(&waited_s), "{from} to {to} after {waited_s} s");
    }
}

/// What is kept in reserve for workers that take long to start is there when it is needed, not only aimed at.
#[test]
fn a_reserve_is_not_eaten_up_by_a_slow_rise() {
    let mut world = World::new(48, 5, 62);
    world.state.settle_ms = Some(Span::seconds(80).ms());
    // 2,976 records/s are 60 % of five workers; at four times as many the oldest would wait 63 s for others, and more.
    assert_eq!(world.run(60).replicas, 6);
    world.state.settle_ms = Some(Span::seconds(20).ms());
    world.state.enough = vec![Level { replicas: 4, since_ms: 0 }];
    world.run(1200);
    assert_eq!(world.replicas, 4, "without need for it there is none");
}

/// Waiting for the producer's brokers keeps a worker's thread as busy as work does.
#[test]
fn workers_that_are_busy_with_waiting_get_no_company() {
    let mut world = World::new(24, 8, 250);
    world.run(120);
    (world.downstream, world.waits) = (2000, true);
    world.run(3600);
    assert_eq!((world.replicas, world.look().reason), (8, Reason::DownstreamBound));
    (world.downstream, world.waits) = (i64::MAX, false);
    world.run(300);
    assert!(world.replicas > 8, "{:?}", world.decisions.last());
}

/// Brokers that are far away make every commit long. Workers do what they always did, and more of them do more.
#[test]
fn long_commits_alone_do_not_keep_workers_from_getting_company() {
    let mut world = World::new(24, 4, 150);
    world.waits = true;
    world.run(600);
    assert!(world.replicas > 4, "{:?}", world.decisions.last());
}

/// It would be guessed from arrivals that nobody has measured: days, for a few records.
#[test]
fn an_operator_that_has_just_started_says_no_age_of_what_waits() {
    let mut world = World::new(4, 1, 100);
    world.fall_behind(4, 5000);
    let first = world.look().figures;
    assert!(first.lag > Some(0));
    assert_eq!(first.lag_age_ms, None);
    let later = world.run(30).figures;
    assert!(later.lag_age_ms.is_some_and(|age_ms| age_ms < 120_000), "{later:?}");
}
