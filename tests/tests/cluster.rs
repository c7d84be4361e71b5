//! The lab's own Kubernetes: it runs the worker as users run it, and leaves nothing behind.
#![cfg(feature = "lab")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::http;
use lab::kafka::{self, Kafka, unique};
use lab::kubernetes::{Cluster, WORKER_IMAGE};
use lab::oracle::corpus::recent_records;
use lab::pipeline::Pipeline;
use lab::redis::{self, Redis};
use lab::wait_for;
use serde_json::Value;

#[test]
fn three_restricted_worker_pods_count_what_the_oracle_counts() -> Result<()> {
    let cluster = Cluster::shared();
    cluster.enter()?;
    let kafka = Kafka::start(kafka::Options::new().place(&cluster.place()))?;
    let redis = Redis::start(redis::Options::new().place(&cluster.place()))?;
    let mut pipeline = Pipeline::new(&kafka, &redis, 6)?;
    // Pods reach Kafka through a service and its name, and Redis by the lab's name for it.
    pipeline.connection = "brokers: [\"broker.workers.svc.cluster.local:9092\"]".to_owned();
    let config = pipeline.config().replace("172.30.0.1:6379", "redis:6379");
    cluster.apply(&objects(&config))?;
    let ready = ["--namespace=workers", "wait", "--timeout=120s", "--for=condition=Available"];
    cluster.kubectl(&[&ready[..], &["deployment/workers"]].concat())?;

    pipeline.feed(&recent_records(61, 6, 300))?;
    pipeline.wait_until_published()?;
    let reports = wait_for("the report of each pod", DEADLINE, || {
        let reports: Vec<String> = redis.command(&["HKEYS", &pipeline.key("workers")])?;
        ensure!(reports.len() == 3, "{reports:?}");
        Ok(reports)
    })?;
    let pods = cluster.get(&["pods", "--namespace=workers"])?;
    let names: BTreeSet<&str> =
        items(&pods).filter_map(|pod| pod.pointer("/metadata/name")?.as_str()).collect();
    assert_eq!(reports.iter().map(String::as_str).collect::<BTreeSet<_>>(), names);
    assert_eq!(pipeline.differences()?, Vec::<String>::new());
    for pod in names {
        let version =
            cluster.kubectl(&["--namespace=workers", "exec", pod, "--", "/usr/bin/rollcall", "--version"])?;
        assert!(version.starts_with("rollcall "), "{version}");
        let log = cluster.kubectl(&["--namespace=workers", "logs", pod])?;
        assert!(log.lines().all(|line| line.starts_with('{')), "each line is JSON: {log}");
    }
    let address = cluster.get(&["service/workers", "--namespace=workers"])?;
    let address = address.pointer("/spec/clusterIP").and_then(Value::as_str).context("no address")?;
    let metrics = http::get(&format!("{address}:9090"), "/metrics")?;
    assert!(metrics.body.contains("rollcall_records_total"), "{metrics:?}");
    Ok(())
}

#[test]
fn the_api_server_refuses_and_writes_down_what_is_not_allowed() -> Result<()> {
    let cluster = Cluster::shared();
    let name = unique("ns");
    let labels = "{pod-security.kubernetes.io/enforce: restricted}";
    cluster.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}"
    ))?;
    let pod = POD.replace("NAMESPACE", &name);
    let refusal = cluster.apply(&pod).unwrap_err().to_string();
    assert!(refusal.contains("violates PodSecurity"), "{refusal}");

    let user = format!("--as=system:serviceaccount:{name}:default");
    let refusal = cluster.kubectl(&["get", "pods", "--namespace", &name, &user]).unwrap_err().to_string();
    assert!(refusal.contains("cannot list resource \"pods\""), "{refusal}");
    let refused = cluster.audit_events()?.into_iter().filter(|event| {
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
        text("/impersonatedUser/username").contains(&name)
            && text("/annotations/authorization.k8s.io~1decision") == "forbid"
    });
    assert_eq!(refused.count(), 1);
    Ok(())
}

#[test]
fn a_cluster_leaves_nothing_behind() -> Result<()> {
    let before = Machine::look();
    let cluster = Cluster::start()?;
    let node = cluster.get(&["node/lab"])?;
    assert_eq!(node.pointer("/status/nodeInfo/kubeletVersion"), Some(&Value::from("v1.35.4")));
    cluster.apply(&POD.replace("NAMESPACE", "default"))?;
    cluster.kubectl(&["wait", "--timeout=60s", "--for=condition=Ready", "pod/idle"])?;
    cluster.kill_api_server()?;
    assert!(cluster.kubectl(&["get", "nodes"]).is_err(), "nobody answers");
    cluster.start_api_server()?;
    cluster.kubectl(&["get", "pod/idle"])?;
    let (name, folder) = (cluster.name().to_owned(), cluster.kubeconfig());
    let folder = folder.parent().context("a file has a folder")?.to_owned();
    assert!(!processes_of(&name, &folder)?.is_empty(), "this is how leftovers would be found");
    drop(cluster);
    assert_eq!(leftovers(&name, &folder)?, Vec::<String>::new());
    assert_eq!(Machine::look(), before);
    Ok(())
}

