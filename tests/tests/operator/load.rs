//! Replicas follow the load: up to what the law says, and down again after its window.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::site::{Ground, Site, condition, condition_of, lag_seconds, text};

#[test]
fn replicas_follow_the_load() -> Result<()> {
    let site = Site::new(Ground::take()?, "load", PARTITIONS)?;
    site.install(&[])?;
    site.create(SCALING, WORKERS)?;
    site.wait_for_replicas(1)?;
    site.generate("generator", &["--rate", RATE, "--for", "60s", "--users", "1000"])?;

    dry_run_only_tells(&site)?;
    replicas_rise_and_lag_falls(&site)?;
    site.wait_for_job("generator")?;
    site.is_exact()?;
    replicas_fall_without_flapping(&site)?;
    site.is_exact()?;
    site.asks_for_nothing_forbidden()?;
    site.goes()
}

fn dry_run_only_tells(site: &Site) -> Result<()> {
    site.until("the law to ask for more workers", || {
        let resource = site.get_resource()?;
        ensure!(recommended(&resource) > 1, "{resource:#}");
        let sentence = text(&resource, "/status/scaling/sentence");
        ensure!(sentence.starts_with("Dry run: "), "{sentence}");
        Ok(())
    })?;
    assert_eq!(site.replicas()?, 1);
    assert_eq!(steps(&site.get_resource()?), [], "a step was taken");
    Ok(())
}

fn replicas_rise_and_lag_falls(site: &Site) -> Result<()> {
    site.patch(r#"{"spec":{"scaling":{"mode":"Auto"}}}"#)?;
    site.until("as many workers as the law says", || {
        let (resource, replicas) = (site.get_resource()?, site.replicas()?);
        ensure!(replicas > 1 && replicas == recommended(&resource), "{replicas} workers: {resource:#}");
        let ready = resource.pointer("/status/readyReplicas").and_then(Value::as_i64);
        ensure!(ready == Some(replicas), "{ready:?} of {replicas} are ready");
        Ok(())
    })?;
    site.until("the lag to fall", || {
        let resource = site.get_resource()?;
        let seconds = lag_seconds(&resource);
        ensure!(seconds.is_some_and(|seconds| seconds < LATENCY_TARGET_S), "{resource:#}");
        ensure!(condition_of(&resource, "KeepingUp") == Some("True"), "{resource:#}");
        Ok(())
    })
}

fn replicas_fall_without_flapping(site: &Site) -> Result<()> {
    let most = site.replicas()?;
    site.until_within(Duration::from_mins(5), "one worker again", || {
        let replicas = site.replicas()?;
        ensure!(replicas == 1, "{replicas} workers: {:#}", site.get_resource()?);
        Ok(())
    })?;
    site.wait_for_replicas(1)?;
    let resource = site.get_resource()?;
    let steps = steps(&resource);
    println!("{most} workers at the end of the load; steps: {steps:?}");
    let first_down = steps.iter().position(|(from, to)| to < from).unwrap_or(steps.len());
    let (up, down) = steps.split_at(first_down);
    assert!(!down.is_empty() && down.iter().all(|(from, to)| to < from), "up again after down: {steps:?}");
    assert!(up.iter().all(|(from, to)| to > from && *to <= i64::from(PARTITIONS)), "{steps:?}");
    // Each step explains itself: in the status, and in an event.
    site.until("an event for each step", || {
        let events = site.kubectl(&["get", "events.events.k8s.io", "--output=json"])?;
        let steps = resource.pointer("/status/scaling/state/steps").and_then(Value::as_array);
        for step in steps.into_iter().flatten() {
            let sentence = text(step, "/sentence");
            ensure!(!sentence.is_empty() && events.contains(sentence), "no event says {sentence:?}");
        }
        Ok(())
    })?;
    let active = condition(&resource, "ScalingActive");
    assert_eq!(active.map(|condition| text(condition, "/status")), Some("True"));
    Ok(())
}

fn recommended(resource: &Value) -> i64 {
    resource.pointer("/status/scaling/recommended").and_then(Value::as_i64).unwrap_or(0)
}

/// From how many workers to how many, oldest first.
fn steps(resource: &Value) -> Vec<(i64, i64)> {
    let steps = resource.pointer("/status/scaling/state/steps").and_then(Value::as_array);
    // The newest comes first there.
    let number = |step: &Value, name: &str| step.get(name).and_then(Value::as_i64).unwrap_or(-1);
    steps.into_iter().flatten().rev().map(|step| (number(step, "from"), number(step, "to"))).collect()
}

const PARTITIONS: i32 = 6;
const LATENCY_TARGET_S: i64 = 10;
/// Short times, so that a test sees what else takes half an hour.
const SCALING: &str = "mode: DryRun, interval: 2s, latencyTarget: 10s, catchUp: 20s, scaleUp: {cooldown: 5s}, \
                       scaleDown: {window: 20s}";
/// So little CPU that a load this machine can make is too much for one.
const WORKERS: &str =
    "workers: {resources: {requests: {cpu: 10m, memory: 32Mi}, limits: {cpu: 50m, memory: 512Mi}}}";
const RATE: &str = "30000";
