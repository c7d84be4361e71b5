//! The table of cases in `cases.yaml`: what an object holds at least, a role's rights, a policy's ports.

use anyhow::{Context, Result, bail, ensure};
use lab::chart::{Rendered, render};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{invariants, rights};

/// One case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(default)]
    values: Map<String, Value>,
    /// What objects hold at least.
    #[serde(default)]
    expect: Map<String, Value>,
    /// Objects that are not there.
    #[serde(default)]
    absent: Vec<String>,
    /// All rights of roles.
    #[serde(default)]
    rights: Map<String, Value>,
    /// What the file for the workers' defaults holds at least.
    worker_defaults: Option<Value>,
    /// All ports that the operator's policy lets through.
    egress: Option<Vec<String>>,
    ingress: Option<Vec<String>>,
    /// A part of what Helm says instead of rendering.
    refused: Option<String>,
}

pub(crate) fn cases() -> Result<Vec<Case>> {
    serde_saphyr::from_str(include_str!("cases.yaml")).context("cases.yaml")
}

pub(crate) fn check(case: &Case) -> Result<()> {
    let values = Value::Object(case.values.clone());
    if let Some(words) = &case.refused {
        return match render(&values) {
            Ok(_) => bail!("it was rendered"),
            Err(error) if format!("{error:#}").contains(&pointer(words)) => Ok(()),
            Err(error) => bail!("expected a complaint of {words}, not {error:#}"),
        };
    }
    let rendered = render(&values)?;
    invariants::check(&rendered)?;
    for (path, expected) in &case.expect {
        holds(expected, object(&rendered, path)?).with_context(|| path.clone())?;
    }
    for path in &case.absent {
        let kind = path.strip_suffix('*').unwrap_or("\0");
        let is_there = |object: &Value| format!("{}/", text(object, "/kind")).starts_with(kind);
        ensure!(rendered.find(path).is_none() && !rendered.objects.iter().any(is_there), "{path} is there");
    }
    for (path, expected) in &case.rights {
        let rights = json!(rights::of(object(&rendered, path)?));
        ensure!(rights == *expected, "{path} has the rights {rights}");
    }
    if let Some(expected) = &case.worker_defaults {
        let map = object(&rendered, "ConfigMap/rollcall-worker-defaults")?;
        let file: Value = serde_saphyr::from_str(text(map, "/data/worker-defaults.yaml"))?;
        holds(expected, &file).context("worker-defaults.yaml")?;
    }
    for (side, expected) in [("egress", &case.egress), ("ingress", &case.ingress)] {
        if let Some(expected) = expected {
            let ports = ports(object(&rendered, "NetworkPolicy/rollcall-operator")?, side);
            ensure!(ports == *expected, "{side} is through {ports:?}");
        }
    }
    Ok(())
}

fn object<'a>(rendered: &'a Rendered, path: &str) -> Result<&'a Value> {
    rendered.find(path).with_context(|| format!("{path} is not there"))
}

/// Whether what is expected is in what there is: of a mapping these keys, of a list these items, in any place.
fn holds(expected: &Value, actual: &Value) -> Result<()> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, expected) in expected {
                let actual = actual.get(key).unwrap_or(&Value::Null);
                holds(expected, actual).with_context(|| key.clone())?;
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(actual)) => {
            if let ([expected], [actual]) = (expected.as_slice(), actual.as_slice()) {
                return holds(expected, actual);
            }
            let is_in = |expected: &Value| actual.iter().any(|actual| holds(expected, actual).is_ok());
            match expected.iter().find(|expected| !is_in(expected)) {
                Some(missing) => bail!("{missing} is not in {}", json!(actual)),
                None => Ok(()),
            }
        }
        (expected, actual) if expected == actual => Ok(()),
        (expected, actual) => bail!("expected {expected}, not {actual}"),
    }
}

/// The ports of a policy's rules, sorted by number.
fn ports(policy: &Value, side: &str) -> Vec<String> {
    let rules = policy.pointer(&format!("/spec/{side}")).and_then(Value::as_array);
    let of_rule = |rule: &Value| rule.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut ports: Vec<(u64, String)> = rules
        .into_iter()
        .flatten()
        .flat_map(of_rule)
        .map(|port| {
            let (number, protocol) =
                (port.get("port").cloned().unwrap_or_default(), text(&port, "/protocol"));
            let shown = number.as_str().map_or_else(|| number.to_string(), str::to_owned);
            (number.as_u64().unwrap_or(u64::MAX), format!("{shown}/{protocol}"))
        })
        .collect();
    ports.sort();
    ports.into_iter().map(|(_, port)| port).collect()
}

pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// How Helm names a place in the values: quoted, where it is a path.
fn pointer(words: &str) -> String {
    if words.starts_with('/') { format!("'{words}'") } else { words.to_owned() }
}
