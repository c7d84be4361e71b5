//! The scoreboard of scaling laws, as claims: what `cargo lab simulate` prints with more seeds.

use lab::simulate::{
    Board, CONTENDERS, Contender, ECONOMY, Outcome, ROLLCALL, Score, TRACES, Trace, board, losses, plot,
};

#[test]
fn rollcall_is_never_late_where_a_rival_is_not_and_on_the_front_with_24_partitions() {
    hold(24, &BOUNDS_24);
}

#[test]
fn rollcall_is_never_late_where_a_rival_is_not_and_on_the_front_with_48_partitions() {
    hold(48, &BOUNDS_48);
}

#[test]
fn the_same_seeds_give_the_same_scores_and_a_plot_of_every_law() {
    let trace = find("backlog");
    let (one, two) = (board(&trace, 24, 1, &CONTENDERS), board(&trace, 24, 1, &CONTENDERS));
    let scores = |board: &Board| board.results.iter().map(|result| result.median).collect::<Vec<_>>();
    assert_eq!(scores(&one), scores(&two));
    let svg = plot(&one);
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    // Workers and age of each of six laws, and the load.
    assert_eq!(svg.matches("<polyline").count(), 2 * one.best().len() + 1);
    assert!(one.best().iter().all(|outcome| svg.contains(&outcome.contender.name())));
}

/// A law that is told nothing new must be seen to lose: the scoreboard can fail.
#[test]
fn a_law_that_keeps_its_workers_too_few_is_late() {
    let numaflow: Vec<Contender> =
        CONTENDERS.into_iter().filter(|contender| contender.family == "Numaflow").collect();
    let board = board(&find("step"), 24, 1, &numaflow);
    assert!(board.results.iter().all(|result| result.median.seconds > 600.0));
}

fn hold(partitions: usize, bounds: &[Bound]) {
    for trace in &TRACES {
        let board = board(trace, partitions, SEEDS, &CONTENDERS);
        let (rollcall, economy) = (outcome(&board, ROLLCALL), outcome(&board, ECONOMY));
        let name = format!("{} with {partitions} partitions", trace.name);
        println!(
            "{name}: Rollcall loses {:?}; economy {:?}",
            losses(&board, rollcall),
            losses(&board, economy)
        );

        let never_late = board.results.iter().find(|result| result.worst.seconds == 0.0);
        if let Some(other) = never_late {
            let (late, other) = (rollcall.worst.seconds, other.contender.name());
            assert!(late == 0.0, "{name}: {late} s late, {other} is never");
        }
        for ours in [rollcall, economy] {
            let (ours, above) = (ours.contender.name(), board.dominating(ours));
            assert!(above.is_empty(), "{name}: {ours} is beaten by {above:?}");
        }

        let bound = bounds.iter().find(|bound| bound.0 == trace.name).expect("each trace has its bound");
        check(&name, &rollcall.median, bound);
    }
}

/// A little more than was measured: a law that becomes worse is noticed.
fn check(name: &str, score: &Score, (_, seconds, hours, moves): &Bound) {
    println!("{name}: {score:?}");
    assert!(score.seconds <= *seconds, "{name}: {} s late", score.seconds);
    assert!(score.hours <= *hours, "{name}: {} hours", score.hours);
    assert!(score.moves <= *moves, "{name}: {} moves", score.moves);
}

fn outcome<'a>(board: &'a Board, name: &str) -> &'a Outcome {
    board.outcome(name).expect("it takes part")
}

fn find(name: &str) -> Trace {
    TRACES.into_iter().find(|trace| trace.name == name).expect("the trace is known")
}

/// A trace, and the most seconds, hours and moves of Rollcall.
type Bound = (&'static str, f64, f64, f64);

const SEEDS: u64 = 5;
const BOUNDS_24: [Bound; 11] = [
    ("diurnal", 0.0, 187.0, 80.0),
    ("spike", 0.0, 29.0, 100.0),
    ("step", 0.0, 60.5, 47.0),
    ("backlog", 210.0, 20.2, 48.0),
    ("skew", 0.0, 97.5, 30.0),
    ("hot", 14_295.0, 49.0, 10.0),
    ("saw", 0.0, 48.5, 28.0),
    ("downcap", 5400.0, 37.0, 42.0),
    ("outage", 0.0, 42.5, 46.0),
    ("slow-start", 0.0, 62.1, 50.0),
    ("costly", 0.0, 29.0, 102.0),
];
const BOUNDS_48: [Bound; 11] = [
    ("diurnal", 0.0, 185.0, 155.0),
    ("spike", 0.0, 29.0, 210.0),
    ("step", 0.0, 43.5, 84.0),
    ("backlog", 86.0, 24.2, 122.0),
    ("skew", 0.0, 195.0, 75.0),
    ("hot", 14_300.0, 65.5, 30.0),
    ("saw", 0.0, 42.5, 64.0),
    ("downcap", 5260.0, 41.0, 110.0),
    ("outage", 0.0, 41.0, 66.0),
    ("slow-start", 0.0, 63.5, 104.0),
    ("costly", 0.0, 29.0, 210.0),
];
