//! Owns how the cost of a login changes with partitions and users.
//! It never compares figures of different rounds.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::site::{Cost, Site, median, megabytes};

/// What runs over how much.
struct Case {
    /// The plain loop that forwards as many, to see what of it is the client's own.
    is_bare: bool,
    partitions: i32,
    users: u64,
}

impl Case {
    fn topic(&self) -> String {
        format!("scaling-{}-{}", self.partitions, self.users)
    }

    /// The case that this one is held against.
    fn first(&self) -> usize {
        CASES.iter().position(|case| case.is_bare == self.is_bare).unwrap_or(0)
    }
}

/// Runs all cases in each round, in turn.
pub(super) fn run(site: &Site<'_>) -> Result<String> {
    let mut sources = BTreeMap::new();
    for case in &CASES {
        if let Entry::Vacant(source) = sources.entry(case.topic()) {
            source.insert(site.fill(&case.topic(), case.partitions, site.plan.records, case.users)?);
        }
    }
    let mut rounds: Vec<Vec<Cost>> = Vec::new();
    for round in 0..site.plan.rounds {
        let mut costs = Vec::new();
        for case in &CASES {
            let source = sources.get(&case.topic()).context("every topic was filled")?;
            let id = format!("{source}-{}-{round}", if case.is_bare { "bare" } else { "full" });
            let job = site.job(&id, source, case.partitions)?;
            let cost = if case.is_bare { site.run_bare(&job, PASSING)? } else { site.run_until_end(&job)? };
            eprintln!("lab: {id}: {:.2} s of CPU", cost.cpu.as_secs_f64());
            costs.push(cost);
        }
        rounds.push(costs);
    }
    table(site.plan.records, &rounds)
}

#[expect(clippy::cast_precision_loss, reason = "figures are rounded")]
fn table(records: u64, rounds: &[Vec<Cost>]) -> Result<String> {
    let mut text = format!(
        "{records} logins; the median of {} rounds\n\n| | partitions | users | CPU per login | against its first row | \
         peak memory |\n|---|---|---|---|---|---|\n",
        rounds.len()
    );
    let seconds =
        |round: &[Cost], place: usize| round.get(place).map_or(f64::NAN, |cost| cost.cpu.as_secs_f64());
    for (place, case) in CASES.iter().enumerate() {
        let each = median(rounds.iter().map(|round| seconds(round, place) / records as f64)) * 1e9;
        let ratio = median(rounds.iter().map(|round| seconds(round, place) / seconds(round, case.first())));
        let peak = rounds.iter().filter_map(|round| round.get(place)).map(|cost| cost.peak_bytes).max();
        let peak = megabytes(peak.unwrap_or(0));
        let who = if case.is_bare { "librdkafka alone" } else { "Rollcall" };
        let Case { partitions, users, .. } = case;
        writeln!(text, "| {who} | {partitions} | {users} | {each:.0} ns | {ratio:.2} | {peak:.0} MB |")?;
    }
    Ok(text)
}

const CASES: [Case; 5] = [
    Case { is_bare: false, partitions: 16, users: 10_000 },
    Case { is_bare: false, partitions: 256, users: 10_000 },
    Case { is_bare: false, partitions: 16, users: 1_000_000 },
    Case { is_bare: true, partitions: 16, users: 10_000 },
    Case { is_bare: true, partitions: 256, users: 10_000 },
];

/// The share of the made-up logins that passes the default filter, about.
const PASSING: &str = "0.25";