/// `cargo lab up --kubernetes`, killed as nobody should: the kernel ends its processes, and its sweepers the rest.
#[test]
fn a_killed_lab_leaves_nothing_behind() -> Result<()> {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["up", "--kubernetes"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to run the lab")?;
    let lines = BufReader::new(lab.stdout.take().context("its output is piped")?).lines();
    let mut kubeconfig = None;
    for line in lines {
        let line = line?;
        if let Some((_, rest)) = line.split_once("KUBECONFIG=") {
            kubeconfig = rest.split_whitespace().next().map(PathBuf::from);
        }
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    let kubeconfig = kubeconfig.context("it names a kubeconfig")?;
    let kubectl = lab::components::kubernetes::programs()?.join("kubectl");
    let nodes = Command::new(kubectl).args(["get", "nodes"]).env("KUBECONFIG", &kubeconfig).output()?;
    let nodes = String::from_utf8_lossy(&nodes.stdout).into_owned() + &String::from_utf8_lossy(&nodes.stderr);
    let name = format!("rollcall-lab-{}-1", lab.id());
    lab.kill()?;
    lab.wait()?;
    assert!(nodes.contains("Ready"), "an administrator outside reaches it: {nodes}");
    let folder =
        kubeconfig.ancestors().nth(2).context("a file has a folder of its cluster and one of its lab")?;
    wait_for("the sweepers", DEADLINE, || {
        let leftovers = leftovers(&name, folder)?;
        ensure!(leftovers.is_empty(), "{leftovers:?}");
        Ok(())
    })
}

/// Everything of a cluster that is still on this machine.
fn leftovers(name: &str, folder: &Path) -> Result<Vec<String>> {
    let mut found = processes_of(name, folder)?;
    for hierarchy in fs::read_dir("/sys/fs/cgroup")? {
        let group = hierarchy?.path().join(name);
        if group.exists() {
            found.push(group.display().to_string());
        }
    }
    if folder.exists() {
        found.push(folder.display().to_string());
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    found.extend(
        mounts.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(ToOwned::to_owned),
    );
    Ok(found)
}

/// Processes that work in the folder, or in the control groups.
fn processes_of(name: &str, folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        // A process may end meanwhile.
        let read = |file: &str| fs::read(path.join(file)).unwrap_or_default();
        let (command, groups) = (read("cmdline"), read("cgroup"));
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let is_sweeper = command.contains("sweeper");
        let is_member = String::from_utf8_lossy(&groups).contains(name);
        let is_daemon = command.contains(name) || command.contains(&*folder.to_string_lossy());
        if is_member || (is_daemon && !is_sweeper) {
            found.push(format!("{} {command}", path.display()));
        }
    }
    Ok(found)
}

/// What daemons of a cluster would change on a machine that does not keep them apart.
#[derive(Debug, PartialEq)]
struct Machine {
    files: BTreeSet<PathBuf>,
    settings: Vec<Option<String>>,
}

impl Machine {
    fn look() -> Self {
        let folders = ["/run/netns", "/run/containerd/s", "/run/containerd", "/run/runc", "/sys/class/net"];
        let mut files = BTreeSet::new();
        for folder in folders {
            files.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        for folder in
            ["/var/lib/cni", "/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/run/xtables.lock"]
        {
            files.extend(Some(PathBuf::from(folder)).filter(|folder| folder.exists()));
        }
        let settings =
            ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"];
        let read = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).ok();
        Self { files, settings: settings.map(read).into() }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items").and_then(Value::as_array).into_iter().flatten()
}

fn objects(config: &str) -> String {
    let config = config.replace('\n', "\n    ");
    WORKERS.replace("CONFIG", &config).replace("IMAGE", WORKER_IMAGE)
}

const DEADLINE: Duration = Duration::from_mins(1);

/// A pod that Pod Security `restricted` refuses.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: idle, namespace: NAMESPACE}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: idle
    image: docker.io/rollcall/pause:dev
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {medium: Memory}}]
";

const WORKERS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: workers, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: workers}
data:
  rollcall.yaml: |
    CONFIG
---
apiVersion: v1
kind: Service
metadata: {name: broker, namespace: workers}
spec: {ports: [{port: 9092}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: broker, namespace: workers, labels: {kubernetes.io/service-name: broker}}
addressType: IPv4
ports: [{name: \"\", port: 9092}]
endpoints: [{addresses: [172.30.0.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: workers, namespace: workers}
spec: {selector: {app: workers}, ports: [{port: 9090}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: workers, namespace: workers}
spec:
  replicas: 3
  selector: {matchLabels: {app: workers}}
  template:
    metadata: {labels: {app: workers}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: worker
        image: IMAGE
        args: [worker, --config, /etc/rollcall/rollcall.yaml, --metrics-address, 0.0.0.0:9090]
        env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL]}
        resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 192Mi}}
        readinessProbe: {httpGet: {path: /readyz, port: 9090}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: /healthz, port: 9090}}
        volumeMounts: [{name: config, mountPath: /etc/rollcall}]
      volumes: [{name: config, configMap: {name: config}}]
";
