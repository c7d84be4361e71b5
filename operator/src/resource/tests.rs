//! The definition against its cases, and against the configuration file.

use std::collections::BTreeSet;

use kube_cel::Validator;
use serde_json::{Value, json};

use super::{cases, crd};
use crate::render::{Rendered, SECTIONS};
use crate::testing::{full, minimal};
use crate::validate;

fn schema() -> Value {
    crd().pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

#[test]
fn every_case_is_accepted_or_rejected_as_it_says() {
    let (schema, validator) = (schema(), Validator::new());
    let mut wrong = Vec::new();
    for case in cases::all().iter().filter(|case| !case.by_schema) {
        let said = validator.validate(&schema, &case.after(), case.before().as_ref());
        let said = said.err().map(|errors| errors.to_string());
        if !case.expects(said.as_deref()) {
            wrong.push(format!("{}: {}", case.name, said.unwrap_or_else(|| "accepted".to_owned())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_is_broken_by_a_case() {
    let (schema, validator) = (schema(), Validator::new());
    let mut broken = BTreeSet::new();
    for case in cases::all().iter().filter(|case| case.rejected.is_some() && !case.by_schema) {
        let said = validator.validate(&schema, &case.after(), case.before().as_ref());
        let errors = said.expect_err(&case.name);
        broken.extend(errors.iter().map(|error| error.message.clone()));
    }
    let untried: Vec<String> = messages(&schema).difference(&broken).cloned().collect();
    assert!(untried.is_empty(), "no case breaks: {untried:?}");
}

fn messages(schema: &Value) -> BTreeSet<String> {
    let mut messages = BTreeSet::new();
    match schema {
        Value::Object(fields) => {
            let rules = fields.get("x-kubernetes-validations").and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                messages.insert(rule["message"].as_str().unwrap().to_owned());
            }
            fields.values().for_each(|value| messages.extend(self::messages(value)));
        }
        Value::Array(items) => items.iter().for_each(|value| messages.extend(self::messages(value))),
        _ => {}
    }
    messages
}

#[test]
fn what_is_accepted_can_be_read_and_what_a_fixture_says_is_accepted() {
    let (schema, validator) = (schema(), Validator::new());
    for case in cases::all().iter().filter(|case| case.rejected.is_none()) {
        let read: Result<super::Rollcall, _> = serde_json::from_value(case.after());
        read.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    for rollcall in [minimal(), full()] {
        validator.validate(&schema, &serde_json::to_value(rollcall).unwrap(), None).unwrap();
    }
}

#[test]
fn the_definition_is_small() {
    let bytes = crd().to_string().len();
    assert!(bytes < 48 * 1024, "{bytes} bytes of compact JSON");
}

#[test]
fn it_is_printed_as_yaml_that_reads_back() {
    let read: Value = serde_saphyr::from_str(&super::yaml()).unwrap();
    assert_eq!(read, crd());
}

/// Every list has a type, every text, list and number in `spec` a bound, and nothing is nullable.
#[test]
fn the_schema_is_strict() {
    let mut loose = Vec::new();
    visit(&schema()["properties"]["spec"], "spec", &mut |path, node| {
        let has = |name: &str| node.get(name).is_some();
        let kind = node.get("type").and_then(Value::as_str);
        let is_open = has("x-kubernetes-preserve-unknown-fields") || has("x-kubernetes-int-or-string");
        let is_tight = match kind {
            Some("array") => has("x-kubernetes-list-type") && has("maxItems"),
            Some("string") => has("maxLength") || has("enum") || has("pattern"),
            Some("object") => has("properties") || has("maxProperties") || is_open,
            Some("integer") => (has("minimum") && has("maximum")) || path.ends_with("tolerationSeconds"),
            Some(_) => true,
            None => is_open,
        };
        if !is_tight || has("nullable") {
            loose.push(path.to_owned());
        }
    });
    assert!(loose.is_empty(), "{loose:?}");
}

fn visit(node: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, node);
    for (name, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        visit(property, &format!("{path}.{name}"), see);
    }
    if let Some(items) = node.get("items") {
        visit(items, &format!("{path}[]"), see);
    }
    if let Some(values) = node.get("additionalProperties").filter(|values| values.is_object()) {
        visit(values, &format!("{path}{{}}"), see);
    }
}

/// The configuration file and the resource have the same settings, but for secrets and what names the pipeline.
#[test]
fn the_resource_has_the_configuration_files_settings_and_no_others() {
    let spec = validate::validate(&full(), None).unwrap().spec;
    let file: Value = serde_saphyr::from_str(&spec.to_yaml()).unwrap();
    let in_file = paths(&file);
    let mut in_resource = BTreeSet::new();
    for section in SECTIONS {
        visit(&schema()["properties"]["spec"]["properties"][section], section, &mut |path, node| {
            if !node.get("properties").is_some_and(Value::is_object) && node.get("items").is_none() {
                in_resource.insert(path.replace("{}", "").replace("[]", ""));
            }
        });
    }
    let only_in_file: BTreeSet<&String> = in_file.difference(&in_resource).collect();
    let only_in_resource: BTreeSet<&String> = in_resource.difference(&in_file).collect();
    let named = |names: &'static [&'static str]| names.iter().map(|name| (*name).to_owned()).collect();
    let secrets_in_file: BTreeSet<String> = named(&[
        "insights.hashKey",
        "kafka.sasl.password",
        "kafka.tls.ca",
        "kafka.tls.certificate",
        "kafka.tls.key",
        "output.hashKey",
        "pipeline",
        "revision",
    ]);
    assert_eq!(only_in_file.into_iter().cloned().collect::<BTreeSet<_>>(), secrets_in_file);
    let references: BTreeSet<String> =
        only_in_resource.into_iter().filter(|path| !path.contains("Ref.")).cloned().collect();
    assert_eq!(references, BTreeSet::new());
}

/// The leaves, by path; the names within free mappings and lists left out.
fn paths(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let is_free = matches!(path, "kafka.properties" | "source.defaults");
    match value {
        Value::Object(fields) if !is_free => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &path, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                collect(item, path, found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

/// The defaults that stand in the schema are the configuration file's.
#[test]
fn the_defaults_are_the_configuration_files() {
    let all = |spec: &super::RollcallSpec| {
        let spec = validate::read(&Rendered::of(spec, "user-login").text(1)).unwrap();
        let read: Value = serde_saphyr::from_str(&spec.to_yaml()).unwrap();
        read
    };
    let mut expected: Value = serde_saphyr::from_str(
        &insights::spec::read(
            "kafka: {brokers: ['kafka:9092']}\nredis: {url: 'redis://redis:6379'}",
            &insights::spec::Overrides::default(),
            &insights::spec::Sources {
                environment: &|_| None,
                file: &|_| Err(std::io::ErrorKind::NotFound.into()),
            },
        )
        .unwrap()
        .to_yaml(),
    )
    .unwrap();
    assert_eq!(all(&minimal().spec), expected);
    // And a setting that the resource changes arrives.
    let mut rollcall = minimal();
    rollcall.spec.insights.max_values = 7;
    expected["insights"]["maxValues"] = json!(7);
    assert_eq!(all(&rollcall.spec), expected);
}
