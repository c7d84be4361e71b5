//! The last step but one: server-side apply, and only where something differs.
//!
//! Owns the comparison. What Kubernetes adds to an object is no difference; what others changed of ours is one.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Error;
use crate::build::checksum;

/// A kind of object that is in a namespace.
pub(super) trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

/// An object as it is to be, beside what is there.
pub(super) struct Change<K> {
    desired: Value,
    /// What is there, when it says the same already.
    applied: Option<K>,
}

impl<K: Namespaced + Serialize> Change<K> {
    /// Compares the two.
    pub(super) fn new(desired: &K, live: Option<K>) -> Self {
        let desired = marked(desired);
        Self { applied: live.filter(|live| is_applied(live, &desired)), desired }
    }

    /// Asks the API server what it would say, if something differs.
    pub(super) async fn try_out(&self, client: &Client, namespace: &str) -> Result<(), Error> {
        if self.applied.is_none() {
            let params = PatchParams::apply(MANAGER).force().dry_run();
            patch::<K>(client, namespace, &self.desired, params).await?;
        }
        Ok(())
    }

    /// Applies it if something differs; returns what is there then, and whether it was written.
    pub(super) async fn apply(self, client: &Client, namespace: &str) -> Result<(K, bool), Error> {
        if let Some(applied) = self.applied {
            return Ok((applied, false));
        }
        let params = PatchParams::apply(MANAGER).force();
        Ok((patch(client, namespace, &self.desired, params).await?, true))
    }
}

async fn patch<K: Namespaced>(
    client: &Client,
    namespace: &str,
    desired: &Value,
    params: PatchParams,
) -> Result<K, Error> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = desired.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    api.patch(&name, &params, &Patch::Apply(desired))
        .await
        .map_err(|source| Error::Write { kind: K::kind(&()).into_owned(), source })
}

fn is_applied(live: &impl Serialize, desired: &Value) -> bool {
    covers(&serde_json::to_value(live).expect("an object is JSON"), desired)
}

/// Changes the number of workers, and nothing else.
pub(super) async fn scale<K: Namespaced>(
    client: &Client,
    namespace: &str,
    name: &str,
    replicas: i32,
) -> Result<K, Error> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch(name, &params, &patch)
        .await
        .map_err(|source| Error::Write { kind: K::kind(&()).into_owned(), source })
}

/// With a checksum of itself: a field that is no longer wanted makes a difference, too.
fn marked(desired: &impl Serialize) -> Value {
    let mut desired = serde_json::to_value(desired).expect("an object is JSON");
    let sum = checksum(&desired.to_string());
    if let Some(metadata) = desired.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(APPLIED.to_owned(), sum.into());
        }
    }
    desired
}

/// Whether `live` says everything that `desired` does.
fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, desired)| {
            live.get(key).map_or_else(|| is_nothing(desired), |live| covers(live, desired))
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live.iter().zip(desired).all(|(live, desired)| covers(live, desired))
        }
        (Value::String(live), Value::String(desired)) => live == desired || is_same_quantity(live, desired),
        _ => live == desired,
    }
}

/// What the API server leaves out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `1000m` is stored as `1`.
fn is_same_quantity(one: &str, other: &str) -> bool {
    matches!((quantity(one), quantity(other)), (Some(one), Some(other)) if (one - other).abs() <= one.abs() * 1e-9)
}

fn quantity(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let suffix = text.get(digits.len()..)?;
    let (_, factor) = SUFFIXES.iter().find(|(known, _)| *known == suffix)?;
    digits.parse::<f64>().ok().map(|number| number * factor)
}

const SUFFIXES: [(&str, f64); 14] = [
    ("", 1.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
];

/// The field manager of everything that a resource becomes.
const MANAGER: &str = "rollcall-operator";

const APPLIED: &str = "rollcall.dev/applied";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_adds_is_no_difference_and_what_others_change_is() {
        let desired =
            json!({"spec": {"replicas": 2, "containers": [{"name": "a", "cpu": "1000m"}], "empty": {}}});
        let mut live = json!({
            "metadata": {"uid": "x"},
            "spec": {"replicas": 2, "containers": [{"name": "a", "cpu": "1", "more": true}], "added": 1},
            "status": {},
        });
        assert!(covers(&live, &desired));
        live["spec"]["replicas"] = json!(3);
        assert!(!covers(&live, &desired));
        live["spec"]["replicas"] = json!(2);
        live["spec"]["containers"] = json!([{"name": "a", "cpu": "1"}, {"name": "side-car"}]);
        assert!(!covers(&live, &desired));
    }

    #[test]
    fn a_field_that_is_no_longer_wanted_is_a_difference() {
        let before = marked(&json!({"metadata": {"name": "x", "annotations": {"a": "1", "b": "2"}}}));
        let after = marked(&json!({"metadata": {"name": "x", "annotations": {"a": "1"}}}));
        assert!(covers(&before, &before));
        assert!(!covers(&before, &after));
    }

    #[test]
    fn quantities_are_compared_by_value() {
        for (one, other, same) in [
            ("1000m", "1", true),
            ("1Gi", "1024Mi", true),
            ("1Gi", "1G", false),
            ("0.5", "500m", true),
            ("a", "b", false),
            ("1x", "1x", false),
        ] {
            assert_eq!(is_same_quantity(one, other), same, "{one} {other}");
        }
    }
}
