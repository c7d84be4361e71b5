//! A change of each value of the chart, beside values with which all of them matter.

use anyhow::{Context, Result, bail};
use lab::chart::schema;
use serde_json::{Map, Value, json};

/// One value, changed.
pub(crate) struct Change {
    /// Its path with dots.
    pub(crate) path: String,
    /// The values with this one alone.
    pub(crate) values: Value,
}

/// Values that switch everything on.
pub(crate) fn everything() -> Value {
    json!({
        "operator": {"watchNamespaces": ["one", "two"]},
        "insightsApi": {
            "auth": {"type": "TokenReview"},
            "ingress": {"enabled": true},
            "httpRoute": {"enabled": true, "parentRefs": [{"name": "gateway"}]},
        },
        "rollcall": {"create": true},
        "rbac": {"secrets": ["kafka-user"]},
        "metrics": {"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}},
        "prometheusRule": {"enabled": true},
        "tracing": {"endpoint": "http://jaeger:4317", "headersSecretRef": {"name": "otlp"}},
    })
}

/// Each value of the schema with another one than it has in `everything`.
pub(crate) fn changes() -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    collect(&mut Vec::new(), &schema()?, &mut changes)?;
    Ok(changes)
}

/// Puts `from` over `into`, as Helm does with values.
pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn collect(path: &mut Vec<String>, schema: &Value, changes: &mut Vec<Change>) -> Result<()> {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (key, schema) in properties {
            path.push(key.clone());
            collect(path, schema, changes)?;
            path.pop();
        }
        return Ok(());
    }
    let name = path.join(".");
    let everything = everything();
    let usual = everything.pointer(&format!("/{}", path.join("/"))).or_else(|| schema.get("default"));
    let value = match (special(&name), usual) {
        (Some(value), _) => value,
        (None, Some(usual)) => another(schema, usual).with_context(|| name.clone())?,
        (None, None) => bail!("{name} has no default"),
    };
    let values =
        path.iter().rev().fold(value, |inner, key| Value::Object(Map::from_iter([(key.clone(), inner)])));
    changes.push(Change { path: name, values });
    Ok(())
}

/// Another value than the usual one, of the same type.
fn another(schema: &Value, usual: &Value) -> Result<Value> {
    if let Some(Value::Array(words)) = schema.get("enum") {
        return words.iter().rfind(|word| *word != usual).cloned().context("it has one word only");
    }
    Ok(match usual {
        Value::Bool(value) => json!(!value),
        Value::Number(value) => json!(value.as_i64().context("not an integer")? + 1),
        Value::String(_) => json!("another"),
        Value::Array(_) if schema.pointer("/items/type") == Some(&json!("string")) => json!(["another"]),
        Value::Array(_) if schema.pointer("/items/type") == Some(&json!("integer")) => json!([1234]),
        Value::Array(_) => json!([{"name": "another", "mountPath": "/another"}]),
        Value::Object(_) => json!({"another": "one"}),
        Value::Null => bail!("it has no type"),
    })
}

/// Where another value must have a form of its own.
fn special(path: &str) -> Option<Value> {
    Some(match path {
        "operator.image.digest" | "workerDefaults.image.digest" => {
            json!(format!("sha256:{}", "0".repeat(64)))
        }
        "operator.topologySpreadConstraints" => json!([]),
        "global.imagePullSecrets" => json!([{"name": "pull"}]),
        "metrics.serviceMonitor.interval" | "metrics.podMonitor.interval" => json!("7s"),
        "prometheusRule.disabled" => json!(["RollcallFenced"]),
        "tracing.ratio" => json!("0.5"),
        "extraObjects" => json!([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "another"}}]),
        _ => return None,
    })
}
