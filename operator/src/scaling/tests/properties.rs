//! What holds for every load and every trouble.

use proptest::prelude::*;

use super::super::{Decision, Profile, Reason, State, decide};
use super::World;

/// Ten seconds of anything.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble of its own")]
struct Event {
    arrival: i64,
    burst: i64,
    reads: bool,
    reports: bool,
    is_settled: bool,
    downstream: bool,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let quiet = (0..900_i64, prop_oneof![9 => Just(0), 1 => 0..200_000_i64]);
    let event = (
        quiet,
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.8),
        any::<bool>(),
    );
    let event = event.prop_map(|((arrival, burst), reads, reports, is_settled, downstream)| Event {
        arrival,
        burst,
        reads,
        reports,
        is_settled,
        downstream,
    });
    // Loads last: some looks in a row are the same.
    prop::collection::vec((event, 1..40_usize), 1..12)
        .prop_map(|runs| runs.into_iter().flat_map(|(event, times)| vec![event; times]).collect())
}

fn apply(world: &mut World, event: &Event) {
    (world.arrival, world.reads, world.reports) = (event.arrival, event.reads, event.reports);
    world.ready = (!event.is_settled).then(|| world.replicas.saturating_sub(1));
    world.downstream = if event.downstream { 2000 } else { i64::MAX };
    world.partitions.iter_mut().for_each(|entry| entry.end += event.burst);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_beyond_the_limits_never_down_blindly_never_back_within_the_window(
        partitions in 1..40_i32,
        replicas in 1..40_u32,
        min in 0..4_u32,
        max in prop::option::of(1..50_u32),
        economy in any::<bool>(),
        events in events(),
    ) {
        let cap = max.unwrap_or(u32::MAX).min(u32::try_from(partitions).unwrap());
        let mut world = World::new(partitions, replicas.min(cap), 0);
        (world.settings.min_replicas, world.settings.max_replicas) = (min, max);
        world.settings.profile = if economy { Profile::Economy } else { Profile::Latency };
        let mut raised_ms = None;
        for event in &events {
            apply(&mut world, event);
            let before = world.replicas;
            let Decision { replicas, reason, .. } = world.look();
            let floor = min.min(cap);
            prop_assert!((floor..=cap).contains(&replicas), "{replicas} is not in {floor}..={cap}: {reason:?}");
            let age_ms = world.history.latest().map_or(i64::MAX, |look| world.now_ms - look.at_ms);
            let is_down = replicas < before;
            let is_blind = age_ms > 60_000 || !event.reports || !event.is_settled;
            prop_assert!(!is_down || !is_blind || reason == Reason::Ineffective, "down to {replicas}: {reason:?}");
            let window_ms = world.settings.window_ms();
            let is_back = raised_ms.is_some_and(|raised_ms| world.now_ms - raised_ms < window_ms);
            prop_assert!(!is_down || !is_back || reason == Reason::Ineffective, "back to {replicas}: {reason:?}");
            if replicas > before {
                raised_ms = Some(world.now_ms);
            }
        }
    }

    #[test]
    fn an_operator_that_restarts_decides_the_same(events in events(), min in 0..2_u32) {
        let mut world = World::new(24, 4, 100);
        world.settings.min_replicas = min;
        for event in &events {
            apply(&mut world, event);
            world.look();
            let kept = serde_json::to_string(&world.state).unwrap();
            prop_assert!(kept.len() < 8000, "{} bytes", kept.len());
            let read: State = serde_json::from_str(&kept).unwrap();
            prop_assert_eq!(&read, &world.state);
            world.now_ms += 10_000;
            let observation = world.observation(&[]);
            let here = decide(&world.settings, world.state.clone(), &observation);
            prop_assert_eq!(decide(&world.settings, read, &observation), here);
            world.now_ms -= 10_000;
        }
    }

    /// Offsets of the last minutes and reports are lost with the process; what was there before is in the status.
    #[test]
    fn an_operator_that_comes_back_takes_nothing_away_and_lets_nobody_start_before_it_has_looked(
        events in events(),
        at in 0..200_usize,
    ) {
        let mut world = World::new(24, 4, 100);
        events.iter().take(at).for_each(|event| {
            apply(&mut world, event);
            world.look();
        });
        let before = world.replicas;
        world.history = super::super::History::default();
        (world.reads, world.reports) = (true, true);
        for _ in 0..2 {
            prop_assert_eq!(world.look().replicas, before);
        }
        let _more = world.run(120);
        prop_assert!(world.decisions.last().is_some_and(|last| last.reason != Reason::LagUnknown));
    }

    #[test]
    fn more_to_do_never_means_fewer_workers(
        replicas in 1..24_u32,
        arrivals in (0..900_i64, 0..900_i64),
        lags in (0..500_000_i64, 0..500_000_i64),
    ) {
        let decide_for = |arrival: i64, lag: i64| {
            let mut world = World::new(24, replicas, arrival);
            world.obeys = false;
            // Long observed, with a level that has been enough for long, so that steps down are due.
            world.state.enough = vec![super::super::Level { replicas: 1, since_ms: 0 }];
            world.state.looked_ms = Some(world.now_ms);
            world.capacity = i64::MAX / 1_000_000;
            for round in 0..4 {
                if round == 0 {
                    world.look();
                    world.state.capacity = Some(1000);
                    world.partitions.iter_mut().for_each(|entry| entry.committed = Some(entry.end));
                }
                world.state.capacity = Some(1000);
                world.look();
            }
            // The last look sees the lag.
            world.partitions.iter_mut().for_each(|entry| entry.committed = Some(entry.end - lag.min(entry.end)));
            let mut state = world.state.clone();
            (state.capacity, state.trial, state.last_up_ms, state.last_down_ms) = (Some(1000), None, None, None);
            let mut history = world.history.clone();
            let partitions = world.partitions.clone();
            history.push(super::Offsets { at_ms: world.now_ms + 1, partitions });
            world.history = history;
            world.now_ms += 1;
            decide(&world.settings, state, &world.observation(&[])).1.replicas
        };
        let (less, more) = (arrivals.0.min(arrivals.1), arrivals.0.max(arrivals.1));
        prop_assert!(decide_for(less, lags.0) <= decide_for(more, lags.0));
        let (less, more) = (lags.0.min(lags.1), lags.0.max(lags.1));
        prop_assert!(decide_for(arrivals.0, less) <= decide_for(arrivals.0, more));
    }
}
