//! What a document must be before its fields are looked at.
//!
//! It never looks at fields, but for those that stand twice or hold half a character.

use super::*;

#[test]
fn a_record_longer_than_the_limit_is_too_large_whatever_it_holds() {
    let mut spec = spec();
    spec.source.max_record_bytes = login("").len();
    assert_login(&spec, login(""));
    assert_rejected(&spec, login(" "), Reason::TooLarge, None);
    assert_rejected(&spec, vec![0xff; 1000], Reason::TooLarge, None);
}

#[test]
fn what_is_not_utf_8_is_not_looked_into() {
    for bytes in [
        &b"\xff"[..],
        b"{\"a\":\"\xc3\"}",
        b"\"\xed\xa0\x80\"",
        b"\"\xc0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"{\xfe",
    ] {
        assert_rejected(&spec(), bytes, Reason::NotUtf8, None);
    }
}

#[test]
fn a_tombstone_and_an_empty_value_are_not_json() {
    assert_rejected(&spec(), "", Reason::NotJson, None);
    let decoder = Decoder::new(&spec()).unwrap();
    let mut scratch = Scratch::default();
    let rejection = decoder.decode(&mut scratch, None, 0).unwrap_err();
    assert_eq!((rejection.reason, rejection.field), (Reason::NotJson, None));
}

#[test]
fn what_is_not_one_json_document_is_not_json() {
    let good = login("");
    for bad in [
        format!("\u{feff}{good}"),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("{good},"),
        format!("{good}\0"),
        format!("\u{a0}{good}"),
        format!("\u{b}{good}"),
        good.replace("\"locale\"", "locale"),
        good.replace("\"locale\"", "'locale'"),
        good.replace("\"locale\":", "\"locale\""),
        good.replace("\"locale\":", "\"locale\"::"),
        good.replace(",\"locale\"", ",,\"locale\""),
        good.replace(",\"locale\"", " \"locale\""),
        good.replace('}', ",}"),
        good.replace('}', "]"),
        good.replace('}', ""),
        good.replace("1700000000", "01700000000"),
        good.replace("1700000000", "1700000000."),
        good.replace("1700000000", "NaN"),
        login(",\"x\":tru"),
        login(",\"x\":True"),
        login(",\"x\":\"\t\""),
        login(",\"x\":\"\\x\""),
        login(",\"x\":[1,]"),
        login(",\"x\":{\"a\" 1}"),
        login(",\"x\":/**/1"),
        login(",\"\n\":1"),
        " ".into(),
        "{".into(),
        "nul".into(),
        "[1,2".into(),
        "1 2".into(),
    ] {
        assert_rejected(&spec(), bad, Reason::NotJson, None);
    }
}

#[test]
fn white_space_may_stand_around_everything() {
    let spaced = login(", \"x\" : [ 1 ,\t2 ] ").replace(':', " :\r\n").replace("\",\"", "\"\t,\n \"");
    assert_login(&spec(), format!(" \t\r\n{spaced}\n\r\t "));
}

#[test]
fn other_documents_than_objects_are_told_apart() {
    for value in ["[]", " [{\"a\":1}] ", "\"\\ud800\"", "1", "-0.5e7", "true", "null", "\"\""] {
        assert_rejected(&spec(), value, Reason::NotAnObject, None);
    }
}

#[test]
fn an_object_may_lack_everything() {
    assert_rejected(&spec(), "{}", Reason::MissingField, Some("user_id"));
    assert_rejected(&spec(), " { } ", Reason::MissingField, Some("user_id"));
    assert_rejected(&spec(), "{} {}", Reason::NotJson, None);
}

#[test]
fn hostile_depth_costs_neither_the_stack_nor_the_login() {
    for (opening, closing) in [("[", "]"), ("{\"a\":", "}"), ("[{\"\":", "}]")] {
        let depth = 60_000 / (opening.len() + closing.len());
        let deep = format!("{}{}{}", opening.repeat(depth), 1, closing.repeat(depth));
        assert_login(&spec(), login(&format!(",\"x\":{deep}")));
        assert_rejected(
            &spec(),
            login(&format!(",\"x\":{}", deep.strip_suffix(closing).unwrap())),
            Reason::NotJson,
            None,
        );
    }
    assert_rejected(&spec(), "[".repeat(65_536), Reason::NotJson, None);
    assert_rejected(
        &spec(),
        format!("{}{}", "[".repeat(32_768), "]".repeat(32_768)),
        Reason::NotAnObject,
        None,
    );
}

#[test]
fn lone_surrogates_matter_in_the_text_of_configured_fields_only() {
    for half in [r"\ud800", r"a\udfffb", r"\ud83d\u0041"] {
        assert_login(&spec(), login(&format!(r#","x":"{half}","{half}":1,"y":["{half}"]"#)));
        assert_rejected(&spec(), login("").replace("\"de\"", &format!("\"{half}\"")), Reason::NotJson, None);
        assert_rejected(
            &spec(),
            login("").replace("1700000000", &format!("\"{half}\"")),
            Reason::NotJson,
            None,
        );
    }
    let mut spec = spec();
    for part in [
        |spec: &mut PipelineSpec| spec.output.drop = strings(&["x"]),
        |spec: &mut PipelineSpec| spec.output.mask = strings(&["x"]),
        |spec: &mut PipelineSpec| spec.output.hash = strings(&["x"]),
        |spec: &mut PipelineSpec| spec.source.defaults = defaults(&[("x", "1")]),
        |spec: &mut PipelineSpec| spec.source.fields.user = "x".into(),
        |spec: &mut PipelineSpec| spec.filter = vec![requirement("x", Operator::Exists, &[])],
        |spec: &mut PipelineSpec| spec.output.key = OutputKey::Field("x".into()),
    ] {
        let mut configured = spec.clone();
        part(&mut configured);
        assert_rejected(&configured, login(r#","x":"\ud800""#), Reason::NotJson, None);
        assert_login(&configured, login(r#","x":"\ud83d\ude00""#));
    }
    spec.output.drop = strings(&["x"]);
    assert_login(&spec, login(r#","x":["\ud800"]"#));
}

#[test]
fn a_lone_surrogate_comes_before_all_that_fields_can_do() {
    assert_rejected(&spec(), r#"{"locale":"\ud800","locale":"x"}"#, Reason::NotJson, None);
    assert_rejected(&spec(), r#"{"locale":"x","locale":"\ud800"}"#, Reason::NotJson, None);
}

#[test]
fn a_configured_field_stands_once() {
    for twice in [r#","locale":"x""#, r#","locale":null"#, r#","\u006cocale":"x""#, r#","locale":{}"#] {
        assert_rejected(&spec(), login(twice), Reason::DuplicateField, Some("locale"));
    }
    assert_rejected(&spec(), r#"{"locale":null,"locale":null}"#, Reason::DuplicateField, Some("locale"));
    assert_login(&spec(), login(r#","x":1,"x":2,"Locale":3,"LOCALE":4,"y":{"locale":1,"locale":2}"#));
}

#[test]
fn the_first_repeated_field_by_configuration_is_named() {
    let repeated = r#"{"locale":1,"locale":1,"timestamp":1,"timestamp":1,"device_type":1,"device_type":1}"#;
    assert_rejected(&spec(), repeated, Reason::DuplicateField, Some("device_type"));
    let repeated = r#"{"locale":1,"locale":1,"timestamp":1,"timestamp":1}"#;
    assert_rejected(&spec(), repeated, Reason::DuplicateField, Some("timestamp"));
}
