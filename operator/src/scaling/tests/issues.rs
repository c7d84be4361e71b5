//! One test for each mistake of other autoscalers that their users reported: the behaviour that avoids it.

use super::super::{Mode, PartitionOffsets, Reason, Span};
use super::World;

/// 64 wanted, 63 running: within the HPA's tolerance, so it stays. Here the maximum is reached.
#[test]
fn keda_2908_reaches_the_maximum() {
    let mut world = World::new(64, 63, 1400);
    assert_eq!(world.run(60).replicas, 64);
}

/// A lag that cannot be read is no lag of zero.
#[test]
fn keda_4098_holds_when_offsets_cannot_be_read() {
    let mut world = World::new(12, 6, 400);
    world.run(120);
    let before = world.replicas;
    world.reads = false;
    assert_eq!(world.run(3600).replicas, before);
    assert_eq!(world.look().reason, Reason::LagUnknown);
    world.settings.fallback.replicas = Some(9);
    assert_eq!(world.look().replicas, 9, "after the fallback's time at least so many run");
}

/// Workers that leave one after the other rebalance the group each time. One fall is one step.
#[test]
fn keda_5096_a_fall_of_the_load_is_one_step_down() {
    let mut world = World::new(24, 24, 500);
    world.run(900);
    assert_eq!((world.replicas, world.steps()), (24, 0));
    world.arrival = 100;
    world.run(3600);
    assert_eq!((world.replicas, world.steps()), (3, 1), "{:?}", world.state.steps);
}

/// The marks of transactions leave a lag of one in each partition for ever. An idle pipeline sleeps all the same.
#[test]
fn keda_5675_marks_of_transactions_do_not_keep_a_worker() {
    let mut world = World::new(8, 1, 10);
    world.settings.min_replicas = 0;
    world.run(900);
    world.arrival = 0;
    world.run(20);
    for entry in &mut world.partitions {
        entry.end += 1;
        entry.start = 0;
        // Nothing is committed for a mark.
        entry.committed = None;
        entry.start = entry.end - 1;
    }
    world.run(1500);
    assert_eq!((world.replicas, world.look().reason), (0, Reason::Idle));
    for entry in &mut world.partitions {
        entry.end += 50;
    }
    let woken = world.look();
    assert_eq!((woken.replicas, woken.reason), (1, Reason::Waking));
}

/// A partition that did not answer makes the lag unknown, and does not count as empty.
#[test]
fn keda_7414_a_partition_that_does_not_answer_is_not_empty() {
    let mut world = World::new(12, 6, 400);
    world.run(120);
    world.arrival = 10;
    let lost = world.partitions.split_off(3);
    let mut history = std::mem::take(&mut world.history);
    history.push(super::Offsets { at_ms: world.now_ms + 5000, partitions: world.partitions.clone() });
    world.partitions.extend(lost);
    world.history = history;
    world.reads = false;
    world.now_ms -= 4000;
    let decision = world.look();
    assert_eq!((decision.replicas, decision.reason), (6, Reason::LagUnknown));
    assert!(decision.sentence.contains("only 3 of 12"), "{}", decision.sentence);
}

/// "One partition less a worker" is the next step, not the next divisor.
#[test]
fn keda_7517_steps_are_partitions_a_worker_not_divisors() {
    let mut world = World::new(24, 4, 160);
    assert_eq!(world.run(60).replicas, 5, "five partitions a worker, though five does not divide 24");
    assert_eq!(world.look().figures.useful, [1, 2, 3, 4, 5, 6, 8, 12, 24]);
}

/// Records that retention deleted are no lag.
#[test]
fn keda_7936_deleted_records_are_no_lag() {
    let mut world = World::new(4, 2, 100);
    for entry in &mut world.partitions {
        (entry.end, entry.start, entry.committed) = (1_000_000_000, 999_999_000, None);
    }
    world.replicas = 1;
    world.obeys = false;
    assert_eq!(world.look().figures.lag, Some(4 * 2000), "from the log's start");
    world.from_earliest = false;
    assert_eq!(world.look().figures.lag, Some(0), "a group that begins at the end has no lag");
    let overtaken = PartitionOffsets { partition: 0, end: 100, start: 90, committed: Some(5) };
    assert_eq!(overtaken.position(true), 90, "what the group had not read is gone");
}

/// A failing lag query must not vote for fewer workers, whose leaving makes it fail again.
#[test]
fn azure_670_a_failing_query_never_scales_in() {
    let mut world = World::new(12, 12, 700);
    world.run(300);
    world.arrival = 1;
    for round in 0..600 {
        world.reads = round % 9 == 0;
        assert_eq!(world.look().replicas, 12);
    }
}

/// Nothing is taken away while a backlog is worked off.
#[test]
fn flink_31318_no_step_down_while_catching_up() {
    let mut world = World::new(24, 24, 100);
    world.partitions.iter_mut().for_each(|entry| entry.end = 2_000_000);
    world.run(60);
    while world.decisions.last().is_some_and(|last| last.figures.lag_age_ms > Some(30_000)) {
        assert_eq!(world.look().replicas, 24);
    }
    world.run(1800);
    assert_eq!(world.replicas, 3, "afterwards");
}

/// Workers that cannot keep up do what they do, whatever busy share they report.
#[test]
fn flink_33306_a_low_busy_share_does_not_hide_a_worker_at_its_end() {
    let mut world = World::new(24, 4, 250);
    world.most_busy = 0.82;
    world.state.capacity = Some(1220);
    // Elsewhere workers have time to spare, and show what they can.
    world.obeys = false;
    world.run(600);
    assert!(world.state.capacity < Some(1100), "{:?}", world.state.capacity);
    world.obeys = true;
    assert!(world.look().replicas >= 8, "{}", world.replicas);
}

