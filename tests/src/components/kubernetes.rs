//! Owns getting Kubernetes with its store and its DNS: built by Go from `tests/tools/{kubernetes,etcd,coredns}`.
//! It never starts any of them.

use std::path::PathBuf;

use anyhow::Result;

use super::go::Module;

/// The folder with `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kubelet`, `kube-proxy`, `kubectl`.
pub fn programs() -> Result<PathBuf> {
    KUBERNETES.folder()
}

/// The `etcd` server.
pub fn etcd() -> Result<PathBuf> {
    Ok(ETCD.folder()?.join("server"))
}

/// The `coredns` program.
pub fn coredns() -> Result<PathBuf> {
    Ok(COREDNS.folder()?.join("coredns"))
}

const KUBERNETES: Module = Module {
    component: "kubernetes",
    title: "Kubernetes 1.35.4",
    takes: "about five minutes",
    files: [include_str!("../../tools/kubernetes/go.mod"), include_str!("../../tools/kubernetes/go.sum")],
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kubectl",
    ],
    variables: &[
        "k8s.io/component-base/version.gitVersion=v1.35.4",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=35",
    ],
};

const ETCD: Module = Module {
    component: "etcd",
    title: "etcd 3.6.9",
    takes: "half a minute",
    files: [include_str!("../../tools/etcd/go.mod"), include_str!("../../tools/etcd/go.sum")],
    packages: &["go.etcd.io/etcd/server/v3"],
    variables: &[],
};

const COREDNS: Module = Module {
    component: "coredns",
    title: "CoreDNS 1.15.0",
    takes: "about two minutes",
    files: [include_str!("../../tools/coredns/go.mod"), include_str!("../../tools/coredns/go.sum")],
    packages: &["github.com/coredns/coredns"],
    variables: &[],
};
