//! The operator killed at each of its calls to the API server in turn: the next one finishes what it began.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::wait_for;
use lab::worker::Worker;
use serde_json::{Value, json};

use super::site::{self, Ground, Site, text};

#[test]
fn an_operator_killed_at_any_call_is_finished_by_the_next() -> Result<()> {
    let site = Site::new(Ground::take()?, "calls", 2)?;
    // The definition alone: the operators run here, where each has its own point to die at.
    site.install(&["operator.replicas=0"])?;
    let expected = Round::new(&site, 0)?.finish()?;
    let mut kills = 0;
    // Four at a time: a round mostly waits.
    for first in (1..=CALLS_MAX).step_by(4) {
        let rounds: Vec<Result<bool>> = thread::scope(|scope| {
            let (site, expected) = (&site, &expected);
            let rounds: Vec<_> =
                (first..first + 4).map(|call| scope.spawn(move || cut(site, call, expected))).collect();
            rounds.into_iter().map(|round| round.join().expect("a round does not panic")).collect()
        });
        let rounds = rounds.into_iter().collect::<Result<Vec<bool>>>()?;
        kills += rounds.len();
        if rounds.iter().all(|had_finished| *had_finished) {
            println!("{kills} kills; the last four came after all was done");
            assert!(kills > CALLS_MIN, "only {kills} calls: is anything done at all?");
            return Ok(());
        }
    }
    panic!("after {CALLS_MAX} calls it is not done")
}

/// One kill, and the end of what it cut short. Whether all had been done before.
fn cut(site: &Site, call: usize, expected: &Value) -> Result<bool> {
    let round = Round::new(site, call)?;
    let mut operator = round.operator(&[("ROLLCALL_CRASH_POINT", &format!("Request:{call}"))])?;
    let code = operator.wait_exit(DEADLINE)?;
    ensure!(code == 128 + 9, "call {call}: it ended with {code}:\n{}", operator.stderr());
    let had_finished = round.state()? == *expected;
    let found = round.finish().with_context(|| format!("killed at call {call}"))?;
    ensure!(found == *expected, "killed at call {call}: {found:#} instead of {expected:#}");
    Ok(had_finished)
}

/// A namespace with one resource.
struct Round<'a> {
    site: &'a Site,
    namespace: String,
}

impl<'a> Round<'a> {
    fn new(site: &'a Site, call: usize) -> Result<Self> {
        let namespace = format!("{}-{call}", site.namespace);
        site.ground.cluster.kubectl(&["create", "namespace", &namespace])?;
        let round = Self { site, namespace };
        let resource = json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "Rollcall",
            "metadata": {"name": "logins", "namespace": round.namespace},
            "spec": {
                "kafka": {"brokers": [site.ground.kafka.brokers()]},
                "redis": {"url": site.ground.redis.url()},
                "source": {"topic": site.pipeline().source},
                "scaling": {"mode": "Manual", "interval": "1s"},
                "replicas": 0,
            },
        });
        site.ground.cluster.apply(&resource.to_string())?;
        Ok(round)
    }

    fn operator(&self, environment: &[(&str, &str)]) -> Result<Worker> {
        let cluster = self.site.ground.cluster;
        let mut options = site::operator(&cluster.kubeconfig(), &self.namespace);
        for (name, value) in environment {
            options = options.env(name, value);
        }
        Worker::start_operator(cluster, options)
    }

    /// Lets an operator work until it has nothing more to do, and stops it.
    fn finish(&self) -> Result<Value> {
        let mut operator = self.operator(&[])?;
        wait_for("the resource to be ready", DEADLINE, || {
            let state = self.state()?;
            let ready = state.pointer("/conditions/Ready");
            ensure!(ready == Some(&Value::from("True")), "{state:#}\n{}", operator.stderr());
            Ok(())
        })?;
        operator.terminate()?;
        ensure!(operator.wait_exit(DEADLINE)? == 0, "{}", operator.stderr());
        self.state()
    }

    /// What there is, without what differs from one namespace to the next.
    fn state(&self) -> Result<Value> {
        let get = |kind: &str, name: &str| {
            let found = self.site.ground.cluster.get(&[
                kind,
                name,
                "--namespace",
                &self.namespace,
                "--ignore-not-found",
            ]);
            // Nothing is printed for nothing.
            found.unwrap_or_default()
        };
        let resource = get("rollcall", "logins");
        let mut deployment = get("deployment", "logins-workers");
        // A hash of the configuration, in which the namespace stands.
        if let Some(hash) = deployment.pointer_mut(CONFIGURATION_HASH) {
            *hash = Value::from("a hash");
        }
        let conditions: serde_json::Map<String, Value> = resource
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|condition| (text(condition, "/type").to_owned(), text(condition, "/status").into()))
            .collect();
        let state = json!({
            "conditions": conditions,
            "desired": resource.pointer("/status/desiredReplicas"),
            "configuration": get("configmap", "logins-config").get("data"),
            "deployment": deployment.get("spec"),
            // Written once, and not again.
            "generation": deployment.pointer("/metadata/generation"),
            "budget": get("poddisruptionbudget", "logins-workers").get("spec"),
        });
        let text = state.to_string().replace(&self.namespace, "NAMESPACE");
        serde_json::from_str(&text).context("a state is JSON")
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        let arguments = ["delete", "namespace", &self.namespace, "--wait=false"];
        if let Err(error) = self.site.ground.cluster.kubectl(&arguments) {
            eprintln!("{error:#}");
        }
    }
}

const CONFIGURATION_HASH: &str = "/spec/template/metadata/annotations/rollcall.dev~1configuration";
/// A resource takes at least so many calls: watches, lease, reads, and a write of each object.
const CALLS_MIN: usize = 12;
const CALLS_MAX: usize = 80;
const DEADLINE: Duration = Duration::from_secs(30);
