//! What a schema cannot say, as rules that the API server evaluates (CEL).
//!
//! Owns the rules and where they stand. `kube`'s own derive would put them beside the fields, but its copies of a struct know
//! no `#[serde(default)]`. Whether a rule holds is tried by the cases in `cases.yaml`, here and against a real API server.

use serde_json::{Value, json};

/// A rule.
pub(super) struct Rule {
    /// The schema that it belongs to, by the names of properties; `[]` for a list's items.
    at: &'static str,
    /// What must hold.
    must: &'static str,
    /// What is said otherwise.
    message: &'static str,
}

const fn rule(at: &'static str, must: &'static str, message: &'static str) -> Rule {
    Rule { at, must, message }
}

impl Rule {
    /// Adds the rule to the definition's schema.
    pub(super) fn add_to(&self, schema: &mut Value) {
        let mut place = schema;
        for name in self.at.split('.').filter(|name| !name.is_empty()) {
            let next = if name == "[]" {
                place.get_mut("items")
            } else {
                place.get_mut("properties").and_then(|properties| properties.get_mut(name))
            };
            place = next.unwrap_or_else(|| panic!("a rule stands at {}, which is no property", self.at));
        }
        let rule = json!({"rule": self.must, "message": self.message});
        let place = place.as_object_mut().expect("a schema is an object");
        let rules = place.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        rules.as_array_mut().expect("rules are a list").push(rule);
    }
}

