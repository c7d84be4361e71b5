//! The rights of a role, one line for each resource.

use std::collections::BTreeSet;

use serde_json::Value;

/// `resource.group [names]: verbs`, all sorted; the core group has no name.
pub(crate) fn of(role: &Value) -> Vec<String> {
    let rules = role.get("rules").and_then(Value::as_array);
    let mut rights = Vec::new();
    for rule in rules.into_iter().flatten() {
        let names = sorted(rule, "resourceNames");
        let names = if names.is_empty() { names } else { format!(" [{names}]") };
        for group in texts(rule, "apiGroups") {
            let group = if group.is_empty() { group } else { format!(".{group}") };
            for resource in texts(rule, "resources") {
                rights.push(format!("{resource}{group}{names}: {}", sorted(rule, "verbs")));
            }
        }
    }
    rights.sort();
    rights
}

fn sorted(rule: &Value, key: &str) -> String {
    texts(rule, key).into_iter().collect::<Vec<_>>().join(" ")
}

fn texts(rule: &Value, key: &str) -> BTreeSet<String> {
    let list = rule.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
