//! The operator and its chart on the lab's own cluster, from nothing to nothing: installed by Helm, it runs, scales and serves
//! pipelines, survives what is taken from it, and leaves nothing behind.
#![cfg(feature = "lab")]

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::http;
use lab::kafka::{self, Kafka};
use lab::kubernetes::Cluster;
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::wait_for;
use serde_json::Value;

#[test]
fn a_pipeline_runs_scales_is_served_and_goes() -> Result<()> {
    let cluster = Cluster::shared();
    cluster.enter()?;
    let kafka = Kafka::start(kafka::Options::new().place(&cluster.place()))?;
    let redis = Redis::start(redis::Options::new().place(&cluster.place()))?;
    let mut pipeline = Pipeline::new(&kafka, &redis, 4)?;
    let name = pipeline.settings.pipeline.clone();
    pipeline.settings.pipeline = format!("{NAMESPACE}.{name}");
    let site = Site { cluster, pipeline, name };

    site.install()?;
    site.counts_what_comes()?;
    site.is_served()?;
    site.tells_its_story()?;
    site.refuses_nonsense()?;
    site.is_scaled()?;
    site.rests()?;
    site.survives()?;
    site.asks_for_nothing_forbidden()?;
    site.goes()
}

/// One pipeline on the cluster.
struct Site<'a> {
    cluster: &'a Cluster,
    pipeline: Pipeline<'a>,
    /// The resource's name.
    name: String,
}

