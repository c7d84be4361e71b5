//! Owns a whole Kubernetes: control plane, kubelet, containerd and kube-proxy in namespaces of their own.
//! It never lets a packet out of its network, and leaves neither processes, mounts, networks nor files.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lab::kubernetes::Cluster;
//! use lab::{kafka, redis};
//!
//! let cluster = Cluster::shared();
//! cluster.enter()?; // this test's thread, and what it starts from here on, connects inside
//! let kafka = kafka::Kafka::start(kafka::Options::new().place(&cluster.place()))?; // kafka:9092 to pods
//! let redis = redis::Redis::start(redis::Options::new().place(&cluster.place()))?; // redis:6379 to pods
//! cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")?;
//! cluster.helm(&["install", "rollcall", "charts/rollcall", "--namespace", "shop", "--wait"])?;
//! println!("{}", cluster.kubectl(&["get", "pods", "--all-namespaces"])?);
//! # Ok(())
//! # }
//! ```

mod forward;
mod image;
mod namespace;
mod programs;
mod settings;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use self::forward::Forward;
pub(super) use self::namespace::Namespace;
pub use self::namespace::ensure_root;
use self::programs::Programs;
use super::folder::Folder;
use super::place::Place;
use super::process;
use crate::components::{containers, helm, kubernetes as component};
use crate::sources;
use crate::wait::wait_for;
use crate::worker;

/// A cluster of one node, `lab`, that ends with this value.
#[derive(Debug)]
pub struct Cluster {
    programs: Mutex<Programs>,
    namespace: Arc<Namespace>,
    folder: Folder,
}

impl Cluster {
    /// Starts it, loads the images of the programs just built, and waits until its node takes pods.
    pub fn start() -> Result<Self> {
        let namespace = Namespace::new()?;
        let folder = Folder::new("cluster")?;
        settings::write_all(folder.path(), namespace.name(), &containers::network_plugins()?)?;
        let programs = Mutex::new(Programs::new(folder.path(), &namespace)?);
        let cluster = Self { programs, namespace, folder };
        let started = cluster.namespace.inside(|| cluster.start_programs());
        started.with_context(|| cluster.programs().log_ends())?;
        Ok(cluster)
    }

