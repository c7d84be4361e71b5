//! From nothing to nothing: installed by Helm, the operator runs, scales and serves a pipeline, and leaves nothing behind.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lab::http;
use lab::jaeger::Jaeger;
use lab::oracle::corpus::recent_records;
use serde_json::Value;

use super::site::{Ground, Site, TRACED_JOB, condition_of, text};

#[test]
fn a_pipeline_runs_scales_is_served_and_goes() -> Result<()> {
    let ground = Ground::take()?;
    let jaeger = Jaeger::start_at(&ground.cluster.place())?;
    let site = Site::new(ground, "analytics", 4)?;
    site.install(&["tracing.endpoint=http://jaeger:4317"])?;
    site.helm(&["test", "rollcall"]).map_err(|error| site.explained(&error))?;
    site.create(
        "mode: Manual, interval: 2s",
        "replicas: 2\ntelemetry: {otlpEndpoint: \"http://jaeger:4317\", samplesPerMillion: 1000000}\n",
    )?;
    site.wait_for_replicas(2)?;

    counts_what_comes(&site)?;
    is_traced(&site, &jaeger)?;
    is_served(&site)?;
    tells_its_story(&site)?;
    refuses_nonsense(&site)?;
    is_scaled(&site)?;
    // Not the first step's: what a pod tells before its network stands is dropped, and counted.
    has_span(&site, &jaeger, "rollcall-operator", "scale")?;
    rests(&site)?;
    site.asks_for_nothing_forbidden()?;
    site.goes()
}

fn counts_what_comes(site: &Site) -> Result<()> {
    let arguments = ["--rate", "0", "--count", "5000", "--malformed", "0.05", "--late", "0.1"];
    site.generate(TRACED_JOB, &arguments)?;
    site.wait_for_job(TRACED_JOB)?;
    site.is_exact()
}

/// A login's way from its producer on, and the operator's own work.
fn is_traced(site: &Site, jaeger: &Jaeger) -> Result<()> {
    let source = &site.pipeline().source;
    has_span(site, jaeger, "rollcall", &format!("send {source}"))?;
    has_span(site, jaeger, "rollcall", &format!("process {source}"))?;
    has_span(site, jaeger, "rollcall-operator", "reconcile")
}

fn has_span(site: &Site, jaeger: &Jaeger, service: &str, name: &str) -> Result<()> {
    site.until(&format!("the span {name}"), || {
        let spans = jaeger.spans(service)?;
        let names: BTreeSet<&str> = spans.iter().map(|span| text(span, "/name")).collect();
        ensure!(names.contains(name), "only {names:?}");
        Ok(())
    })
}

fn is_served(site: &Site) -> Result<()> {
    let address = site.address("rollcall-api", 8080)?;
    let id = &site.settings.pipeline;
    let path = |what: &str| format!("/api/v1/pipelines/{id}/{what}");
    // Standbys serve too, each as soon as it has seen the resource.
    site.until("the published insights over HTTP", || {
        let served = http::get(&address, &path("insights"))?;
        let stored = site.pipeline().document()?.context("nothing is published")?;
        ensure!(served.status == 200, "{served:?}");
        let served: Value = serde_json::from_str(&served.body)?;
        ensure!(served == stored, "another document is served: {served}");
        Ok(())
    })?;
    site.until("a lag of 0", || {
        let lag = http::get(&address, &path("lag"))?;
        let lag: Value = serde_json::from_str(&lag.body)?;
        ensure!(lag.get("total").and_then(Value::as_u64) == Some(0), "{lag}");
        ensure!(lag.get("partitions").and_then(Value::as_array).map(Vec::len) == Some(4), "{lag}");
        Ok(())
    })?;
    let list = http::get(&address, "/api/v1/pipelines")?;
    assert!(list.body.contains(id.as_str()), "{list:?}");
    let workers = http::get(&address, &path("workers"))?;
    assert!(workers.body.contains(&format!("{}-workers-", site.name)), "{workers:?}");
    assert_eq!(http::get(&address, "/api/v1/pipelines/other.x/insights")?.status, 404);
    Ok(())
}

