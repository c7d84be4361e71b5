//! What the operator asked of the API server, by its audit log.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::site::{Site, text};

impl Site {
    /// The operator's requests, as the API server wrote them down, each once.
    pub(crate) fn events(&self) -> Result<Vec<Value>> {
        let user = format!("system:serviceaccount:{}:rollcall-operator", self.namespace);
        let mut events = self.ground.cluster.audit_events()?;
        events.retain(|event| {
            // A watch is answered for as long as it lasts.
            let is_watch = text(event, "/verb") == "watch";
            let stage = if is_watch { "ResponseStarted" } else { "ResponseComplete" };
            text(event, "/user/username") == user && text(event, "/stage") == stage
        });
        Ok(events)
    }

    /// Its writes so far, but those of leases and status.
    pub(crate) fn writes(&self) -> Result<usize> {
        let is_write = |event: &&Value| {
            let is_moving = text(event, "/objectRef/resource") == "leases"
                || text(event, "/objectRef/subresource") == "status";
            !["get", "list", "watch"].contains(&text(event, "/verb")) && !is_moving
        };
        Ok(self.events()?.iter().filter(is_write).count())
    }

    /// Its reads of single objects so far.
    pub(crate) fn reads(&self) -> Result<usize> {
        Ok(self.events()?.iter().filter(|event| text(event, "/verb") == "get").count())
    }

    /// No call of the operator's was denied.
    pub(crate) fn asks_for_nothing_forbidden(&self) -> Result<()> {
        let denied: BTreeSet<String> = self
            .events()?
            .iter()
            .filter(|event| text(event, "/annotations/authorization.k8s.io~1decision") == "forbid")
            .map(|event| format!("{} {}", text(event, "/verb"), text(event, "/requestURI")))
            .collect();
        assert_eq!(denied, BTreeSet::new());
        Ok(())
    }

    /// Verbs on resources that were asked for and allowed, e.g. `patch apps/deployments`.
    pub(crate) fn asked_for(&self) -> Result<BTreeSet<String>> {
        let is_allowed =
            |event: &&Value| text(event, "/annotations/authorization.k8s.io~1decision") == "allow";
        let right = |event: &Value| {
            let subresource = text(event, "/objectRef/subresource");
            let resource = match subresource {
                "" => text(event, "/objectRef/resource").to_owned(),
                _ => format!("{}/{subresource}", text(event, "/objectRef/resource")),
            };
            named(text(event, "/verb"), text(event, "/objectRef/apiGroup"), &resource)
        };
        let mut asked: BTreeSet<String> = self.events()?.iter().filter(is_allowed).map(right).collect();
        // What server-side apply creates is a patch to the log, and asks for both rights.
        let created = self.events()?.into_iter().filter(|event| {
            text(event, "/verb") == "patch"
                && event.pointer("/responseStatus/code").and_then(Value::as_i64) == Some(201)
        });
        asked.extend(created.map(|event| right(&event).replacen("patch", "create", 1)));
        Ok(asked)
    }

    /// Verbs on resources that the chart's roles grant.
    pub(crate) fn granted(&self) -> Result<BTreeSet<String>> {
        let roles = self.get(&["roles", "--selector=app.kubernetes.io/managed-by=Helm"])?;
        let auth = format!("{}-rollcall-operator-auth", self.namespace);
        let auth = self.ground.cluster.get(&["clusterrole", &auth])?;
        let roles = roles.get("items").and_then(Value::as_array).context("no roles")?;
        let all = roles.iter().chain([&auth]).filter_map(|role| role.get("rules")?.as_array()).flatten();
        let list = |rule: &Value, name: &str| -> Vec<String> {
            let list = rule.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let mut granted = BTreeSet::new();
        for rule in all {
            for group in list(rule, "apiGroups") {
                for resource in list(rule, "resources") {
                    granted.extend(list(rule, "verbs").iter().map(|verb| named(verb, &group, &resource)));
                }
            }
        }
        Ok(granted)
    }
}

fn named(verb: &str, group: &str, resource: &str) -> String {
    if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {group}/{resource}") }
}