    /// The cluster that all tests of this process share, for tests that only need namespaces of their own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("no shared cluster: {error:#}")))
    }

    /// Moves the calling thread into the cluster's network, for good, and with it each thread that it starts from now on:
    /// pods, services and 172.30.0.1 are reached from there, and this machine's loopback no more.
    pub fn enter(&self) -> Result<()> {
        process::prepare();
        self.namespace.enter()
    }

    /// Runs `work` on a thread that is inside, for who wants to stay outside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespace.inside(work)
    }

    /// Where Kafka, Redis and Jaeger run for the cluster, under the names `kafka`, `redis` and `jaeger` and their usual
    /// ports. Who starts them or talks to them [enters](Self::enter) first.
    pub fn place(&self) -> Place {
        Place::network(&self.namespace)
    }

    /// A loopback port outside whose connections go on to `address` inside, e.g. `172.30.0.1:6443`.
    pub fn forward(&self, address: &str) -> Result<Forward> {
        Forward::new(&self.namespace, address.to_owned())
    }

    /// Writes what `kubectl` outside needs to reach the API server through `forward`.
    pub fn outer_kubeconfig(&self, forward: &Forward) -> Result<PathBuf> {
        let path = self.folder.path().join("outer.kubeconfig");
        let text = settings::kubeconfig(self.folder.path(), "admin", &forward.address());
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }

    /// The file with which an administrator inside reaches the API server.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// The file that stands for the network: `nsenter --net=<file> command` runs a command inside.
    pub fn network(&self) -> Result<PathBuf> {
        self.namespace.network()
    }

    /// A name that no other cluster on this machine has; its control groups bear it.
    pub fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Runs `kubectl` as an administrator, and returns what it prints; its message is in the error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(&component::programs()?.join("kubectl"), arguments, "")
    }

    /// What `kubectl get <arguments>` finds.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[&["get", "--output=json"], arguments].concat())?;
        serde_json::from_str(&text).context("kubectl answered no JSON")
    }

    /// Applies these objects on the server's side, as YAML or JSON.
    pub fn apply(&self, objects: &str) -> Result<String> {
        let arguments = ["apply", "--server-side", "--filename=-"];
        self.run(&component::programs()?.join("kubectl"), &arguments, objects)
    }

    /// Runs `helm` as an administrator, in the workspace's root, and returns what it prints.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run(&helm::helm()?, arguments, "")
    }

    /// All requests that the API server has answered so far, as audit events without the objects themselves.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        let path = self.folder.path().join("audit.log");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
        whole.lines().map(|line| serde_json::from_str(line).context("an audit event is no JSON")).collect()
    }

    /// Makes an image of `program`, and loads it as `name`, e.g. `docker.io/rollcall/worker:dev`.
    pub fn load_image(&self, name: &str, program: &Path) -> Result<()> {
        let folder = Folder::new("image")?;
        let archive = image::write(folder.path(), name, program)?;
        self.ctr(&["images", "import", &archive.to_string_lossy()])
    }

    /// Gives an image one more name.
    pub fn tag_image(&self, name: &str, other: &str) -> Result<()> {
        self.ctr(&["images", "tag", name, other])
    }

    /// Kills the API server, as a crash would.
    pub fn kill_api_server(&self) -> Result<()> {
        self.programs().kill_api_server()
    }

    /// Starts the API server again, and waits until it is ready.
    pub fn start_api_server(&self) -> Result<()> {
        self.namespace.inside(|| self.programs().start_api_server())?;
        self.wait_for_api_server()
    }

    /// Stops the API server in its tracks: connections stay open, and nothing is answered.
    pub fn pause_api_server(&self) -> Result<()> {
        self.programs().pause_api_server(true)
    }

    /// Lets the API server go on after [`Cluster::pause_api_server`].
    pub fn resume_api_server(&self) -> Result<()> {
        self.programs().pause_api_server(false)
    }

    fn ctr(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("timeout")
            .arg(COMMAND_DEADLINE.as_secs().to_string())
            .arg(containers::ctr()?)
            .arg("--address")
            .arg(self.folder.path().join("containerd.sock"))
            .args(["--namespace", "k8s.io"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("failed to run ctr")?;
        if !output.status.success() {
            bail!("ctr {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn start_programs(&self) -> Result<()> {
        self.programs().start_base(self.folder.path())?;
        // The API server takes its time; the images are loaded meanwhile.
        self.load_image(settings::PAUSE_IMAGE, &containers::pause()?)?;
        self.programs().start_rest()?;
        self.load_image(WORKER_IMAGE, &worker::program()?)?;
        self.load_image(OPERATOR_IMAGE, &worker::operator()?)?;
        self.wait_for_api_server()?;
        for wait in [
            ["--for=create", "serviceaccount/default"],
            ["--for=create", "node/lab"],
            ["--for=condition=Ready", "node/lab"],
        ] {
            self.kubectl(&[&["wait", "--timeout=60s"], wait.as_slice()].concat())?;
        }
        Ok(())
    }

    fn wait_for_api_server(&self) -> Result<()> {
        wait_for("the API server", COMMAND_DEADLINE, || self.kubectl(&["get", "--raw", "/readyz"])).map(drop)
    }

    fn run(&self, program: &Path, arguments: &[&str], input: &str) -> Result<String> {
        let mut network = std::ffi::OsString::from("--net=");
        network.push(self.namespace.network()?);
        let mut child = Command::new("nsenter")
            .arg(network)
            .arg("timeout")
            .arg(COMMAND_DEADLINE.as_secs().to_string())
            .arg(program)
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            // What they cache goes with the cluster.
            .env("HOME", self.folder.path())
            .current_dir(sources().join(".."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to run nsenter")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).context("failed to hand over objects")?;
        }
        let output = child.wait_with_output().context("failed to wait for a command")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("{name} {} ended with {}: {text}{message}", arguments.join(" "), output.status);
        }
        Ok(text)
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The image of `rollcall`.
pub const WORKER_IMAGE: &str = "docker.io/rollcall/worker:dev";
/// The image of `rollcall-operator`.
pub const OPERATOR_IMAGE: &str = "docker.io/rollcall/operator:dev";
/// The chart's values for both, as `helm --set` takes them.
pub const IMAGE_VALUES: &str = "operator.image.registry=docker.io,operator.image.tag=dev,workerDefaults.image.registry=docker.io,\
    workerDefaults.image.tag=dev";

/// Of one command; `helm --wait` gets five minutes by default.
const COMMAND_DEADLINE: Duration = Duration::from_mins(5);
