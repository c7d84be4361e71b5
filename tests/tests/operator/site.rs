//! What all these tests stand on: the lab's cluster with Kafka and Redis, and one pipeline that Helm installed there.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use lab::http;
use lab::kafka::{self, Kafka, unique};
use lab::kubernetes::{Cluster, IMAGE_VALUES, WORKER_IMAGE};
use lab::oracle::Settings;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::wait_for;
use lab::worker::WorkerOptions;
use serde_json::Value;

/// The cluster, for one test at a time: what one stops, another would miss.
pub(crate) struct Ground {
    pub(crate) cluster: &'static Cluster,
    pub(crate) kafka: Kafka,
    pub(crate) redis: Redis,
    _turn: MutexGuard<'static, ()>,
}

impl Ground {
    /// Waits for its turn, and moves this thread into the cluster's network.
    pub(crate) fn take() -> Result<Self> {
        Self::take_with(kafka::Options::new(), redis::Options::new())
    }

    /// The same with a Kafka and a Redis of one's own choice.
    pub(crate) fn take_with(kafka: kafka::Options, redis: redis::Options) -> Result<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Cluster::shared();
        cluster.enter()?;
        Ok(Self {
            cluster,
            kafka: Kafka::start(kafka.place(&cluster.place()))?,
            redis: Redis::start(redis.place(&cluster.place()))?,
            _turn: turn,
        })
    }
}

/// One pipeline on the cluster, in a namespace of its own.
pub(crate) struct Site {
    pub(crate) ground: Ground,
    /// What the oracle goes by.
    pub(crate) settings: Settings,
    /// The resource's name.
    pub(crate) name: String,
    pub(crate) namespace: &'static str,
    /// What stands in the resource's `kafka: {…}` and `redis: {…}`.
    pub(crate) kafka: &'static str,
    pub(crate) redis: &'static str,
    partitions: i32,
}

impl Site {
    /// Topics of so many partitions; nothing on the cluster yet.
    pub(crate) fn new(ground: Ground, namespace: &'static str, partitions: i32) -> Result<Self> {
        let name = unique("p").to_lowercase();
        let id = format!("{namespace}.{name}");
        let settings = Pipeline::named(&ground.kafka, &ground.redis, id, partitions)?.settings;
        Ok(Self { ground, settings, name, namespace, kafka: KAFKA, redis: REDIS, partitions })
    }

