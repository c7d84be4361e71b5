//! What is counted of a login: its time, whether it passes, its dimensions and unique values.
//!
//! It never looks at the output.

use super::*;

/// Dimensions, unique values and whether it passes.
fn counted(spec: &PipelineSpec, value: &str) -> (Vec<String>, Vec<Option<String>>, bool) {
    let decoder = Decoder::new(spec).unwrap();
    let mut scratch = Scratch::default();
    let counted = decoder.decode(&mut scratch, Some(value.as_bytes()), -1).unwrap().counted();
    let dimensions = counted.dimensions.map(|value| value.name().into_owned()).collect();
    let unique = counted.unique.map(|value| value.map(str::to_owned)).collect();
    (dimensions, unique, counted.processed)
}

fn passes(filter: &[Requirement], value: &str) -> bool {
    let mut spec = bare_spec();
    spec.filter = filter.to_vec();
    counted(&spec, value).2
}

#[test]
fn dimensions_are_folded_in_ascii_only() {
    let value =
        login("").replace("android", "ÄndRoid").replace("\"de\"", "\"de_äß\"").replace("3.1", "3.1-RC");
    assert_eq!(counted(&spec(), &value).0, ["Ändroid", "3.1-RC", "DE_äß"]);
    let value = login("").replace("android", r"\u0041ndroid").replace("\"de\"", r#""\u0064e""#);
    assert_eq!(counted(&spec(), &value).0, ["android", "3.1", "DE"]);
}

#[test]
fn absent_and_our_own_values_are_told_apart() {
    for (locale, expected) in [
        ("null", "~unknown"),
        ("\"\"", "~unknown"),
        ("\"~\"", "~other"),
        ("\"~unknown\"", "~other"),
        ("\"\\u007eX\"", "~other"),
        ("\"a~\"", "A~"),
        ("\"\\u0000\"", "\0"),
    ] {
        assert_eq!(counted(&spec(), &login("").replace("\"de\"", locale)).0[2], expected, "{locale}");
    }
    assert_eq!(counted(&spec(), &login("").replace("\"locale\":\"de\",", "")).0[2], "~unknown");
}

#[test]
fn unique_values_are_as_they_came() {
    let mut spec = spec();
    spec.insights.unique = strings(&["user_id", "x"]);
    for (value, expected) in [
        (login(""), [Some("u1"), None]),
        (login(r#","x":"""#), [Some("u1"), None]),
        (login(r#","x":null"#), [Some("u1"), None]),
        (login(r#","x":"~X""#).replace("u1", r"\u007eU"), [Some("~U"), Some("~X")]),
    ] {
        assert_eq!(counted(&spec, &value).1, expected.map(|value| value.map(str::to_owned)), "{value}");
    }
}

#[test]
fn a_default_is_counted_like_a_value_that_was_sent() {
    let mut spec = spec();
    spec.source.defaults = defaults(&[("device_type", "Android"), ("locale", "fr"), ("user_id", "nobody")]);
    spec.output.drop = strings(&["locale"]);
    for value in [
        r#"{"app_version":"3.1","timestamp":1700000000}"#,
        r#"{"app_version":"3.1","timestamp":1700000000,"device_type":null,"locale":null,"user_id":null}"#,
    ] {
        let expected = (strings(&["android", "3.1", "FR"]), vec![Some("nobody".to_owned())], true);
        assert_eq!(counted(&spec, value), expected);
    }
}

#[test]
fn values_are_counted_before_mask_hash_and_drop() {
    let mut spec = spec();
    spec.output.drop = strings(&["device_type"]);
    spec.output.mask = strings(&["locale"]);
    spec.output.hash = strings(&["user_id"]);
    let expected = (strings(&["android", "3.1", "DE"]), vec![Some("u1".to_owned())], true);
    assert_eq!(counted(&spec, &login("")), expected);
}

#[test]
fn the_default_filter_is_android_above_3_0() {
    for (device, version, expected) in [
        ("android", "3.0.1", true),
        ("Android", "10", true),
        ("android", "3.0", false),
        ("android", "3.0.0", false),
        ("android", "2.9", false),
        ("android", "3.1.0-beta", true),
        ("android", "3.0.0-beta", false),
        ("android", "new", false),
        ("ios", "3.1", false),
    ] {
        let value = login("").replace("android", device).replace("3.1", version);
        assert_eq!(counted(&spec(), &value).2, expected, "{device} {version}");
    }
}

#[test]
fn an_empty_filter_lets_all_through_and_all_requirements_must_hold() {
    let value = r#"{"timestamp":1700000000,"a":"1","b":2,"c":null}"#;
    assert!(passes(&[], value));
    let (holds, fails) = (requirement("a", Operator::In, &["1"]), requirement("b", Operator::In, &["1"]));
    assert!(passes(std::slice::from_ref(&holds), value));
    assert!(!passes(&[holds, fails], value));
}

#[test]
fn null_is_absent_to_the_filter() {
    for value in [r#"{"timestamp":1700000000}"#, r#"{"timestamp":1700000000,"a":null}"#] {
        assert!(passes(&[requirement("a", Operator::DoesNotExist, &[])], value));
        assert!(passes(&[requirement("a", Operator::NotIn, &["null"])], value));
        assert!(!passes(&[requirement("a", Operator::Exists, &[])], value));
        assert!(!passes(&[requirement("a", Operator::In, &["null", ""])], value));
    }
}

#[test]
fn any_value_meets_the_filter_by_its_kind() {
    let value =
        r#"{"timestamp":1700000000.50,"n":1.50,"s":"\u0031.50","t":true,"l":["1.50"],"app_version":3.10}"#;
    for (field, operator, values, expected) in [
        ("n", Operator::In, "1.50", true),
        ("n", Operator::In, "1.5", false),
        ("s", Operator::In, "1.50", true),
        ("n", Operator::Ge, "15e-1", true),
        ("s", Operator::Lt, "1.5000000000000000001", true),
        ("t", Operator::In, "TRUE", true),
        ("t", Operator::Ge, "0", false),
        ("l", Operator::In, "[\"1.50\"]", false),
        ("l", Operator::NotIn, "1.50", true),
        ("l", Operator::NotInNetwork, "::/0", true),
        ("app_version", Operator::Gt, "3.9", true),
        ("timestamp", Operator::In, "1700000000.50", true),
        ("timestamp", Operator::Gt, "1700000000", true),
    ] {
        assert_eq!(
            passes(&[requirement(field, operator, &[values])], value),
            expected,
            "{field} {operator:?} {values}"
        );
    }
}

#[test]
fn a_default_meets_the_filter() {
    let mut spec = bare_spec();
    spec.source.defaults = defaults(&[("a", "7")]);
    spec.filter = vec![requirement("a", Operator::Exists, &[]), requirement("a", Operator::Le, &["7.0"])];
    assert!(counted(&spec, r#"{"timestamp":1700000000}"#).2);
    assert!(!counted(&spec, r#"{"timestamp":1700000000,"a":8}"#).2);
}

#[test]
fn a_filter_without_meaning_is_not_compiled() {
    let mut spec = spec();
    spec.filter = vec![requirement("app_version", Operator::Gt, &["three"])];
    let error = Decoder::new(&spec).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the filter's \"three\" on app_version is not a version such as 3.0 or 3.1.0-beta.2"
    );
}

#[test]
fn what_the_filter_saw_can_be_told() {
    let decoder = Decoder::new(&spec()).unwrap();
    let mut scratch = Scratch::default();
    let value = login("").replace("android", "iOS");
    let login = decoder.decode(&mut scratch, Some(value.as_bytes()), -1).unwrap();
    let seen: Vec<_> = login.filtered_by().collect();
    assert_eq!(seen, [("device_type", Some("iOS")), ("app_version", Some("3.1"))]);
}

#[test]
fn time_is_in_milliseconds_whatever_the_unit() {
    let time_ms = |unit, text: &str| {
        let mut spec = bare_spec();
        spec.source.timestamp_unit = unit;
        let decoder = Decoder::new(&spec).unwrap();
        let mut scratch = Scratch::default();
        let value = format!("{{\"timestamp\":{text}}}");
        decoder.decode(&mut scratch, Some(value.as_bytes()), -1).unwrap().time_ms
    };
    assert_eq!(time_ms(TimestampUnit::Seconds, "1700000000.9999"), 1_700_000_000_000);
    assert_eq!(time_ms(TimestampUnit::Milliseconds, "\"1700000000123.9\""), 1_700_000_000_123);
}

#[test]
fn a_scratch_keeps_nothing_between_records() {
    let decoder = Decoder::new(&spec()).unwrap();
    let mut scratch = Scratch::default();
    let full = login("").replace("\"de\"", r#""\u0064e""#);
    let bare = login("").replace("\"locale\":\"de\",", "");
    let mut locale = |value: &str| {
        let login = decoder.decode(&mut scratch, Some(value.as_bytes()), -1).ok()?;
        login.counted().dimensions.nth(2).map(|value| value.name().into_owned())
    };
    for _ in 0..2 {
        assert_eq!(locale(&full).as_deref(), Some("DE"));
        assert_eq!(locale(&bare).as_deref(), Some("~unknown"));
        assert_eq!(locale("{\"locale\":1,\"locale\":1"), None);
    }
}
