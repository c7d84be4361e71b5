//! The table of cases beside this file: what the definition accepts and rejects.
//!
//! Owns how a case is read and made a resource of. Who judges it is not known here: the rules alone do in this crate's tests, the
//! API server in the lab's.

use serde::Deserialize;
use serde_json::{Value, json};

/// One case of `cases.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Merged into the smallest resource, or into `spec` where the case has no other.
    #[serde(default)]
    spec: Value,
    /// The resource's name.
    #[serde(default)]
    resource: Option<String>,
    /// What `spec` was before; none: the resource is created.
    #[serde(default)]
    before: Option<Value>,
    /// A part of what is said; none: it is accepted.
    #[serde(default)]
    pub(crate) rejected: Option<String>,
    /// Whether the schema alone rejects it: only the API server can tell then.
    #[serde(default)]
    pub(crate) by_schema: bool,
}

impl Case {
    /// The resource's name.
    pub(crate) fn resource_name(&self) -> &str {
        self.resource.as_deref().unwrap_or("user-login")
    }

    /// The resource as it is to be.
    pub(crate) fn after(&self) -> Value {
        self.resource(&self.spec)
    }

    /// The resource as it was; none where it is created.
    pub(crate) fn before(&self) -> Option<Value> {
        self.before.as_ref().map(|before| self.resource(before))
    }

    /// Whether this is what should be said of it; none: it was accepted.
    pub(crate) fn expects(&self, said: Option<&str>) -> bool {
        match (&self.rejected, said) {
            (None, None) => true,
            (Some(part), Some(said)) => said.contains(part.as_str()),
            _ => false,
        }
    }

    /// The smallest resource with `changes` merged into its `spec`.
    fn resource(&self, changes: &Value) -> Value {
        let mut spec = json!({
            "kafka": {"brokers": ["kafka:9092"]},
            "redis": {"url": "redis://redis:6379"},
            "scaling": {"maxReplicas": 12},
        });
        merge(&mut spec, changes);
        json!({
            "apiVersion": "rollcall.dev/v1alpha1",
            "kind": "Rollcall",
            "metadata": {"name": self.resource_name(), "namespace": "analytics"},
            "spec": spec,
        })
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("cases.yaml")).expect("the table is YAML")
}

/// As a JSON merge patch: null removes.
fn merge(value: &mut Value, changes: &Value) {
    let Value::Object(changes) = changes else {
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
