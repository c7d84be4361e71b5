//! From the specification back to a tree, in the order in which the settings are documented.
//!
//! Owns the order and the words. What becomes of secrets its callers decide: it never hands out one by itself.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::duration::format_duration;
use super::filter::OPERATORS;
use super::model::{
    Dimension, Fold, Insights, Kafka, Output, OutputKey, PipelineSpec, Requirement, Sasl, Source, StartFrom,
    TimestampUnit, Tls,
};
use super::properties;
use super::settings::{FOLDS, START_FROM, TIMESTAMP_UNITS};
use super::tree::{Content, Entry, Node};

/// What may change at any time: where the services are, and how often people are told.
pub(super) fn connections(spec: &PipelineSpec, redis_url: String) -> Vec<(&'static str, Node)> {
    let Kafka { brokers, group, tls, sasl, properties } = &spec.kafka;
    let kafka = Node::mapping(vec![
        ("brokers", texts(brokers)),
        ("group", Node::quoted(group)),
        ("tls", tls.as_ref().map_or_else(|| Node::mapping(Vec::new()), encode_tls)),
        ("sasl", sasl.as_ref().map_or_else(|| Node::mapping(Vec::new()), encode_sasl)),
        ("properties", texts_by_name(properties, properties::is_secret)),
    ]);
    vec![("kafka", kafka), ("redis", Node::mapping(vec![("url", Node::quoted(redis_url))]))]
}

/// What decides what is counted and written, but for `kafka.group`; secrets as `secret` shows them.
pub(super) fn settings(
    spec: &PipelineSpec,
    secret: &dyn Fn(&SecretString) -> String,
) -> Vec<(&'static str, Node)> {
    vec![
        ("source", source(&spec.source)),
        ("filter", Node::sequence(spec.filter.iter().map(requirement).collect())),
        ("output", output(&spec.output, secret)),
        ("deadLetter", Node::mapping(vec![("topic", Node::quoted(&spec.dead_letter.topic))])),
        ("insights", Node::mapping(insights(&spec.insights, secret))),
    ]
}

/// The word for a start.
pub(super) fn start_from(value: StartFrom) -> &'static str {
    word(value, &START_FROM)
}

/// The word for a unit.
pub(super) fn timestamp_unit(value: TimestampUnit) -> &'static str {
    word(value, &TIMESTAMP_UNITS)
}

/// `insights.publishEvery`.
pub(super) fn publish_every(spec: &PipelineSpec) -> Node {
    Node::quoted(format_duration(spec.insights.publish_every))
}

fn encode_tls(tls: &Tls) -> Node {
    let paths = [("ca", &tls.ca), ("certificate", &tls.certificate), ("key", &tls.key)];
    let mut entries = Vec::new();
    for (key, path) in paths {
        if let Some(path) = path {
            entries.push((key, Node::quoted(path.to_string_lossy())));
        }
    }
    entries.push(("hostnameVerification", Node::plain(&tls.hostname_verification)));
    Node::mapping(entries)
}

fn encode_sasl(sasl: &Sasl) -> Node {
    Node::mapping(vec![
        ("mechanism", Node::quoted(&sasl.mechanism)),
        ("username", Node::quoted(&sasl.username)),
        ("password", Node::quoted(REDACTED)),
    ])
}

fn source(source: &Source) -> Node {
    let fields = Node::mapping(vec![
        ("user", Node::quoted(&source.fields.user)),
        ("timestamp", Node::quoted(&source.fields.timestamp)),
        ("version", Node::quoted(&source.fields.version)),
    ]);
    Node::mapping(vec![
        ("topic", Node::quoted(&source.topic)),
        ("startFrom", Node::quoted(start_from(source.start_from))),
        ("timestampUnit", Node::quoted(timestamp_unit(source.timestamp_unit))),
        ("maxRecordBytes", Node::plain(&source.max_record_bytes)),
        ("fields", fields),
        ("required", texts(&source.required)),
        ("defaults", texts_by_name(&source.defaults, |_| false)),
    ])
}

fn requirement(requirement: &Requirement) -> Node {
    let mut entries = vec![
        ("field", Node::quoted(&requirement.field)),
        ("operator", Node::quoted(word(requirement.operator, &OPERATORS))),
    ];
    if !requirement.values.is_empty() {
        entries.push(("values", texts(&requirement.values)));
    }
    Node::mapping(entries)
}

fn output(output: &Output, secret: &dyn Fn(&SecretString) -> String) -> Node {
    let key = match &output.key {
        OutputKey::Source => "Source",
        OutputKey::Field(field) => field,
    };
    Node::mapping(vec![
        ("topic", Node::quoted(&output.topic)),
        ("key", Node::quoted(key)),
        ("drop", texts(&output.drop)),
        ("mask", texts(&output.mask)),
        ("hash", texts(&output.hash)),
        ("hashKey", Node::quoted(secret(&output.hash_key))),
    ])
}

fn insights(insights: &Insights, secret: &dyn Fn(&SecretString) -> String) -> Vec<(&'static str, Node)> {
    vec![
        ("dimensions", Node::sequence(insights.dimensions.iter().map(dimension).collect())),
        ("unique", texts(&insights.unique)),
        ("hashKey", Node::quoted(secret(&insights.hash_key))),
        ("timeZone", Node::quoted(insights.time_zone.name())),
        ("maxValues", Node::plain(&insights.max_values)),
    ]
}

fn dimension(dimension: &Dimension) -> Node {
    let mut entries = vec![("field", Node::quoted(&dimension.field))];
    if dimension.fold != Fold::None {
        entries.push(("fold", Node::quoted(word(dimension.fold, &FOLDS))));
    }
    Node::mapping(entries)
}

fn texts(texts: &[String]) -> Node {
    Node::sequence(texts.iter().map(Node::quoted).collect())
}

fn texts_by_name(texts: &BTreeMap<String, String>, is_secret: impl Fn(&str) -> bool) -> Node {
    let mut entries = Vec::new();
    for (name, text) in texts {
        let shown = if is_secret(name) { REDACTED } else { text };
        entries.push(Entry { line: None, key: name.clone(), value: Node::quoted(shown) });
    }
    Node::new(Content::Mapping(entries))
}

fn word<T: Copy + PartialEq>(value: T, words: &[(&'static str, T)]) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map(|(word, _)| *word).expect("every value has its word")
}

/// Stands for a secret.
pub(super) const REDACTED: &str = "***";
