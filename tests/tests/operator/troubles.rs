//! What is taken from a pipeline on the cluster, and that it comes through.

use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, ensure};
use lab::oracle::corpus::recent_records;
use serde_json::Value;

use super::site::{Ground, Site, condition, condition_of, text};

#[test]
fn a_pipeline_survives_what_is_taken_from_it() -> Result<()> {
    let mut site = Site::new(Ground::take()?, "troubles", 4)?;
    site.install(&[])?;
    site.create("mode: Auto, interval: 2s, staleAfter: 10s, minReplicas: 2, maxReplicas: 4", "")?;
    site.wait_for_replicas(2)?;
    site.feed(91)?;
    site.is_exact()?;

    without_kafka(&mut site)?;
    without_redis(&mut site)?;
    without_pods(&site)?;
    without_its_leader(&site)?;
    // An API server that has just started may deny what it has not read the roles of yet.
    site.asks_for_nothing_forbidden()?;
    without_the_api_server(&site)?;
    drained(&site)?;
    site.goes()
}

impl Site {
    fn feed(&self, seed: u64) -> Result<()> {
        self.pipeline().feed(&recent_records(seed, 4, 200))
    }

    /// As many workers as before, all at work, and everything counted.
    fn is_whole_again(&self) -> Result<()> {
        self.wait_for_replicas(2)?;
        for condition in ["KafkaReachable", "RedisReachable", "Ready"] {
            self.until_it_is(condition, "True")?;
        }
        self.is_exact()
    }
}

/// While the lag is unknown the replicas are held.
fn without_kafka(site: &mut Site) -> Result<()> {
    site.ground.kafka.stop()?;
    site.until_it_is("KafkaReachable", "False")?;
    site.until("scaling to say that the lag is unknown", || {
        let resource = site.get_resource()?;
        let active = condition(&resource, "ScalingActive").context("no such condition")?;
        ensure!(text(active, "/reason") == "LagUnknown", "{active}");
        ensure!(resource.pointer("/status/lag").is_none_or(Value::is_null), "{resource:#}");
        Ok(())
    })?;
    let looks = site.reads()?;
    site.until("more looks", || {
        ensure!(site.replicas()? == 2, "another number while the lag is unknown");
        let now = site.reads()?;
        ensure!(now >= looks + 10, "{now} reads, {looks} before");
        Ok(())
    })?;
    site.ground.kafka.start_again()?;
    site.feed(92)?;
    site.is_whole_again()
}

fn without_redis(site: &mut Site) -> Result<()> {
    site.ground.redis.stop()?;
    site.feed(93)?;
    site.until_it_is("RedisReachable", "False")?;
    site.until_it_is("Ready", "False")?;
    site.ground.redis.start_again()?;
    site.is_whole_again()
}

fn without_pods(site: &Site) -> Result<()> {
    site.feed(94)?;
    site.kill(&format!("app.kubernetes.io/instance={}", site.name))?;
    site.kill("app.kubernetes.io/name=rollcall-operator")?;
    site.feed(95)?;
    site.is_whole_again()
}

/// Another operator leads, and what is asked for from then on happens.
fn without_its_leader(site: &Site) -> Result<()> {
    let leader = || -> Result<String> {
        let lease = site.get(&["lease", "rollcall-operator"])?;
        Ok(text(&lease, "/spec/holderIdentity").to_owned())
    };
    let former = leader()?;
    site.kubectl(&["delete", "pod", &former, "--grace-period=0", "--force"])?;
    site.patch(r#"{"spec":{"scaling":{"minReplicas":3}}}"#)?;
    site.wait_for_replicas(3)?;
    assert_ne!(leader()?, former);
    site.patch(r#"{"spec":{"replicas":2,"scaling":{"mode":"Manual"}}}"#)?;
    site.wait_for_replicas(2)
}

fn without_the_api_server(site: &Site) -> Result<()> {
    site.ground.cluster.kill_api_server()?;
    site.feed(96)?;
    // The workers know nothing of it.
    site.pipeline().wait_until_published()?;
    site.ground.cluster.start_api_server()?;
    site.patch(r#"{"spec":{"replicas":3}}"#)?;
    site.wait_for_replicas(3)?;
    site.patch(r#"{"spec":{"replicas":2}}"#)?;
    site.is_whole_again()
}

/// The node is drained of all pods while records come; the budgets let one go after the other.
fn drained(site: &Site) -> Result<()> {
    let selector = format!("--pod-selector=app.kubernetes.io/instance in ({},rollcall)", site.name);
    let drain = ["drain", "lab", "--delete-emptydir-data", "--timeout=90s", &selector];
    let (done, is_done) = mpsc::channel();
    let uids = site.pods()?;
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| done.send(site.ground.cluster.kubectl(&drain)));
        site.until("the node to be closed", || {
            let node = site.ground.cluster.get(&["node", "lab"])?;
            ensure!(node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)), "{node:#}");
            Ok(())
        })?;
        // There is no other node for the pods to go to.
        site.ground.cluster.kubectl(&["uncordon", "lab"])?;
        let mut seed = 970;
        site.until("the drain to end", || {
            seed += 1;
            site.feed(seed)?;
            let resource = site.get_resource()?;
            let ready = resource.pointer("/status/readyReplicas").and_then(Value::as_i64);
            ensure!(ready.is_some_and(|ready| ready >= 1), "no worker is left: {resource:#}");
            is_done.try_recv().context("it goes on")?.map(drop)
        })
    })?;
    let left: Vec<String> = site.pods()?.into_iter().filter(|uid| uids.contains(uid)).collect();
    assert!(left.is_empty(), "pods outlived the drain: {left:?}");
    assert_eq!(condition_of(&site.get_resource()?, "DataComplete"), Some("True"));
    site.is_whole_again()
}

impl Site {
    fn kill(&self, selector: &str) -> Result<()> {
        let selector = format!("--selector={selector}");
        self.kubectl(&["delete", "pods", "--grace-period=0", "--force", &selector]).map(drop)
    }

    /// The pods' unique ids.
    fn pods(&self) -> Result<Vec<String>> {
        let pods = self.get(&["pods"])?;
        let pods = pods.get("items").and_then(Value::as_array).context("no list of pods")?;
        Ok(pods.iter().map(|pod| text(pod, "/metadata/uid").to_owned()).collect())
    }
}