    /// What is in its topics and in Redis.
    pub(crate) fn pipeline(&self) -> Pipeline<'_> {
        Pipeline::adopt(&self.ground.kafka, &self.ground.redis, self.settings.clone(), self.partitions)
    }

    /// Makes the namespace and installs the chart, with these values besides the lab's.
    pub(crate) fn install(&self, values: &[&str]) -> Result<()> {
        self.make_namespace()?;
        self.release("install", values)
    }

    /// Makes the namespace, which takes pods only that are restricted.
    pub(crate) fn make_namespace(&self) -> Result<()> {
        let labels = "pod-security.kubernetes.io/enforce: restricted";
        let object = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {}, labels: {{{labels}}}}}}}",
            self.namespace
        );
        self.ground.cluster.apply(&object).map(drop)
    }

    /// `helm install` or `helm upgrade`, until all of it is ready.
    pub(crate) fn release(&self, verb: &str, values: &[&str]) -> Result<()> {
        // The definition stays from one test to the next, and another release's it was.
        let mut arguments = vec![verb, RELEASE, "charts/rollcall", "--wait", "--take-ownership"];
        for value in VALUES.iter().chain(values) {
            arguments.extend(["--set", value]);
        }
        self.helm(&arguments).map(drop).map_err(|error| self.explained(&error))
    }

    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.ground.cluster.helm(&[arguments, &["--namespace", self.namespace]].concat())
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.ground.cluster.kubectl(&[arguments, &["--namespace", self.namespace]].concat())
    }

    pub(crate) fn get(&self, arguments: &[&str]) -> Result<Value> {
        self.ground.cluster.get(&[arguments, &["--namespace", self.namespace]].concat())
    }

    /// Creates the resource: what stands in `scaling: {…}`, and further sections.
    pub(crate) fn create(&self, scaling: &str, more: &str) -> Result<()> {
        self.ground.cluster.apply(&self.resource(&self.name, scaling, more)).map(drop)
    }

    /// The resource under a name, as YAML.
    pub(crate) fn resource(&self, name: &str, scaling: &str, more: &str) -> String {
        let more = more.replace('\n', "\n  ");
        let pipeline = self.pipeline();
        format!(
            "apiVersion: rollcall.dev/v1alpha1\nkind: Rollcall\nmetadata: {{name: {name}, namespace: {}}}\nspec:\n  \
             kafka: {{{}}}\n  redis: {{{}}}\n  source: {{topic: {}}}\n  \
             output: {{topic: {}}}\n  deadLetter: {{topic: {}}}\n  scaling: {{{scaling}}}\n  {more}",
            self.namespace, self.kafka, self.redis, pipeline.source, pipeline.output, pipeline.dead_letters
        )
    }

    /// A Job that runs `rollcall generate` with the resource's own configuration.
    pub(crate) fn generate(&self, job: &str, arguments: &[&str]) -> Result<()> {
        let environment = r#"{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://jaeger:4318"}"#;
        let object = GENERATOR
            .replace("JOB", job)
            .replace("NAMESPACE", self.namespace)
            .replace("RESOURCE", &self.name)
            .replace("ENVIRONMENT", if job == TRACED_JOB { environment } else { "" })
            .replace("ARGUMENTS", &serde_json::to_string(arguments)?);
        self.ground.cluster.apply(&object).map(drop)
    }

    pub(crate) fn wait_for_job(&self, job: &str) -> Result<()> {
        self.until("the generator to end", || {
            let job = self.get(&[&format!("job/{job}")])?;
            ensure!(job.pointer("/status/succeeded") == Some(&Value::from(1)), "{job:#}");
            Ok(())
        })
    }

    /// Waits until all that the source topic holds is counted, and compares it with the oracle.
    pub(crate) fn is_exact(&self) -> Result<()> {
        let pipeline = self.pipeline();
        pipeline.wait_until_published().map_err(|error| self.explained(&error))?;
        assert_eq!(pipeline.differences()?, Vec::<String>::new());
        Ok(())
    }

    /// Without the operator the resource still takes its workers with it, and nothing but the definition stays.
    pub(crate) fn goes(&self) -> Result<()> {
        self.kubectl(&["delete", "jobs", "--all"])?;
        self.helm(&["uninstall", RELEASE, "--wait"])?;
        self.kubectl(&["delete", "rcl", &self.name])?;
        self.until("nothing to be left", || {
            let kinds = "deployments,replicasets,pods,services,configmaps,poddisruptionbudgets,serviceaccounts,roles,\
                         rolebindings,networkpolicies,leases,rollcalls";
            let left = self.kubectl(&["get", kinds, "--output=name"])?;
            let left: Vec<&str> = left.lines().filter(|line| !KUBERNETES_OWN.contains(line)).collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })?;
        self.ground.cluster.kubectl(&["get", "crd", "rollcalls.rollcall.dev"]).map(drop)
    }

    pub(crate) fn wait_for_replicas(&self, replicas: i64) -> Result<()> {
        self.until("the workers", || {
            let deployment = self.get(&[&self.workers()])?;
            let number = |path: &str| deployment.pointer(path).and_then(Value::as_i64).unwrap_or(0);
            let is_observed = number("/status/observedGeneration") == number("/metadata/generation");
            let counts =
                ["/spec/replicas", "/status/replicas", "/status/readyReplicas", "/status/updatedReplicas"];
            let found = counts.map(number);
            ensure!(is_observed && found == [replicas; 4], "{counts:?} are {found:?}");
            Ok(())
        })
    }

    /// The workers' Deployment, for kubectl.
    pub(crate) fn workers(&self) -> String {
        format!("deployment/{}-workers", self.name)
    }

    /// How many workers there should be by now.
    pub(crate) fn replicas(&self) -> Result<i64> {
        let deployment = self.get(&[&self.workers()])?;
        deployment.pointer("/spec/replicas").and_then(Value::as_i64).context("no replicas")
    }

    pub(crate) fn until_it_is(&self, condition: &str, status: &str) -> Result<()> {
        self.until(&format!("{condition} to be {status}"), || {
            let resource = self.get_resource()?;
            ensure!(condition_of(&resource, condition) == Some(status), "{resource:#}");
            Ok(())
        })
    }

    /// Waits, and says what there is when that is in vain.
    pub(crate) fn until(&self, what: &str, check: impl FnMut() -> Result<()>) -> Result<()> {
        self.until_within(DEADLINE, what, check)
    }

    pub(crate) fn until_within(
        &self,
        limit: Duration,
        what: &str,
        check: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        wait_for(what, limit, check).map_err(|error| self.explained(&error))
    }

    pub(crate) fn get_resource(&self) -> Result<Value> {
        self.get(&["rcl", &self.name])
    }

    pub(crate) fn patch(&self, patch: &str) -> Result<()> {
        self.kubectl(&["patch", "rcl", &self.name, "--type=merge", "--patch", patch]).map(drop)
    }

    pub(crate) fn address(&self, service: &str, port: u16) -> Result<String> {
        let found = self.get(&["service", service])?;
        let address = found.pointer("/spec/clusterIP").and_then(Value::as_str).context("no address")?;
        Ok(format!("{address}:{port}"))
    }

    /// What the API answers for the pipeline, e.g. of `lag`.
    pub(crate) fn ask(&self, what: &str) -> Result<http::Answer> {
        let path = format!("/api/v1/pipelines/{}/{what}", self.settings.pipeline);
        http::get(&self.address("rollcall-api", 8080)?, &path)
    }

    /// The error, and then what there is: an output that is cut short still begins with what went wrong.
    pub(crate) fn explained(&self, error: &Error) -> Error {
        anyhow!("{error:#}\n{}", self.words())
    }

    /// What pods and events say, for who has to find out why.
    pub(crate) fn words(&self) -> String {
        let say = |arguments: &[&str]| self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}"));
        [
            say(&["get", "pods,rollcalls", "--output=wide"]),
            say(&["describe", "pods"]),
            say(&["logs", "--selector=app.kubernetes.io/name=rollcall-operator", "--tail=60"]),
            say(&["logs", "--selector=app.kubernetes.io/name=rollcall-worker", "--tail=40"]),
            say(&["get", "rcl", "--output=yaml"]),
            self.readiness().unwrap_or_else(|error| format!("{error:#}")),
        ]
        .join("\n")
    }

    /// What the workers say of their readiness.
    fn readiness(&self) -> Result<String> {
        let pods = self.get(&["pods", "--selector=app.kubernetes.io/name=rollcall-worker"])?;
        let mut said = String::new();
        for pod in pods.get("items").and_then(Value::as_array).context("no list of pods")? {
            let address = format!("{}:9090", text(pod, "/status/podIP"));
            let answer = http::get(&address, "/readyz").map(|answer| answer.body);
            let name = text(pod, "/metadata/name");
            said += &answer
                .map_or_else(|error| format!("{name}: {error:#}\n"), |body| format!("{name}: {body}\n"));
        }
        Ok(said)
    }
}

