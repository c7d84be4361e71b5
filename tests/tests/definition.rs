//! The custom resource's definition against a real API server: every case of the operator's own table is accepted or rejected as
//! it says. The operator's unit tests ask the same of the rules alone, so that both agree.
#![cfg(feature = "lab")]

use std::fs;

use anyhow::{Context as _, Result};
use lab::kubernetes::Cluster;
use serde::Deserialize;
use serde_json::{Value, json};

/// One case of the table; what it means stands there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    before: Option<Value>,
    #[serde(default)]
    rejected: Option<String>,
    #[serde(default, rename = "by_schema")]
    _by_schema: bool,
}

#[test]
fn the_api_server_accepts_and_rejects_what_the_table_says() -> Result<()> {
    let cluster = Cluster::shared();
    cluster.apply(&rollcall_operator::resource::yaml())?;
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: analytics}}")?;
    let established = ["wait", "--for=condition=Established", "--timeout=30s", "crd/rollcalls.rollcall.dev"];
    cluster.kubectl(&established)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rollcall.json");
    let file_name = file.to_str().context("a path that is no text")?;
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("../../operator/src/resource/cases.yaml"))?;
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.resource.as_deref().unwrap_or("user-login");
        if let Some(before) = &case.before {
            cluster.apply(&resource(name, before).to_string())?;
        }
        fs::write(&file, resource(name, &case.spec).to_string())?;
        let said = cluster.kubectl(&["apply", "--server-side", "--dry-run=server", "--filename", file_name]);
        let is_right = match (&case.rejected, &said) {
            (None, Ok(_)) => true,
            (Some(part), Err(error)) => format!("{error:#}").contains(part.as_str()),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{}: {:?}", case.name, said.map_err(|error| format!("{error:#}"))));
        }
        if case.before.is_some() {
            cluster.kubectl(&["--namespace=analytics", "delete", "rcl", name])?;
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}

/// The smallest resource with `changes` merged into its `spec`.
fn resource(name: &str, changes: &Value) -> Value {
    let mut spec = json!({
        "kafka": {"brokers": ["kafka:9092"]},
        "redis": {"url": "redis://redis:6379"},
        "scaling": {"maxReplicas": 12},
    });
    merge(&mut spec, changes);
    json!({
        "apiVersion": "rollcall.dev/v1alpha1",
        "kind": "Rollcall",
        "metadata": {"name": name, "namespace": "analytics"},
        "spec": spec,
    })
}

/// As a JSON merge patch: null removes.
fn merge(value: &mut Value, changes: &Value) {
    let Some(changes) = changes.as_object() else {
        return;
    };
    for (key, change) in changes {
        let fields = value.as_object_mut().expect("an object");
        match change {
            Value::Null => drop(fields.remove(key)),
            Value::Object(_) => merge(fields.entry(key).or_insert_with(|| json!({})), change),
            _ => drop(fields.insert(key.clone(), change.clone())),
        }
    }
}