impl Site<'_> {
    fn install(&self) -> Result<()> {
        self.cluster.apply(&NAMESPACE_OBJECT.replace("NAMESPACE", NAMESPACE))?;
        let mut arguments = vec!["install", RELEASE, "charts/rollcall", "--namespace", NAMESPACE, "--wait"];
        for value in VALUES {
            arguments.extend(["--set", value]);
        }
        self.cluster.helm(&arguments).with_context(|| self.words())?;
        self.cluster.helm(&["test", RELEASE, "--namespace", NAMESPACE]).with_context(|| self.words())?;
        self.cluster.apply(&self.resource("mode: Manual", "replicas: 2\n"))?;
        self.wait_for_replicas(2)
    }

    /// The resource, as YAML.
    fn resource(&self, scaling: &str, more: &str) -> String {
        let more = more.replace('\n', "\n  ");
        format!(
            "apiVersion: rollcall.dev/v1alpha1\nkind: Rollcall\nmetadata: {{name: {}, namespace: {NAMESPACE}}}\nspec:\n  \
             kafka: {{brokers: [\"kafka:9092\"]}}\n  redis: {{url: \"redis://redis:6379\"}}\n  source: {{topic: {}}}\n  \
             output: {{topic: {}}}\n  deadLetter: {{topic: {}}}\n  scaling: {{{scaling}, interval: 2s}}\n  {more}",
            self.name, self.pipeline.source, self.pipeline.output, self.pipeline.dead_letters
        )
    }

    fn counts_what_comes(&self) -> Result<()> {
        self.pipeline.feed(&recent_records(71, 4, 400))?;
        self.pipeline.wait_until_published().with_context(|| self.words())?;
        assert_eq!(self.pipeline.differences()?, Vec::<String>::new());
        Ok(())
    }

    fn is_served(&self) -> Result<()> {
        let address = self.address("rollcall-api", 8080)?;
        let id = &self.pipeline.settings.pipeline;
        let path = |what: &str| format!("/api/v1/pipelines/{id}/{what}");
        // Standbys serve too, each as soon as it has seen the resource.
        self.until("the published insights over HTTP", || {
            let served = http::get(&address, &path("insights"))?;
            let stored = self.pipeline.document()?.context("nothing is published")?;
            ensure!(served.status == 200, "{served:?}");
            let served: Value = serde_json::from_str(&served.body)?;
            ensure!(served == stored, "another document is served: {served}");
            Ok(())
        })?;
        self.until("a lag of 0", || {
            let lag = http::get(&address, &path("lag"))?;
            let lag: Value = serde_json::from_str(&lag.body)?;
            ensure!(lag.get("total").and_then(Value::as_u64) == Some(0), "{lag}");
            ensure!(lag.get("partitions").and_then(Value::as_array).map(Vec::len) == Some(4), "{lag}");
            Ok(())
        })?;
        let list = http::get(&address, "/api/v1/pipelines")?;
        assert!(list.body.contains(id.as_str()), "{list:?}");
        let workers = http::get(&address, &path("workers"))?;
        assert!(workers.body.contains(&format!("{}-workers-", self.name)), "{workers:?}");
        assert_eq!(http::get(&address, "/api/v1/pipelines/other.x/insights")?.status, 404);
        Ok(())
    }

    fn tells_its_story(&self) -> Result<()> {
        let logins = self.pipeline.document()?.context("nothing is published")?;
        let logins = logins.pointer("/logins/total").and_then(Value::as_i64);
        self.until("the status", || {
            let resource = self.get_resource()?;
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
        let table = self.cluster.kubectl(&["get", "rcl", "--namespace", NAMESPACE])?;
        let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(
            head,
            ["NAME", "READY", "STATE", "REPLICAS", "DESIRED", "LAG", "LAG-AGE", "AGE"],
            "{table}"
        );
        let table = self.cluster.kubectl(&["get", "rcl", "--namespace", NAMESPACE, "--output=wide"])?;
        for column in ["PARTITIONS", "LOGINS", "GROUP", "REASON"] {
            assert!(table.contains(column), "{table}");
        }
        Ok(())
    }

    /// What the definition refuses, and what runs on although the new text is wrong.
    fn refuses_nonsense(&self) -> Result<()> {
        for (patch, words) in REFUSED {
            let refusal = self.patch(patch).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(refusal.contains(words), "{patch}: {refusal:?}");
        }
        self.patch(r#"{"spec":{"insights":{"timeZone":"Nowhere/Land"}}}"#)?;
        self.until_it_is("ConfigurationValid", "False")?;
        self.wait_for_replicas(2)?;
        self.patch(r#"{"spec":{"insights":{"timeZone":"Europe/Paris"}}}"#)?;
        self.until_it_is("ConfigurationValid", "True")?;
        self.patch(r#"{"spec":{"insights":{"timeZone":null}}}"#)?;
        self.wait_for_replicas(2)
    }

    fn is_scaled(&self) -> Result<()> {
        let scale = format!("rollcalls/{}", self.name);
        self.patch(r#"{"spec":{"scaling":{"mode":"External"}}}"#)?;
        self.cluster.kubectl(&["scale", &scale, "--replicas=3", "--namespace", NAMESPACE])?;
        self.wait_for_replicas(3)?;
        self.patch(r#"{"spec":{"desiredState":"Paused"}}"#)?;
        self.wait_for_replicas(0)?;
        self.pipeline.feed(&recent_records(72, 4, 200))?;
        // Alone it starts one worker, and knows why.
        self.patch(r#"{"spec":{"desiredState":"Running","replicas":null,"scaling":{"mode":"Auto","maxReplicas":3}}}"#)?;
        self.until("a worker of its own choice", || {
            let resource = self.get_resource()?;
            let ready = resource.pointer("/status/readyReplicas").and_then(Value::as_i64).unwrap_or(0);
            ensure!(ready >= 1, "{resource:#}");
            Ok(())
        })?;
        self.pipeline.wait_until_published().with_context(|| self.words())?;
        assert_eq!(self.pipeline.differences()?, Vec::<String>::new());
        let decisions = format!("/api/v1/pipelines/{}/decisions", self.pipeline.settings.pipeline);
        self.until("the steps over HTTP", || {
            let steps = http::get(&self.address("rollcall-api", 8080)?, &decisions)?;
            ensure!(steps.body.contains("Paused"), "{steps:?}");
            Ok(())
        })
    }

    /// A fixed point: while nothing happens, nothing but leases and status is written.
    fn rests(&self) -> Result<()> {
        self.patch(r#"{"spec":{"replicas":2,"scaling":{"mode":"Manual"}}}"#)?;
        self.wait_for_replicas(2)?;
        self.until_it_is("Reconciling", "False")?;
        let before = self.writes()?;
        let looks = self.reads()?;
        // Ten looks at Kafka and Redis, and as many reconciles.
        self.until("reconciles", || {
            let now = self.reads()?;
            ensure!(now >= looks + 40, "{now} reads, {looks} before");
            Ok(())
        })?;
        assert_eq!(self.writes()?, before, "something was written though nothing happened");
        Ok(())
    }

    fn survives(&self) -> Result<()> {
        let selector = format!("--selector=app.kubernetes.io/instance={}", self.name);
        self.pipeline.feed(&recent_records(73, 4, 200))?;
        let kill = ["delete", "pods", "--namespace", NAMESPACE, "--grace-period=0", "--force"];
        self.cluster.kubectl(&[&kill[..], &[&selector]].concat())?;
        self.cluster
            .kubectl(&[&kill[..], &["--selector=app.kubernetes.io/name=rollcall-operator"]].concat())?;
        self.pipeline.feed(&recent_records(74, 4, 200))?;
        self.cluster.kill_api_server()?;
        self.cluster.start_api_server()?;
        self.patch(r#"{"spec":{"replicas":3}}"#)?;
        self.wait_for_replicas(3)?;
        self.pipeline.wait_until_published().with_context(|| self.words())?;
        assert_eq!(self.pipeline.differences()?, Vec::<String>::new());
        Ok(())
    }

    /// No call of the operator's was denied.
    fn asks_for_nothing_forbidden(&self) -> Result<()> {
        let denied: BTreeSet<String> = self
            .events()?
            .iter()
            .filter(|event| text(event, "/annotations/authorization.k8s.io~1decision") == "forbid")
            .map(|event| format!("{} {}", text(event, "/verb"), text(event, "/requestURI")))
            .collect();
        assert_eq!(denied, BTreeSet::new());
        Ok(())
    }

    /// Without the operator the resource still takes its workers with it, and nothing but the definition stays.
    fn goes(&self) -> Result<()> {
        self.cluster.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"])?;
        self.cluster.kubectl(&["delete", "rcl", &self.name, "--namespace", NAMESPACE])?;
        self.until("nothing to be left", || {
            let kinds = "deployments,replicasets,pods,services,configmaps,poddisruptionbudgets,serviceaccounts,roles,\
                         rolebindings,networkpolicies,leases,rollcalls";
            let left = self.cluster.kubectl(&["get", kinds, "--namespace", NAMESPACE, "--output=name"])?;
            let left: Vec<&str> = left.lines().filter(|line| !KUBERNETES_OWN.contains(line)).collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })?;
        self.cluster.kubectl(&["get", "crd", "rollcalls.rollcall.dev"]).map(drop)
    }

    fn wait_for_replicas(&self, replicas: i64) -> Result<()> {
        let workers = format!("deployment/{}-workers", self.name);
        self.until("the workers", || {
            let deployment = self.cluster.get(&[&workers, "--namespace", NAMESPACE])?;
            let number = |path: &str| deployment.pointer(path).and_then(Value::as_i64).unwrap_or(0);
            let is_observed = number("/status/observedGeneration") == number("/metadata/generation");
            let counts =
                ["/spec/replicas", "/status/replicas", "/status/readyReplicas", "/status/updatedReplicas"];
            let found = counts.map(number);
            ensure!(is_observed && found == [replicas; 4], "{counts:?} are {found:?}");
            Ok(())
        })
    }

    fn until_it_is(&self, condition: &str, status: &str) -> Result<()> {
        self.until(&format!("{condition} to be {status}"), || {
            let resource = self.get_resource()?;
            ensure!(condition_of(&resource, condition) == Some(status), "{resource:#}");
            Ok(())
        })
    }

    /// Waits, and says what there is when that is in vain.
    fn until(&self, what: &str, check: impl Fn() -> Result<()>) -> Result<()> {
        wait_for(what, DEADLINE, check).with_context(|| self.words())
    }

    fn get_resource(&self) -> Result<Value> {
        self.cluster.get(&["rcl", &self.name, "--namespace", NAMESPACE])
    }

    fn patch(&self, patch: &str) -> Result<()> {
        let arguments =
            ["patch", "rcl", &self.name, "--namespace", NAMESPACE, "--type=merge", "--patch", patch];
        self.cluster.kubectl(&arguments).map(drop)
    }

    fn address(&self, service: &str, port: u16) -> Result<String> {
        let found = self.cluster.get(&["service", service, "--namespace", NAMESPACE])?;
        let address = found.pointer("/spec/clusterIP").and_then(Value::as_str).context("no address")?;
        Ok(format!("{address}:{port}"))
    }

    /// The operator's requests, as the API server wrote them down.
    fn events(&self) -> Result<Vec<Value>> {
        let user = format!("system:serviceaccount:{NAMESPACE}:rollcall-operator");
        let mut events = self.cluster.audit_events()?;
        events.retain(|event| {
            text(event, "/user/username") == user && text(event, "/stage") == "ResponseComplete"
        });
        Ok(events)
    }

    /// Its writes so far, but those of leases and status.
    fn writes(&self) -> Result<usize> {
        let is_write = |event: &&Value| {
            let is_moving = text(event, "/objectRef/resource") == "leases"
                || text(event, "/objectRef/subresource") == "status";
            !["get", "list", "watch"].contains(&text(event, "/verb")) && !is_moving
        };
        Ok(self.events()?.iter().filter(is_write).count())
    }

    fn reads(&self) -> Result<usize> {
        Ok(self.events()?.iter().filter(|event| text(event, "/verb") == "get").count())
    }

    /// What pods and events say, for who has to find out why.
    fn words(&self) -> String {
        let say = |arguments: &[&str]| {
            let said = self.cluster.kubectl(&[arguments, &["--namespace", NAMESPACE]].concat());
            said.unwrap_or_else(|error| format!("{error:#}"))
        };
        [
            say(&["get", "pods,rollcalls", "--output=wide"]),
            say(&["describe", "pods"]),
            say(&["logs", "--selector=app.kubernetes.io/name=rollcall-operator", "--tail=60"]),
            say(&["logs", "--selector=app.kubernetes.io/name=rollcall-worker", "--tail=40"]),
            say(&["get", "rcl", "--output=yaml"]),
        ]
        .join("\n")
    }
}

fn condition_of<'a>(resource: &'a Value, name: &str) -> Option<&'a str> {
    let conditions = resource.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| text(condition, "/type") == name)?;
    Some(text(found, "/status"))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

const NAMESPACE: &str = "analytics";
const RELEASE: &str = "rollcall";
const DEADLINE: Duration = Duration::from_mins(1);

const NAMESPACE_OBJECT: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: NAMESPACE, labels: \
     {pod-security.kubernetes.io/enforce: restricted}}}";

/// The images that the lab makes.
const VALUES: [&str; 6] = [
    "operator.image.registry=docker.io",
    "operator.image.tag=dev",
    "workerDefaults.image.registry=docker.io",
    "workerDefaults.image.tag=dev",
    "operator.resources.limits.memory=64Mi",
    "operator.leaderElection.leaseDurationSeconds=5,operator.leaderElection.renewDeadlineSeconds=4,\
     operator.leaderElection.retryPeriodSeconds=1",
];

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

/// What Kubernetes puts into every namespace.
const KUBERNETES_OWN: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
