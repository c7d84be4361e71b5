//! Owns the texts that configure a cluster's programs.
//! It never starts any of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::namespace::Namespace;

/// Writes every settings file into `folder`.
pub(super) fn write_all(folder: &Path, cluster: &str, network_plugins: &Path) -> Result<()> {
    let here = folder.display();
    for user in USERS {
        write(folder, &format!("{user}.kubeconfig"), &kubeconfig(folder, user, API_SERVER))?;
    }
    write(folder, "tokens.csv", TOKENS)?;
    write(folder, "audit-policy.yaml", AUDIT_POLICY)?;
    write(folder, "containerd.toml", &containerd(folder, network_plugins))?;
    fs::create_dir(folder.join("cni")).context("failed to create a folder")?;
    write(folder, "cni/10-lab.conflist", NETWORK)?;
    write(folder, "kubelet.yaml", &KUBELET.replace("HERE", &here.to_string()).replace("CLUSTER", cluster))?;
    write(folder, "kube-proxy.yaml", &KUBE_PROXY.replace("HERE", &here.to_string()))?;
    write(folder, "Corefile", &COREFILE.replace("HERE", &here.to_string()))
}

/// How `user` reaches the API server at `address`. It makes its own certificate, which is its authority as well.
pub(super) fn kubeconfig(folder: &Path, user: &str, address: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster: {{server: \"https://{address}\", certificate-authority: {}, tls-server-name: localhost}}
users:
- {{name: {user}, user: {{token: {user}-token}}}}
contexts:
- {{name: lab, context: {{cluster: lab, user: {user}}}}}
current-context: lab
",
        folder.join("api/apiserver.crt").display()
    )
}

fn containerd(folder: &Path, network_plugins: &Path) -> String {
    let (here, plugins) = (folder.display(), network_plugins.display());
    format!(
        "version = 2
root = \"{here}/containerd\"
state = \"{here}/containerd-state\"
[grpc]
address = \"{here}/containerd.sock\"
[plugins.\"io.containerd.grpc.v1.cri\"]
sandbox_image = \"{PAUSE_IMAGE}\"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins.\"io.containerd.grpc.v1.cri\".cni]
bin_dir = \"{plugins}\"
conf_dir = \"{here}/cni\"
"
    )
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// The image of each pod's first container.
pub(super) const PAUSE_IMAGE: &str = "docker.io/rollcall/pause:dev";

/// Where the API server is, inside.
pub(super) const API_SERVER: &str = "172.30.0.1:6443";

const _: () = assert!(Namespace::HOST.len() + ":6443".len() == API_SERVER.len());

const USERS: [&str; 6] =
    ["admin", "node", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"];

/// token, user, number, groups
const TOKENS: &str = "\
admin-token,admin,1,system:masters
node-token,system:node:lab,2,system:nodes
kube-controller-manager-token,system:kube-controller-manager,3
kube-scheduler-token,system:kube-scheduler,4
kube-proxy-token,system:kube-proxy,5
coredns-token,lab:coredns,6,system:masters
";

/// Who did what to which object, and whether it was allowed; without the objects themselves.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// Pods are on the bridge that has this machine's address, which is their gateway.
const NETWORK: &str = r#"{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "lab0",
      "isGateway": true,
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "ranges": [
          [
            {
              "subnet": "172.30.0.0/16",
              "rangeStart": "172.30.1.1",
              "rangeEnd": "172.30.1.254",
              "gateway": "172.30.0.1"
            }
          ]
        ],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
"#;

/// Nothing is evicted: a full disk is not what a test is about.
const KUBELET: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /CLUSTER
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
clusterDNS: [172.30.0.1]
clusterDomain: cluster.local
resolvConf: \"\"
containerRuntimeEndpoint: unix://HERE/containerd.sock
podLogsDir: HERE/pod-logs
";

/// Service traffic comes back through this machine, since pods on one bridge would answer each other directly.
const KUBE_PROXY: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: HERE/kube-proxy.kubeconfig}
mode: iptables
hostnameOverride: lab
iptables: {masqueradeAll: true, minSyncPeriod: 100ms}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
";

/// `hosts` comes first, in whichever order they stand here, and hands on what it does not know.
const COREFILE: &str = "\
.:53 {
    bind 172.30.0.1
    errors
    hosts {
        172.30.0.1 kafka redis jaeger
        fallthrough
    }
    kubernetes cluster.local {
        kubeconfig HERE/coredns.kubeconfig
    }
}
";