fn tells_its_story(site: &Site) -> Result<()> {
    let logins = site.pipeline().document()?.context("nothing is published")?;
    let logins = logins.pointer("/logins/total").and_then(Value::as_i64);
    site.until("the status", || {
        let resource = site.get_resource()?;
        for (condition, status) in CONDITIONS {
            let found = condition_of(&resource, condition);
            ensure!(found == Some(status), "{condition} is {found:?}: {resource:#}");
        }
        ensure!(
            resource.pointer("/status/insights/logins").and_then(Value::as_i64) == logins,
            "{resource:#}"
        );
        ensure!(resource.pointer("/status/lag/records") == Some(&Value::from(0)), "{resource:#}");
        let generation = resource.pointer("/metadata/generation");
        ensure!(resource.pointer("/status/observedGeneration") == generation, "{resource:#}");
        Ok(())
    })?;
    let table = site.kubectl(&["get", "rcl"])?;
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head, ["NAME", "READY", "STATE", "REPLICAS", "DESIRED", "LAG", "LAG-AGE", "AGE"], "{table}");
    let table = site.kubectl(&["get", "rcl", "--output=wide"])?;
    for column in ["PARTITIONS", "LOGINS", "GROUP", "REASON"] {
        assert!(table.contains(column), "{table}");
    }
    Ok(())
}

/// What the definition refuses, and what runs on although the new text is wrong.
fn refuses_nonsense(site: &Site) -> Result<()> {
    for (patch, words) in REFUSED {
        let refusal = site.patch(patch).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(refusal.contains(words), "{patch}: {refusal:?}");
    }
    site.patch(r#"{"spec":{"insights":{"timeZone":"Nowhere/Land"}}}"#)?;
    site.until_it_is("ConfigurationValid", "False")?;
    site.wait_for_replicas(2)?;
    site.patch(r#"{"spec":{"insights":{"timeZone":"Europe/Paris"}}}"#)?;
    site.until_it_is("ConfigurationValid", "True")?;
    site.patch(r#"{"spec":{"insights":{"timeZone":null}}}"#)?;
    site.wait_for_replicas(2)
}

fn is_scaled(site: &Site) -> Result<()> {
    let scale = format!("rollcalls/{}", site.name);
    site.patch(r#"{"spec":{"scaling":{"mode":"External"}}}"#)?;
    site.kubectl(&["scale", &scale, "--replicas=3"])?;
    site.wait_for_replicas(3)?;
    site.patch(r#"{"spec":{"desiredState":"Paused"}}"#)?;
    site.wait_for_replicas(0)?;
    site.pipeline().feed(&recent_records(72, 4, 200))?;
    // Alone it starts one worker, and knows why.
    site.patch(
        r#"{"spec":{"desiredState":"Running","replicas":null,"scaling":{"mode":"Auto","maxReplicas":3}}}"#,
    )?;
    site.until("a worker of its own choice", || {
        let resource = site.get_resource()?;
        let ready = resource.pointer("/status/readyReplicas").and_then(Value::as_i64).unwrap_or(0);
        ensure!(ready >= 1, "{resource:#}");
        Ok(())
    })?;
    site.is_exact()?;
    site.until("the steps over HTTP", || {
        let steps = site.ask("decisions")?;
        ensure!(steps.body.contains("Paused"), "{steps:?}");
        Ok(())
    })
}

/// A fixed point: while nothing happens, nothing but leases and status is written.
fn rests(site: &Site) -> Result<()> {
    site.patch(r#"{"spec":{"replicas":2,"scaling":{"mode":"Manual"}}}"#)?;
    site.wait_for_replicas(2)?;
    site.until_it_is("Reconciling", "False")?;
    let before = site.writes()?;
    let looks = site.reads()?;
    // Ten looks at Kafka and Redis, and as many reconciles.
    site.until("reconciles", || {
        let now = site.reads()?;
        ensure!(now >= looks + 40, "{now} reads, {looks} before");
        Ok(())
    })?;
    assert_eq!(site.writes()?, before, "something was written though nothing happened");
    Ok(())
}

const CONDITIONS: [(&str, &str); 9] = [
    ("Ready", "True"),
    ("Reconciling", "False"),
    ("Stalled", "False"),
    ("ConfigurationValid", "True"),
    ("KafkaReachable", "True"),
    ("RedisReachable", "True"),
    ("WorkersAvailable", "True"),
    ("KeepingUp", "True"),
    ("DataComplete", "True"),
];

/// Patches, and what the refusal says.
const REFUSED: [(&str, &str); 5] = [
    (r#"{"spec":{"source":{"topic":"another"}}}"#, "source.topic"),
    (r#"{"spec":{"kafka":{"group":"another"}}}"#, "group"),
    (r#"{"spec":{"scaling":{"mode":"Auto","minReplicas":5,"maxReplicas":2}}}"#, "minReplicas"),
    (r#"{"spec":{"desiredState":"Sleeping"}}"#, "Sleeping"),
    (r#"{"spec":{"output":{"drop":["ip"],"mask":["ip"]}}}"#, "mask"),
];
