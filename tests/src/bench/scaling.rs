//! Owns how the cost of a login changes with partitions and users.
//! It never compares figures of different rounds.

use std::fmt::Write as _;

use anyhow::Result;

use super::site::{Cost, Site, median, megabytes};

/// Runs all cases in each round, in turn.
pub(super) fn run(site: &Site<'_>) -> Result<String> {
    let mut sources = Vec::new();
    for (partitions, users) in CASES {
        let topic = format!("scaling-{partitions}-{users}");
        sources.push(site.fill(&topic, partitions, site.plan.records, users)?);
    }
    let mut rounds: Vec<Vec<Cost>> = Vec::new();
    for round in 0..site.plan.rounds {
        let mut costs = Vec::new();
        for ((partitions, _), source) in CASES.iter().zip(&sources) {
            let id = format!("{source}-{round}");
            let cost = site.run_until_end(&site.job(&id, source, *partitions)?)?;
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
        "{records} logins; the median of {} rounds\n\n| partitions | users | CPU per login | against the first | \
         peak memory |\n|---|---|---|---|---|\n",
        rounds.len()
    );
    let seconds =
        |round: &[Cost], place: usize| round.get(place).map_or(f64::NAN, |cost| cost.cpu.as_secs_f64());
    for (place, (partitions, users)) in CASES.iter().enumerate() {
        let each = median(rounds.iter().map(|round| seconds(round, place) / records as f64)) * 1e9;
        let ratio = median(rounds.iter().map(|round| seconds(round, place) / seconds(round, 0)));
        let peak = rounds.iter().filter_map(|round| round.get(place)).map(|cost| cost.peak_bytes).max();
        let peak = megabytes(peak.unwrap_or(0));
        writeln!(text, "| {partitions} | {users} | {each:.0} ns | {ratio:.2} | {peak:.0} MB |")?;
    }
    Ok(text)
}

const CASES: [(i32, u64); 3] = [(16, 10_000), (256, 10_000), (16, 1_000_000)];