/// All of them.
pub(super) const RULES: &[Rule] = &[
    rule(
        "",
        "size(self.metadata.name) <= 52",
        "metadata.name has at most 52 characters: the names of workers and their labels are made of it",
    ),
    rule("", GROUP, "kafka.group cannot change: all records would be counted again"),
    rule(
        "spec.kafka.properties",
        "self.all(k, !k.contains('password') && !k.contains('secret') && !k.contains('token') && !k.endsWith('.pem'))",
        "a secret cannot stand in kafka.properties: use the references of kafka.sasl and kafka.tls",
    ),
    rule(
        "spec.kafka.properties",
        "self.all(k, !(k in ['bootstrap.servers', 'group.id', 'security.protocol', 'transactional.id', 'isolation.level', \
         'acks', 'enable.idempotence', 'enable.auto.commit', 'auto.offset.reset']) && !k.startsWith('sasl.'))",
        "kafka.properties cannot set what Rollcall sets itself",
    ),
    rule(
        "spec.kafka.tls",
        "has(self.certificateSecretRef) == has(self.keySecretRef)",
        "certificateSecretRef and keySecretRef go together",
    ),
    rule(
        "spec.redis.url",
        "!self.contains('@')",
        "user and password cannot stand in redis.url: use redis.credentialsSecretRef",
    ),
    // Unset and the default written out are the same: the API server has filled in the default before.
    rule("spec.source.topic", SAME, "source.topic cannot change: all records would be counted again"),
    rule("spec.source.startFrom", SAME, "source.startFrom cannot change: all records would be counted again"),
    rule(
        "spec.source.timestampUnit",
        SAME,
        "source.timestampUnit cannot change: all records would be counted again",
    ),
    rule("spec.source.fields", SAME, "source.fields cannot change: all records would be counted again"),
    rule("spec.output.topic", SAME, "output.topic cannot change: all records would be produced again"),
    rule(
        "spec.deadLetter.topic",
        SAME,
        "deadLetter.topic cannot change: all records would be produced again",
    ),
    rule(
        "spec.source",
        "self.fields.user != self.fields.timestamp && self.fields.version != self.fields.timestamp",
        "source.fields: the timestamp is a field of its own",
    ),
    rule(
        "spec.source",
        "!has(self.defaults) || !(self.fields.timestamp in self.defaults)",
        "source.defaults: the timestamp has no default",
    ),
    rule(
        "spec.source.defaults",
        "self.all(k, !self[k].startsWith('~'))",
        "source.defaults: a value cannot begin with ~, which marks Rollcall's own values",
    ),
    rule(
        "spec.filter.[]",
        "self.operator in ['Exists', 'DoesNotExist'] ? size(self.values) == 0 : size(self.values) > 0",
        "Exists and DoesNotExist take no values, all others need them",
    ),
    rule(
        "spec.filter.[]",
        "!(self.operator in ['Gt', 'Ge', 'Lt', 'Le']) || size(self.values) == 1",
        "Gt, Ge, Lt and Le take one value",
    ),
    rule(
        "spec.output",
        "!self.drop.exists(f, f in self.mask) && !self.drop.exists(f, f in self.hash) && !self.mask.exists(f, f in self.hash)",
        "output: a field is in one of drop, mask and hash only",
    ),
    rule(
        "spec.output",
        "size(self.hash) == 0 || has(self.hashKeySecretRef)",
        "output.hash needs output.hashKeySecretRef",
    ),
    rule(
        "spec",
        "self.source.topic != self.output.topic && self.source.topic != self.deadLetter.topic \
         && self.output.topic != self.deadLetter.topic",
        "source.topic, output.topic and deadLetter.topic are three different topics",
    ),
    rule(
        "spec",
        "!(self.source.fields.timestamp in self.output.mask) && !(self.source.fields.timestamp in self.output.hash) \
         && self.output.key != self.source.fields.timestamp",
        "the timestamp cannot be masked, hashed or the output's key: it is rewritten",
    ),
    rule(
        "spec",
        "!has(self.insights.dimensions) || !self.insights.dimensions.exists(d, d.field == self.source.fields.timestamp)",
        "the timestamp cannot be a dimension",
    ),
    rule(
        "spec",
        "!has(self.insights.unique) || !(self.source.fields.timestamp in self.insights.unique)",
        "the timestamp cannot be in insights.unique",
    ),
    rule(
        "spec",
        "!has(self.replicas) || self.scaling.mode in ['Manual', 'External']",
        "replicas is only for scaling.mode Manual and External: otherwise Rollcall decides",
    ),
    rule(
        "spec",
        "self.scaling.mode != 'External' || has(self.replicas)",
        "scaling.mode External needs replicas, from which the autoscaler starts",
    ),
    rule(
        "spec.scaling",
        "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "scaling.minReplicas is not above maxReplicas",
    ),
    rule(
        "spec.scaling",
        "self.minReplicas <= 1000 && (!has(self.maxReplicas) || self.maxReplicas >= 1 && self.maxReplicas <= 1000)",
        "scaling: there are 1 to 1000 workers at most",
    ),
    rule(
        "spec.scaling.utilization",
        "!has(self.targetPercent) || !has(self.highPercent) || self.targetPercent <= self.highPercent",
        "scaling.utilization.targetPercent is not above highPercent",
    ),
    rule(
        "spec.workers.podLabels",
        "self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('rollcall.dev/'))",
        "labels of app.kubernetes.io and rollcall.dev are the operator's",
    ),
    rule(
        "spec.workers.podAnnotations",
        "self.all(k, !k.startsWith('rollcall.dev/'))",
        "annotations of rollcall.dev are the operator's",
    ),
    rule(
        "spec.workers.extraEnv",
        "self.all(e, !e.name.startsWith('ROLLCALL_') && !(e.name in ['POD_NAME', 'RUST_LOG']))",
        "ROLLCALL_*, POD_NAME and RUST_LOG are the operator's: use the resource's own fields",
    ),
    rule(
        "spec.workers.extraEnv.[]",
        "has(self.value) != has(self.secretKeyRef)",
        "a variable has either value or secretKeyRef",
    ),
];

const SAME: &str = "self == oldSelf";

/// Unset and the default written out are the same group. A rule does not know the namespace: the operator compares the whole.
const GROUP: &str = "has(self.spec.kafka.group) == has(oldSelf.spec.kafka.group) \
    ? (!has(self.spec.kafka.group) || self.spec.kafka.group == oldSelf.spec.kafka.group) \
    : (has(self.spec.kafka.group) \
    ? (self.spec.kafka.group.startsWith('rollcall.') && self.spec.kafka.group.endsWith('.' + self.metadata.name)) \
    : (oldSelf.spec.kafka.group.startsWith('rollcall.') && oldSelf.spec.kafka.group.endsWith('.' + self.metadata.name)))";
