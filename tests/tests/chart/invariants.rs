//! What holds for every object, whatever the values are.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use lab::chart::Rendered;
use serde_json::{Value, json};

use super::rights;
use super::table::text;

pub(crate) fn check(rendered: &Rendered) -> Result<()> {
    let mut seen = BTreeSet::new();
    for object in &rendered.objects {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        let namespace = text(object, "/metadata/namespace");
        ensure!(seen.insert((kind, namespace, name)), "{kind}/{namespace}/{name} is there twice");
        one(object, kind, name).with_context(|| format!("{kind}/{name}"))?;
    }
    Ok(())
}

fn one(object: &Value, kind: &str, name: &str) -> Result<()> {
    ensure!(!kind.is_empty() && !text(object, "/apiVersion").is_empty(), "it has no kind");
    let longest = if kind.contains("Role") { 253 } else { 63 };
    ensure!(!name.is_empty() && name.len() <= longest, "its name has {} bytes", name.len());
    // Controllers write these; a second writer makes upgrades fail.
    for pointer in ["/status", "/spec/clusterIP", "/spec/nodeName", "/spec/conversion/webhook", "/secrets"] {
        ensure!(object.pointer(pointer).is_none(), "{pointer} is not the chart's");
    }
    match kind {
        // Made of nothing but what the user wrote.
        "ConfigMap" if object.pointer("/metadata/labels").is_none() => return Ok(()),
        "Deployment" => pod(object.pointer("/spec/template").context("no template")?)?,
        "Pod" => pod(object)?,
        "Role" | "ClusterRole" => role(object)?,
        "RoleBinding" | "ClusterRoleBinding" => {
            ensure!(text(object, "/roleRef/name") == name, "it binds another role than its own");
        }
        _ => {}
    }
    ensure!(text(object, "/metadata/labels/app.kubernetes.io~1part-of") == "rollcall", "it has no labels");
    ensure!(text(object, "/metadata/labels/app.kubernetes.io~1instance") == "rollcall", "it has no instance");
    Ok(())
}

/// The Pod Security Standard `restricted`, resources, and pinned images.
fn pod(pod: &Value) -> Result<()> {
    let own = pod.pointer("/spec/securityContext").context("no security context")?;
    ensure!(own.get("runAsNonRoot") == Some(&json!(true)), "it may run as root");
    ensure!(text(own, "/seccompProfile/type") == "RuntimeDefault", "it has no seccomp profile");
    for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
        ensure!(pod.pointer(&format!("/spec/{forbidden}")).is_none(), "{forbidden}");
    }
    for container in pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten() {
        let context = container.get("securityContext").context("no security context of the container")?;
        ensure!(context.get("allowPrivilegeEscalation") == Some(&json!(false)), "it may gain privileges");
        ensure!(context.get("readOnlyRootFilesystem") == Some(&json!(true)), "its root can be written");
        ensure!(context.pointer("/capabilities/drop") == Some(&json!(["ALL"])), "it keeps capabilities");
        for pointer in ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"] {
            ensure!(container.pointer(pointer).is_some(), "{pointer} is not set");
        }
        let image = text(container, "/image");
        let (_, after) = image.rsplit_once('/').unwrap_or(("", image));
        ensure!(after.contains(':') && !after.ends_with(":latest"), "the image {image} has no version");
    }
    Ok(())
}

/// No wildcards, no rights on definitions, Secrets by name and one at a time only.
fn role(role: &Value) -> Result<()> {
    for right in rights::of(role) {
        ensure!(!right.contains('*') && !right.contains("customresourcedefinitions"), "it has {right}");
        if let Some(rest) = right.strip_prefix("secrets") {
            match rest.split_once("]: ") {
                Some((names, "get")) if names.starts_with(" [") => {}
                _ => bail!("it has {right}"),
            }
        }
    }
    Ok(())
}
