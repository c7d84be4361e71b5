//! What single fields must be.
//!
//! It never looks at what is counted or written.

use super::*;

/// A login of [`spec`] with one member's value replaced; an empty value leaves the member out.
fn with(name: &str, value: &str) -> String {
    let mut members = Vec::new();
    for (member, usual) in [
        ("user_id", "\"u1\""),
        ("app_version", "\"3.1\""),
        ("device_type", "\"android\""),
        ("locale", "\"de\""),
        ("timestamp", "1700000000"),
    ] {
        let value = if member == name { value } else { usual };
        if !value.is_empty() {
            members.push(format!("\"{member}\":{value}"));
        }
    }
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_required_field_is_there_and_not_null() {
    for field in ["user_id", "app_version", "device_type", "timestamp"] {
        assert_rejected(&spec(), with(field, ""), Reason::MissingField, Some(field));
        assert_rejected(&spec(), with(field, "null"), Reason::MissingField, Some(field));
    }
    for absent in ["", "null", "\"\""] {
        assert_login(&spec(), with("locale", absent));
    }
}

#[test]
fn fields_that_are_counted_or_required_are_strings() {
    for field in ["user_id", "app_version", "device_type", "locale"] {
        for value in ["1", "-1.5", "true", "false", "[]", "{}", "[\"a\"]"] {
            assert_rejected(&spec(), with(field, value), Reason::WrongType, Some(field));
        }
    }
    for value in ["true", "false", "[]", "{}", "[1700000000]"] {
        assert_rejected(&spec(), with("timestamp", value), Reason::WrongType, Some("timestamp"));
    }
}

#[test]
fn every_part_that_asks_for_text_bounds_it() {
    let long = format!("\"{}\"", "x".repeat(257));
    for part in [
        |spec: &mut PipelineSpec| spec.source.required.insert(0, "x".into()),
        |spec: &mut PipelineSpec| {
            spec.insights.dimensions.push(Dimension { field: "x".into(), fold: Fold::None });
        },
        |spec: &mut PipelineSpec| spec.insights.unique.push("x".into()),
        |spec: &mut PipelineSpec| spec.output.key = OutputKey::Field("x".into()),
    ] {
        let mut spec = spec();
        part(&mut spec);
        assert_rejected(&spec, login(",\"x\":1"), Reason::WrongType, Some("x"));
        assert_rejected(&spec, login(&format!(",\"x\":{long}")), Reason::FieldTooLong, Some("x"));
        assert_login(&spec, login(",\"x\":\"text\""));
    }
}

#[test]
fn other_configured_fields_may_hold_anything() {
    let long = format!("\"{}\"", "x".repeat(3000));
    for part in [
        |spec: &mut PipelineSpec| spec.filter.push(requirement("x", Operator::Exists, &[])),
        |spec: &mut PipelineSpec| spec.source.fields.user = "x".into(),
        |spec: &mut PipelineSpec| spec.source.fields.version = "x".into(),
        |spec: &mut PipelineSpec| spec.source.defaults = defaults(&[("x", "1")]),
        |spec: &mut PipelineSpec| spec.output.drop.push("x".into()),
        |spec: &mut PipelineSpec| spec.output.mask.push("x".into()),
        |spec: &mut PipelineSpec| spec.output.hash.push("x".into()),
    ] {
        let mut spec = spec();
        spec.filter.clear();
        part(&mut spec);
        for value in ["1", "1e999", "true", "[{}]", "{\"a\":null}", "\"\"", "null", &long] {
            assert_login(&spec, login(&format!(",\"x\":{value}")));
        }
        assert_login(&spec, login(""));
    }
}

#[test]
fn a_required_field_is_not_the_empty_string() {
    for field in ["user_id", "app_version", "device_type", "timestamp"] {
        assert_rejected(&spec(), with(field, "\"\""), Reason::EmptyField, Some(field));
        assert_login(&spec(), with(field, "\"1700000000\""));
    }
    assert_login(&spec(), with("user_id", "\" \""));
    assert_login(&spec(), with("user_id", "\"\\u0000\""));
}

#[test]
fn length_is_of_the_text_in_bytes_after_unescaping() {
    let escaped = |count| format!("\"{}\"", "\\u00e9".repeat(count));
    for field in ["user_id", "device_type", "locale"] {
        assert_login(&spec(), with(field, &format!("\"{}\"", "x".repeat(256))));
        assert_rejected(
            &spec(),
            with(field, &format!("\"{}\"", "x".repeat(257))),
            Reason::FieldTooLong,
            Some(field),
        );
        assert_login(&spec(), with(field, &format!("\"{}\"", "é".repeat(128))));
        assert_rejected(
            &spec(),
            with(field, &format!("\"{}x\"", "é".repeat(128))),
            Reason::FieldTooLong,
            Some(field),
        );
        assert_login(&spec(), with(field, &escaped(128)));
        assert_rejected(&spec(), with(field, &escaped(129)), Reason::FieldTooLong, Some(field));
    }
}

#[test]
fn a_timestamp_is_bounded_as_text_too() {
    let padded = |zeros: usize| format!("1700000000.{}", "0".repeat(zeros));
    assert_login(&spec(), with("timestamp", &padded(245)));
    assert_rejected(&spec(), with("timestamp", &padded(246)), Reason::FieldTooLong, Some("timestamp"));
    assert_login(&spec(), with("timestamp", &format!("\"{}\"", padded(245))));
    assert_rejected(
        &spec(),
        with("timestamp", &format!("\"{}\"", padded(246))),
        Reason::FieldTooLong,
        Some("timestamp"),
    );
    assert_login(
        &spec(),
        with("timestamp", &format!("\"\\u0031{}\"", padded(245).strip_prefix('1').unwrap())),
    );
    assert_rejected(
        &spec(),
        with("timestamp", &format!("\"{}\"", "x".repeat(257))),
        Reason::FieldTooLong,
        Some("timestamp"),
    );
}

#[test]
fn a_timestamp_is_a_number_or_a_string_that_holds_one() {
    for value in [
        "1700000000",
        "\"1700000000\"",
        "1.7e9",
        "\"1.7E+9\"",
        "\"17\\u0030\\u00300000\\u0030\\u0030\\u0030\"",
        "1700000000.75",
    ] {
        assert_login(&spec(), with("timestamp", value));
    }
    for value in [
        "\" 1700000000\"",
        "\"1700000000\\u0000\"",
        "\"2023-11-14\"",
        "\"+1700000000\"",
        "\"01700000000\"",
        "\"1_7\"",
        "\" \"",
        "\"null\"",
        "\"1e\"",
    ] {
        assert_rejected(&spec(), with("timestamp", value), Reason::BadTimestamp, Some("timestamp"));
    }
    for value in [
        "0",
        "-0",
        "\"-0\"",
        "1e999999999999",
        "1e-999999999999",
        "-1700000000",
        "1700000000000",
        "946684799.999",
        "0e99999999",
    ] {
        assert_rejected(&spec(), with("timestamp", value), Reason::TimestampOutOfRange, Some("timestamp"));
    }
}

#[test]
fn the_records_own_timestamp_bounds_the_logins() {
    let decoder = Decoder::new(&spec()).unwrap();
    let mut scratch = Scratch::default();
    let value = login("");
    let mut decode = |kafka_ms| {
        let login = decoder.decode(&mut scratch, Some(value.as_bytes()), kafka_ms);
        login.map(|login| login.time_ms).map_err(|rejection| rejection.reason)
    };
    assert_eq!(decode(-1), Ok(1_700_000_000_000));
    assert_eq!(decode(1_700_000_000_000 - 86_400_000), Ok(1_700_000_000_000));
    assert_eq!(decode(1_700_000_000_000 - 86_400_001), Err(Reason::TimestampOutOfRange));
}

#[test]
fn names_are_compared_after_unescaping_and_by_case() {
    assert_login(&spec(), login("").replace("user_id", r"\u0075ser\u005fid"));
    assert_rejected(&spec(), login("").replace("user_id", "User_id"), Reason::MissingField, Some("user_id"));
    assert_rejected(
        &spec(),
        login("").replace("user_id", "user_id\\u0000"),
        Reason::MissingField,
        Some("user_id"),
    );
    let mut spec = spec();
    spec.insights.unique = strings(&["a\"\\/\n😀", ""]);
    assert_rejected(&spec, login(r#","a\"\\\/\n\ud83d\ude00":1"#), Reason::WrongType, Some("a\"\\/\n😀"));
    assert_rejected(&spec, login(r#","":1"#), Reason::WrongType, Some(""));
}

#[test]
fn nested_fields_are_no_fields() {
    assert_rejected(&spec(), format!("{{\"x\":{}}}", login("")), Reason::MissingField, Some("user_id"));
}

#[test]
fn a_default_stands_for_what_is_required() {
    let mut spec = spec();
    spec.source.defaults = defaults(&[("device_type", "unknown")]);
    assert_login(&spec, with("device_type", ""));
    assert_login(&spec, with("device_type", "null"));
    assert_rejected(&spec, with("device_type", "\"\""), Reason::EmptyField, Some("device_type"));
    assert_rejected(&spec, with("device_type", "0"), Reason::WrongType, Some("device_type"));
}
