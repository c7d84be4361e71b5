//! The custom resource definition, as it is installed.
//!
//! Owns what the derive cannot say or says too long. It is made from the types alone: what is printed is what the operator
//! reads.

use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use super::Rollcall;
use super::rules::RULES;

/// The definition.
pub fn crd() -> Value {
    let mut crd = serde_json::to_value(Rollcall::crd()).expect("a definition is JSON");
    if let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(version) = version.as_object_mut() {
                let columns = COLUMNS.iter().map(Column::shown).collect();
                version.insert("additionalPrinterColumns".to_owned(), columns);
            }
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                trim(schema);
                for rule in RULES {
                    rule.add_to(schema);
                }
            }
        }
    }
    crd
}

/// The definition as YAML.
pub fn yaml() -> String {
    crate::yaml::print(&crd())
}

/// An absent field is absent, never null; and each description is one line.
fn trim(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|key, value| match key.as_str() {
                "nullable" => !value.is_boolean(),
                "title" => !value.is_string(),
                _ => true,
            });
            bound(fields);
            if let Some(Value::String(description)) = fields.get_mut("description") {
                *description = description.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
            }
            for value in fields.values_mut() {
                trim(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(trim),
        _ => {}
    }
}

/// What the API server accepts the operator can read: a number that does not fit would hide all resources from it. Rust's own
/// names of unsigned sizes go: Kubernetes does not know them.
fn bound(fields: &mut Map<String, Value>) {
    let maximum = match fields.get("format").and_then(Value::as_str) {
        Some("int32" | "uint32") => i64::from(i32::MAX),
        Some("uint64") => EXACT_MAX,
        _ => return,
    };
    fields.entry("maximum").or_insert_with(|| maximum.into());
    fields.retain(|key, value| key != "format" || !value.as_str().is_some_and(|name| name.starts_with('u')));
}

/// The API server reads bounds as doubles: a larger one is another number there, and may refuse everything.
const EXACT_MAX: i64 = (1 << 53) - 1;

/// A column of `kubectl get`; with a priority it is shown with `-o wide` only.
struct Column(&'static str, &'static str, &'static str, i32);

impl Column {
    fn shown(&self) -> Value {
        let Self(name, kind, path, priority) = self;
        json!({"name": name, "type": kind, "jsonPath": path, "priority": priority})
    }
}

const COLUMNS: [Column; 11] = [
    Column("READY", "string", ".status.conditions[?(@.type==\"Ready\")].status", 0),
    Column("STATE", "string", ".spec.desiredState", 0),
    Column("REPLICAS", "integer", ".status.readyReplicas", 0),
    Column("DESIRED", "integer", ".status.desiredReplicas", 0),
    Column("LAG", "integer", ".status.lag.records", 0),
    Column("LAG-AGE", "integer", ".status.lag.seconds", 0),
    Column("AGE", "date", ".metadata.creationTimestamp", 0),
    Column("PARTITIONS", "integer", ".status.partitions", 1),
    Column("LOGINS", "integer", ".status.insights.logins", 1),
    Column("GROUP", "string", ".status.consumerGroup", 1),
    Column("REASON", "string", ".status.conditions[?(@.type==\"Ready\")].reason", 1),
];
