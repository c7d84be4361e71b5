//! Which fault is named when there are several.
//!
//! It never looks at what a single field must be.

use super::*;

#[test]
fn the_smallest_reason_wins_over_the_first_field() {
    let faults = [
        ("user_id", "\"1700000000\""),
        ("timestamp", "0"),
        ("timestamp", "\"x\""),
        ("locale", &format!("\"{}\"", "x".repeat(300))),
        ("device_type", "\"\""),
        ("locale", "5"),
        ("device_type", "null"),
    ];
    let expected = [
        None,
        Some(("timestamp", Reason::TimestampOutOfRange)),
        Some(("timestamp", Reason::BadTimestamp)),
        Some(("locale", Reason::FieldTooLong)),
        Some(("device_type", Reason::EmptyField)),
        Some(("locale", Reason::WrongType)),
        Some(("device_type", Reason::MissingField)),
    ];
    let mut members: BTreeMap<&str, &str> =
        BTreeMap::from([("app_version", "\"1\""), ("device_type", "\"a\""), ("timestamp", "1")]);
    members.insert("timestamp", "1700000000");
    for ((name, value), expected) in faults.iter().zip(expected) {
        members.insert(name, value);
        let document: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let expected = expected.map(|(field, reason)| (reason, Some(field.to_owned())));
        assert_eq!(rejection(&spec(), format!("{{{}}}", document.join(","))), expected, "{members:?}");
    }
}

#[test]
fn within_a_reason_the_first_configured_field_is_named() {
    let mut spec = bare_spec();
    spec.source.required = strings(&["r2", "r1", "timestamp"]);
    spec.insights.dimensions = vec![Dimension { field: "d".into(), fold: Fold::None }];
    spec.insights.unique = strings(&["u"]);
    spec.output.key = OutputKey::Field("k".into());
    let mut wrong = vec!["r2", "r1", "timestamp", "d", "u", "k"];
    while let Some(&first) = wrong.first() {
        let mut members: Vec<String> = wrong.iter().rev().map(|name| format!("\"{name}\":[]")).collect();
        for name in ["r1", "r2", "timestamp"] {
            if !wrong.contains(&name) {
                members.push(format!("\"{name}\":\"1700000000\""));
            }
        }
        assert_rejected(&spec, format!("{{{}}}", members.join(",")), Reason::WrongType, Some(first));
        wrong.remove(0);
    }
}

#[test]
fn repeated_fields_are_named_in_the_order_of_all_parts() {
    let mut spec = bare_spec();
    spec.output.key = OutputKey::Field("key".into());
    spec.filter = vec![requirement("filter", Operator::Exists, &[])];
    spec.source.defaults = defaults(&[("default", "x")]);
    spec.output.drop = strings(&["drop"]);
    spec.output.mask = strings(&["mask"]);
    spec.output.hash = strings(&["hash"]);
    let mut order =
        vec!["timestamp", "key", "filter", "user_id", "app_version", "default", "drop", "mask", "hash"];
    while let Some(&first) = order.first() {
        let members: Vec<String> =
            order.iter().rev().map(|name| format!("\"{name}\":1,\"{name}\":1")).collect();
        assert_rejected(&spec, format!("{{{}}}", members.join(",")), Reason::DuplicateField, Some(first));
        order.remove(0);
    }
}