/// An operator for one namespace that runs beside the cluster, always under the same name: its lease is its own again at once.
pub(crate) fn operator(kubeconfig: &Path, namespace: &str) -> WorkerOptions {
    let arguments =
        ["run", "--worker-image", WORKER_IMAGE, "--pod-name", "one", "--pod-namespace", namespace];
    let addresses = ["--api-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"];
    WorkerOptions::command(&arguments).args(&addresses).env("KUBECONFIG", &kubeconfig.to_string_lossy())
}

impl Drop for Site {
    /// A test that failed leaves nothing that works on.
    fn drop(&mut self) {
        let namespace = ["delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found"];
        let gone = self.ground.cluster.kubectl(&namespace);
        let pods = self.kubectl(&["delete", "pods", "--all", "--grace-period=0", "--force"]);
        for error in [gone.err(), pods.err()].into_iter().flatten() {
            eprintln!("{error:#}");
        }
    }
}

pub(crate) fn condition_of<'a>(resource: &'a Value, name: &str) -> Option<&'a str> {
    condition(resource, name).map(|found| text(found, "/status"))
}

pub(crate) fn condition<'a>(resource: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = resource.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| text(condition, "/type") == name)
}

/// How old the oldest record is that waits; none while that is unknown.
pub(crate) fn lag_seconds(resource: &Value) -> Option<i64> {
    resource.pointer("/status/lag/seconds").and_then(Value::as_i64)
}

pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) const RELEASE: &str = "rollcall";
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
/// The generator whose logins bring their own traces along.
pub(crate) const TRACED_JOB: &str = "generator-traced";

/// As pods reach them.
const KAFKA: &str = r#"brokers: ["kafka:9092"]"#;
const REDIS: &str = r#"url: "redis://redis:6379""#;

const VALUES: [&str; 3] = [
    IMAGE_VALUES,
    "operator.resources.limits.memory=64Mi",
    "operator.leaderElection.leaseDurationSeconds=5,operator.leaderElection.renewDeadlineSeconds=4,\
     operator.leaderElection.retryPeriodSeconds=1",
];

const GENERATOR: &str = r"
apiVersion: batch/v1
kind: Job
metadata: {name: JOB, namespace: NAMESPACE}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: generate
          image: docker.io/rollcall/worker:dev
          imagePullPolicy: Never
          command: [rollcall, generate, --config, /etc/rollcall/rollcall.yaml]
          args: ARGUMENTS
          env: [ENVIRONMENT]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: configuration, mountPath: /etc/rollcall}]
      volumes: [{name: configuration, configMap: {name: RESOURCE-config}}]
";

/// What Kubernetes puts into every namespace.
const KUBERNETES_OWN: [&str; 2] = ["configmap/kube-root-ca.crt", "serviceaccount/default"];
