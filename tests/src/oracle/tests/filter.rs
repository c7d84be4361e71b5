use super::{bare, condition, fate, record};
use crate::oracle::{Operator, Settings};

/// Whether a login with this member (or none) passes one condition on `f`.
fn passes(operator: Operator, values: &[&str], json: Option<&str>) -> bool {
    passes_on("f", operator, values, json)
}

fn passes_on(field: &str, operator: Operator, values: &[&str], json: Option<&str>) -> bool {
    let settings = Settings { filter: vec![condition(field, operator, values)], ..bare() };
    let member = json.map(|json| format!("\"{field}\":{json},")).unwrap_or_default();
    match fate(&settings, &record(&format!("{{{member}\"t\":1700000000}}"))).as_str() {
        "output" => true,
        "filtered" => false,
        other => panic!("{other}"),
    }
}

#[test]
fn an_absent_field_passes_the_negations_only() {
    for absent in [None, Some("null")] {
        assert!(passes(Operator::NotIn, &["a"], absent));
        assert!(passes(Operator::NotInNetwork, &["10.0.0.0/8"], absent));
        assert!(passes(Operator::DoesNotExist, &[], absent));
        assert!(!passes(Operator::Exists, &[], absent));
        assert!(!passes(Operator::In, &["null", ""], absent));
        assert!(!passes(Operator::InNetwork, &["0.0.0.0/0"], absent));
        for operator in [Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le] {
            assert!(!passes(operator, &["0"], absent));
        }
    }
    for present in ["\"\"", "0", "false", "[]", "{}"] {
        assert!(passes(Operator::Exists, &[], Some(present)));
        assert!(!passes(Operator::DoesNotExist, &[], Some(present)));
    }
}

#[test]
fn texts_are_equal_without_regard_to_ascii_case() {
    assert!(passes(Operator::In, &["x", "Android"], Some("\"aNDROID\"")));
    assert!(passes(Operator::In, &["É"], Some("\"\\u00c9\"")));
    assert!(!passes(Operator::In, &["É"], Some("\"é\"")));
    assert!(!passes(Operator::In, &["a"], Some("\" a\"")));
    assert!(passes(Operator::NotIn, &["a"], Some("\"b\"")));
    assert!(!passes(Operator::NotIn, &["a", "b"], Some("\"B\"")));
}

#[test]
fn scalars_are_compared_by_their_json_text_and_containers_equal_nothing() {
    assert!(passes(Operator::In, &["TRUE"], Some("true")));
    assert!(passes(Operator::In, &["1.0"], Some("1.0")));
    assert!(!passes(Operator::In, &["1"], Some("1.0")));
    assert!(passes(Operator::In, &["1E2"], Some("1e2")));
    assert!(!passes(Operator::In, &["[]"], Some("[]")));
    assert!(passes(Operator::NotIn, &["[]"], Some("[]")));
    assert!(passes(Operator::NotIn, &["{}"], Some("{}")));
}

#[test]
fn numbers_compare_exactly_also_in_strings() {
    assert!(passes(Operator::Gt, &["9007199254740992"], Some("9007199254740993")));
    assert!(passes(Operator::Ge, &["1e2"], Some("\"100.0\"")));
    assert!(passes(Operator::Le, &["0"], Some("-0.0")));
    assert!(passes(Operator::Lt, &["-1"], Some("-1.0000000000000000000001")));
    assert!(!passes(Operator::Gt, &["3.9"], Some("3.10")));
    for json in ["\"x\"", "\" 5\"", "\"+5\"", "\"\"", "true", "[5]", "{}", "\"05\""] {
        for operator in [Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le] {
            assert!(!passes(operator, &["5"], Some(json)), "{json}");
        }
    }
}

#[test]
fn the_version_field_compares_as_versions() {
    let version = |operator, value, json| passes_on("v", operator, &[value], Some(json));
    assert!(version(Operator::Gt, "3.9", "\"3.10\""));
    assert!(version(Operator::Gt, "3.9", "3.10"));
    assert!(version(Operator::Ge, "3.0", "\"3\""));
    assert!(!version(Operator::Gt, "3.0", "\"3.0.0\""));
    assert!(version(Operator::Lt, "3.1.0", "\"3.1.0-beta\""));
    assert!(version(Operator::Le, "3.1", "\"3.1.0+build-7\""));
    for json in ["\"3.1.0-01\"", "\" 3\"", "\"v3\"", "\"\"", "true", "-3", "3e0", "[3]"] {
        for operator in [Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le] {
            assert!(!version(operator, "3.0", json), "{json}");
        }
    }
}

#[test]
fn what_is_not_an_address_is_in_no_network() {
    let everything = ["0.0.0.0/0", "::/0"];
    for json in ["\"fe80::1%eth0\"", "\"010.0.0.1\"", "1", "true", "[\"10.0.0.1\"]", "\"\"", "\"10.0.0.1/8\""]
    {
        assert!(!passes(Operator::InNetwork, &everything, Some(json)), "{json}");
        assert!(passes(Operator::NotInNetwork, &everything, Some(json)), "{json}");
    }
    assert!(passes(Operator::InNetwork, &["192.168.0.0/16", "10.0.0.0/8"], Some("\"10.1.2.3\"")));
    assert!(!passes(Operator::NotInNetwork, &["192.168.0.0/16", "10.0.0.0/8"], Some("\"10.1.2.3\"")));
    assert!(passes(Operator::InNetwork, &["10.1.2.3"], Some("\"10.1.2.3\"")));
    assert!(passes(Operator::NotInNetwork, &["10.0.0.0/8"], Some("\"::ffff:10.0.0.1\"")));
}

#[test]
fn all_conditions_must_hold_and_see_the_defaults() {
    let mut settings = Settings {
        filter: vec![condition("a", Operator::In, &["x"]), condition("b", Operator::Exists, &[])],
        ..bare()
    };
    assert_eq!(fate(&settings, &record("{\"a\":\"x\",\"t\":1700000000}")), "filtered");
    assert_eq!(fate(&settings, &record("{\"a\":\"x\",\"b\":0,\"t\":1700000000}")), "output");
    settings.defaults.insert("b".to_owned(), "filled".to_owned());
    assert_eq!(fate(&settings, &record("{\"a\":\"x\",\"b\":null,\"t\":1700000000}")), "output");
    settings.filter.clear();
    assert_eq!(fate(&settings, &record("{\"t\":1700000000}")), "output");
}

#[test]
fn the_filter_sees_values_before_they_are_changed() {
    let mut settings = bare();
    settings.mask.push("ip".to_owned());
    settings.drop.push("d".to_owned());
    settings.filter = vec![
        condition("ip", Operator::In, &["10.1.2.3"]),
        condition("d", Operator::In, &["x"]),
        condition("t", Operator::Ge, &["1700000000"]),
    ];
    assert_eq!(
        super::output(&settings, "{\"ip\":\"10.1.2.3\",\"d\":\"x\",\"t\":\"17e8\"}"),
        "{\"ip\":\"10.1.2.0\",\"t\":\"2023-11-14 22:13:20\"}"
    );
}