/// A load that goes up and down does not rescale each time.
#[test]
fn flink_36018_a_saw_keeps_the_workers_of_its_peaks() {
    let mut world = World::new(24, 3, 80);
    for tooth in 0..24 {
        world.arrival = if tooth % 2 == 0 { 80 } else { 330 };
        world.run(300);
    }
    assert!(world.steps() <= 3, "{:?}", world.state.steps);
    assert_eq!(world.replicas, 12);
}

/// Metrics that are missing are not zero: without reports nobody goes.
#[test]
fn flink_39925_missing_reports_never_scale_down() {
    let mut world = World::new(12, 12, 700);
    world.run(60);
    (world.arrival, world.reports) = (10, false);
    world.run(3600);
    assert_eq!(world.replicas, 12);
    world.reports = true;
    world.run(600);
    assert!(world.replicas < 12);
}

/// Never more workers than partitions, whoever asks for them.
#[test]
fn flink_40389_never_more_workers_than_partitions() {
    let mut world = World::new(6, 2, 5000);
    world.settings.max_replicas = Some(100);
    world.run(600);
    assert_eq!(world.replicas, 6);
    world.settings.min_replicas = 50;
    assert_eq!(world.look().replicas, 6);
    (world.reads, world.settings.fallback.replicas) = (false, Some(50));
    assert_eq!(world.run(600).replicas, 6);
}

/// A steady load gives a steady number; nothing spirals.
#[test]
fn numaflow_1529_a_steady_load_gives_a_steady_number() {
    let mut world = World::new(24, 12, 300);
    world.run(7200);
    assert!(world.steps() <= 1, "{:?}", world.state.steps);
    let before = world.state.clone();
    world.run(600);
    assert_eq!(world.state, before, "and the status need not be written");
}

/// The sum over all partitions hides one that is behind: the hottest decides.
#[test]
fn druid_19378_one_partition_behind_is_seen() {
    let mut world = World::new(24, 4, 100);
    world.run(120);
    assert_eq!(world.replicas, 4);
    let mut spread = World::new(24, 4, 100);
    spread.run(120);
    // All together have room: 2,400 arrive, and 72,000 in two minutes are 600 more.
    world.fall_behind(1, 72_000);
    spread.fall_behind(24, 3_000);
    // This world's workers do not give one partition more of their time than another, and would seem to wait.
    world.reports = false;
    assert!(world.look().replicas > 4, "{:?}", world.decisions.last());
    assert_eq!(spread.look().replicas, 4, "the same lag on all partitions needs nobody");
}

/// A group that is busy and has no lag keeps its workers.
#[test]
fn druid_19655_a_busy_group_without_lag_keeps_its_workers() {
    let mut world = World::new(24, 6, 200);
    world.run(3600);
    assert_eq!((world.replicas, world.steps()), (6, 0));
    assert_eq!(world.look().figures.lag, Some(0));
}

/// Workers that wait for Redis are not helped by more of them; a load that comes back is.
#[test]
fn workers_that_wait_for_others_get_no_company() {
    let mut world = World::new(24, 8, 250);
    world.run(120);
    world.downstream = 4000;
    world.run(3600);
    assert_eq!((world.replicas, world.look().reason), (8, Reason::DownstreamBound));
    world.downstream = i64::MAX;
    world.run(300);
    assert!(world.replicas > 8);
}

/// A step that gains nothing is taken back, and not tried again for a while, unless more becomes possible.
#[test]
fn keda_7092_a_useless_step_is_taken_back() {
    let mut world = World::new(24, 6, 400);
    world.downstream = 5000;
    world.run(180);
    let took = world.decisions.iter().find(|decision| decision.reason == Reason::Ineffective);
    assert_eq!(took.map(|decision| decision.replicas), Some(6), "{:?}", world.state.steps);
    let steps = world.steps();
    world.run(400);
    assert_eq!(world.steps(), steps);
    world.downstream = i64::MAX;
    world.run(120);
    assert!(world.replicas > 6, "the downstream is free again");
}

#[test]
fn the_other_modes_do_as_they_are_told() {
    let mut world = World::new(24, 4, 500);
    world.settings.mode = Mode::DryRun;
    let told = world.run(60);
    assert_eq!((told.replicas, told.recommended), (4, 24));
    assert!(told.sentence.starts_with("Dry run: From 4 to 24"), "{}", told.sentence);
    assert_eq!(world.state.steps, [], "what is only told leaves no trace");
    for (mode, reason) in [(Mode::Manual, Reason::Manual), (Mode::External, Reason::External)] {
        world.settings.mode = mode;
        world.requested = Some(7);
        assert_eq!((world.look().replicas, world.look().reason), (7, reason));
    }
    world.paused = true;
    assert_eq!((world.look().replicas, world.look().reason), (0, Reason::Paused));
    (world.paused, world.settings.mode) = (false, Mode::Auto);
    assert!(world.look().replicas >= 1, "a pipeline that goes on has a worker");
}

#[test]
fn slow_workers_are_kept_in_reserve() {
    let mut world = World::new(24, 4, 125);
    world.run(1200);
    assert_eq!(world.replicas, 4);
    world.state.settle_ms = Some(Span::seconds(90).ms());
    world.run(60);
    assert_eq!(world.replicas, 6, "a rise to four times the load would wait 110 s for workers");
}
