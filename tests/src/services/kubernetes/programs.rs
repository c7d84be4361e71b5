//! Owns the processes of a cluster: how each is started, in which order, and when it is ready.
//! It never talks to the API server itself.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::namespace::Namespace;
use super::settings::API_SERVER;
use crate::components::kubernetes as component;
use crate::components::{containers, openssl::openssl};
use crate::services::daemon::Daemon;
use crate::services::place::Place;

/// The processes; dropping this ends them, the last started first.
#[derive(Debug)]
pub(super) struct Programs {
    kubelet: Daemon,
    proxy: Daemon,
    dns: Daemon,
    scheduler: Daemon,
    controllers: Daemon,
    containerd: Daemon,
    api_server: Daemon,
    store: Daemon,
}

impl Programs {
    /// The programs with their settings in `folder`; none runs yet.
    pub(super) fn new(folder: &Path, namespace: &Arc<Namespace>) -> Result<Self> {
        let programs = component::programs()?;
        let network = Place::network(namespace);
        let all = Place::namespaces(namespace);
        let daemon = |place: &Place, name: &str, program: PathBuf, arguments: &str| {
            let here = folder.to_string_lossy();
            let arguments = arguments.split_whitespace().map(|word| word.replace("HERE", &here)).collect();
            Daemon::new(name, program, arguments, folder).at(place)
        };
        let kubernetes =
            |place: &Place, name: &str, arguments: &str| daemon(place, name, programs.join(name), arguments);
        Ok(Self {
            kubelet: kubernetes(&all, "kubelet", KUBELET),
            // It writes its lock to `/run`.
            proxy: kubernetes(&all, "kube-proxy", "--config=HERE/kube-proxy.yaml"),
            dns: daemon(&network, "coredns", component::coredns()?, "-conf HERE/Corefile"),
            scheduler: kubernetes(&network, "kube-scheduler", SCHEDULER),
            controllers: kubernetes(&network, "kube-controller-manager", CONTROLLERS),
            containerd: daemon(
                &all,
                "containerd",
                containers::containerd()?,
                "--config HERE/containerd.toml",
            ),
            api_server: kubernetes(&network, "kube-apiserver", API),
            store: daemon(&network, "etcd", component::etcd()?, STORE),
        })
    }

    /// Starts what the API server needs, the API server, and what runs containers. The caller is inside of the network.
    pub(super) fn start_base(&mut self, folder: &Path) -> Result<()> {
        self.containerd.launch()?;
        self.store.start(START_DEADLINE, || connect("127.0.0.1:2379"))?;
        make_keys(folder)?;
        self.api_server.launch()?;
        let socket = folder.join("containerd.sock");
        self.containerd.wait_ready(START_DEADLINE, || {
            UnixStream::connect(&socket).context("no containerd answers").map(drop)
        })
    }

    /// Waits until the API server listens, then starts the rest, which finds its way by itself.
    pub(super) fn start_rest(&mut self) -> Result<()> {
        self.api_server.wait_ready(START_DEADLINE, || connect(API_SERVER))?;
        for daemon in
            [&mut self.kubelet, &mut self.controllers, &mut self.scheduler, &mut self.proxy, &mut self.dns]
        {
            daemon.launch()?;
        }
        Ok(())
    }

    /// Kills the API server.
    pub(super) fn kill_api_server(&mut self) -> Result<()> {
        self.api_server.kill()
    }

    /// Starts the API server again, and waits until it listens. The caller is inside of the network.
    pub(super) fn start_api_server(&mut self) -> Result<()> {
        self.api_server.start(START_DEADLINE, || connect(API_SERVER))
    }

    /// Stops the API server in its tracks, or lets it go on.
    pub(super) fn pause_api_server(&mut self, pause: bool) -> Result<()> {
        if pause { self.api_server.pause() } else { self.api_server.resume() }
    }

    /// The ends of all logs, for the error of a start in vain.
    pub(super) fn log_ends(&self) -> String {
        let all = [&self.api_server, &self.controllers, &self.containerd, &self.kubelet];
        all.map(Daemon::log_end).join("\n")
    }
}

fn connect(address: &str) -> Result<()> {
    TcpStream::connect(address).with_context(|| format!("nobody listens at {address}")).map(drop)
}

/// The pair of keys that signs and checks the tokens of service accounts.
fn make_keys(folder: &Path) -> Result<()> {
    let (private, public) = (folder.join("accounts.key"), folder.join("accounts.pub"));
    let openssl = openssl()?;
    let run = |command: &mut Command| -> Result<()> {
        let output = command.output().context("failed to run openssl")?;
        if !output.status.success() {
            bail!("openssl failed to make keys: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    };
    run(Command::new(&openssl).args(["genrsa", "-out"]).arg(&private).arg("2048"))?;
    run(Command::new(&openssl).args(["rsa", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public))?;
    fs::metadata(&public).map(drop).context("openssl made no key")
}

const START_DEADLINE: Duration = Duration::from_mins(1);

/// What it loses by a power cut is lost with the cluster anyway.
const STORE: &str = "
    --data-dir=HERE/etcd
    --listen-client-urls=http://127.0.0.1:2379
    --advertise-client-urls=http://127.0.0.1:2379
    --listen-peer-urls=http://127.0.0.1:2380
    --unsafe-no-fsync
    --log-level=warn";

const API: &str = "
    --etcd-servers=http://127.0.0.1:2379
    --bind-address=0.0.0.0
    --advertise-address=172.30.0.1
    --cert-dir=HERE/api
    --service-cluster-ip-range=10.96.0.0/24
    --service-account-issuer=https://kubernetes.default.svc
    --service-account-key-file=HERE/accounts.pub
    --service-account-signing-key-file=HERE/accounts.key
    --token-auth-file=HERE/tokens.csv
    --authorization-mode=Node,RBAC
    --allow-privileged=true
    --kubelet-preferred-address-types=InternalIP
    --audit-policy-file=HERE/audit-policy.yaml
    --audit-log-path=HERE/audit.log";

const CONTROLLERS: &str = "
    --kubeconfig=HERE/kube-controller-manager.kubeconfig
    --leader-elect=false
    --use-service-account-credentials
    --service-account-private-key-file=HERE/accounts.key
    --root-ca-file=HERE/api/apiserver.crt
    --cert-dir=HERE/controllers";

const SCHEDULER: &str = "
    --kubeconfig=HERE/kube-scheduler.kubeconfig
    --leader-elect=false
    --cert-dir=HERE/scheduler";

const KUBELET: &str = "
    --config=HERE/kubelet.yaml
    --kubeconfig=HERE/node.kubeconfig
    --hostname-override=lab
    --node-ip=172.30.0.1
    --root-dir=HERE/kubelet
    --cert-dir=HERE/kubelet-certificates";
