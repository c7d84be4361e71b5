use super::{NOW_MS, bare, fate, names, record};
use crate::oracle::{Dimension, Fold, Settings, TimestampUnit, Verdict, judge};

fn bare_fate(value: &str) -> String {
    fate(&bare(), &record(value))
}

fn timestamp_fate(json: &str) -> String {
    bare_fate(&format!("{{\"t\":{json}}}"))
}

#[test]
fn a_tombstone_is_not_json() {
    let mut tombstone = record("");
    tombstone.value = None;
    assert_eq!(fate(&bare(), &tombstone), "not_json");
    assert_eq!(bare_fate(""), "not_json");
}

#[test]
fn a_value_of_exactly_the_limit_is_not_too_large() {
    let text = "{\"t\":1700000000}";
    let limited = |bytes| Settings { max_record_bytes: bytes, ..bare() };
    assert_eq!(fate(&limited(text.len()), &record(text)), "output");
    assert_eq!(fate(&limited(text.len() - 1), &record(text)), "too_large");
}

#[test]
fn the_whole_document_comes_before_its_fields() {
    let mut value = record("");
    value.value = Some(b"\xff{".to_vec());
    assert_eq!(fate(&bare(), &value), "not_utf8");
    assert_eq!(bare_fate("{\"t\":1,\"t\":1"), "not_json");
    assert_eq!(bare_fate("[\"t\"]"), "not_an_object");
    assert_eq!(bare_fate("\"\\ud800\""), "not_an_object");
    assert_eq!(bare_fate("\u{feff}{\"t\":1700000000}"), "not_json");
    assert_eq!(bare_fate("\u{b}{\"t\":1700000000}"), "not_json");
}

#[test]
fn a_lone_surrogate_matters_in_configured_strings_only() {
    let settings = Settings { drop: names(&["d"]), hash: names(&["h"]), ..bare() };
    let with = |member: &str| fate(&settings, &record(&format!("{{{member},\"t\":1700000000}}")));
    assert_eq!(with("\"d\":\"\\ud800\""), "not_json");
    assert_eq!(with("\"h\":\"x\\udc00\""), "not_json");
    assert_eq!(with("\"v\":\"\\ud800\\ud800\\udc00\""), "not_json");
    assert_eq!(with("\"h\":[\"\\ud800\"]"), "output");
    assert_eq!(with("\"x\":\"\\ud800\""), "output");
    assert_eq!(with("\"\\ud800\":1"), "output");
    assert_eq!(with("\"h\":\"\\ud83d\\ude00\""), "output");
}

#[test]
fn one_field_is_named_in_the_order_of_the_configuration() {
    let settings = Settings {
        required: Some(names(&["b", "t", "a"])),
        dimensions: vec![Dimension { field: "c".to_owned(), fold: Fold::Keep }],
        unique: names(&["d"]),
        output_key: Some("e".to_owned()),
        ..bare()
    };
    let fate = |value: &str| fate(&settings, &record(value));
    assert_eq!(fate("{}"), "missing_field b");
    assert_eq!(fate("{\"b\":\"\"}"), "missing_field a");
    assert_eq!(fate("{\"a\":7,\"b\":\"\"}"), "missing_field t");
    assert_eq!(fate("{\"a\":7,\"b\":\"\",\"t\":[]}"), "wrong_type a");
    assert_eq!(fate("{\"a\":\"\",\"b\":\"x\",\"t\":[],\"c\":1}"), "wrong_type t");
    assert_eq!(fate("{\"a\":\"\",\"b\":\"x\",\"t\":0,\"d\":1,\"e\":1,\"c\":false}"), "wrong_type c");
    assert_eq!(fate("{\"a\":\"\",\"b\":\"x\",\"t\":0,\"d\":1,\"e\":1}"), "wrong_type d");
    assert_eq!(fate("{\"a\":\"\",\"b\":\"x\",\"t\":0,\"e\":{}}"), "wrong_type e");
    assert_eq!(fate("{\"a\":\"\",\"b\":\"\",\"t\":\"\"}"), "empty_field b");
    assert_eq!(fate("{\"a\":\"x\",\"b\":\"x\",\"t\":\"\"}"), "empty_field t");
    let long = "x".repeat(257);
    assert_eq!(
        fate(&format!("{{\"a\":\"x\",\"b\":\"x\",\"t\":\"{long}\",\"e\":\"{long}\"}}")),
        "field_too_long t"
    );
    assert_eq!(
        fate(&format!("{{\"a\":\"x\",\"b\":\"x\",\"t\":\"z\",\"e\":\"{long}\"}}")),
        "field_too_long e"
    );
    assert_eq!(fate("{\"a\":\"x\",\"b\":\"x\",\"t\":\"z\",\"e\":\"\"}"), "bad_timestamp t");
    assert_eq!(fate("{\"a\":\"x\",\"b\":\"x\",\"t\":5}"), "timestamp_out_of_range t");
    assert_eq!(fate("{\"a\":\"x\",\"a\":\"x\",\"b\":1,\"b\":2,\"d\":1,\"d\":2}"), "duplicate_field b");
    assert_eq!(fate("{\"d\":1,\"d\":2,\"v\":1,\"v\":2,\"e\":1,\"e\":1}"), "duplicate_field d");
    assert_eq!(fate("{\"u\":1,\"v\":1,\"v\":2,\"u\":2}"), "duplicate_field u");
    assert_eq!(fate("{\"x\":1,\"x\":2}"), "missing_field b");
}

#[test]
fn a_length_is_in_bytes_after_unescaping() {
    let settings = Settings { required: Some(names(&["a"])), ..bare() };
    let fate = |text: &str| fate(&settings, &record(&format!("{{\"a\":\"{text}\",\"t\":1700000000}}")));
    assert_eq!(fate(&"\\u0041".repeat(256)), "output");
    assert_eq!(fate(&"\\u0041".repeat(257)), "field_too_long a");
    assert_eq!(fate(&"é".repeat(128)), "output");
    assert_eq!(fate(&"\\u00e9".repeat(129)), "field_too_long a");
}

#[test]
fn fields_that_need_not_be_text_may_hold_anything() {
    let settings = Settings { drop: names(&["d"]), mask: names(&["m"]), hash: names(&["h"]), ..bare() };
    let value = format!(
        "{{\"d\":[1],\"m\":{{}},\"h\":\"{}\",\"v\":3.1,\"u\":true,\"t\":1700000000}}",
        "x".repeat(300)
    );
    assert_eq!(fate(&settings, &record(&value)), "output");
}

#[test]
fn a_default_is_like_a_field_that_was_sent() {
    let mut settings = Settings { required: Some(names(&["a"])), ..bare() };
    settings.defaults.insert("a".to_owned(), "filled".to_owned());
    assert_eq!(fate(&settings, &record("{\"t\":1700000000}")), "output");
    assert_eq!(fate(&settings, &record("{\"a\":null,\"t\":1700000000}")), "output");
    assert_eq!(fate(&settings, &record("{\"a\":\"\",\"t\":1700000000}")), "empty_field a");
    assert_eq!(fate(&settings, &record("{\"a\":7,\"t\":1700000000}")), "wrong_type a");
}

#[test]
fn a_timestamp_is_a_number_or_a_string_that_holds_one() {
    for json in [
        "1700000000",
        "\"1700000000\"",
        "1.7e9",
        "\"17E+8\"",
        "1700000000.9999999999999999",
        "\"\\u0031.7e9\"",
    ] {
        assert_eq!(timestamp_fate(json), "output", "{json}");
    }
    for text in ["x", " 1700000000", "1700000000 ", "+1", "1_0", "0x1", "01", "1.", ".1", "-", "true", "null"]
    {
        assert_eq!(timestamp_fate(&format!("\"{text}\"")), "bad_timestamp t", "{text}");
    }
    for json in ["true", "[]", "{}"] {
        assert_eq!(timestamp_fate(json), "wrong_type t", "{json}");
    }
    assert_eq!(timestamp_fate("null"), "missing_field t");
    assert_eq!(timestamp_fate(&format!("1700000000.{}", "0".repeat(245))), "output");
    assert_eq!(timestamp_fate(&format!("1700000000.{}", "0".repeat(246))), "field_too_long t");
}

#[test]
fn both_ends_of_time_are_in() {
    assert_eq!(timestamp_fate("946684800"), "output");
    assert_eq!(timestamp_fate("946684799.99999999999999999999999"), "timestamp_out_of_range t");
    assert_eq!(timestamp_fate("1700086400"), "output");
    assert_eq!(timestamp_fate("1700086400.9999"), "output");
    assert_eq!(timestamp_fate("1700086401"), "timestamp_out_of_range t");
    assert_eq!(timestamp_fate("-0"), "timestamp_out_of_range t");
    assert_eq!(timestamp_fate("\"1e999999999999999999999\""), "timestamp_out_of_range t");
    assert_eq!(timestamp_fate("1e-999999999999999999999"), "timestamp_out_of_range t");

    let milliseconds = Settings { timestamp_unit: TimestampUnit::Milliseconds, ..bare() };
    let fate = |json: &str| super::fate(&milliseconds, &record(&format!("{{\"t\":{json}}}")));
    assert_eq!(fate("946684800000"), "output");
    assert_eq!(fate("946684799999.9"), "timestamp_out_of_range t");
    assert_eq!(fate(&(NOW_MS + 86_400_000).to_string()), "output");
    assert_eq!(fate(&format!("{}.9", NOW_MS + 86_400_000)), "output");
    assert_eq!(fate(&(NOW_MS + 86_400_001).to_string()), "timestamp_out_of_range t");
}

#[test]
fn a_kafka_timestamp_within_a_second_bounds_whole_seconds() {
    let mut value = record("{\"t\":1700086401}");
    value.timestamp_ms = NOW_MS + 999;
    assert_eq!(fate(&bare(), &value), "timestamp_out_of_range t");
    value.timestamp_ms = NOW_MS + 1000;
    assert_eq!(fate(&bare(), &value), "output");
}

#[test]
fn without_a_kafka_timestamp_only_year_9999_is_the_end() {
    let mut value = record("{\"t\":253402300799.5}");
    value.timestamp_ms = -1;
    assert_eq!(fate(&bare(), &value), "output");
    value.value = Some(b"{\"t\":253402300800}".to_vec());
    assert_eq!(fate(&bare(), &value), "timestamp_out_of_range t");
    value.timestamp_ms = i64::MAX;
    assert_eq!(fate(&bare(), &value), "timestamp_out_of_range t");
}

#[test]
fn what_is_counted_is_folded_in_ascii_and_marked() {
    let settings = Settings {
        dimensions: vec![
            Dimension { field: "l".to_owned(), fold: Fold::Lower },
            Dimension { field: "u".to_owned(), fold: Fold::Upper },
            Dimension { field: "k".to_owned(), fold: Fold::Keep },
        ],
        unique: names(&["k", "l"]),
        ..bare()
    };
    let counted = |members: &str| {
        let login = judge(&settings, &record(&format!("{{{members}\"t\":1700000000.7}}"))).counted.unwrap();
        assert_eq!(login.time_seconds, 1_700_000_000);
        (login.dimensions.join("|"), login.unique)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        counted("\"l\":\"ÀbC\",\"u\":\"aßé\",\"k\":\"aB\","),
        ("Àbc|Aßé|aB".to_owned(), vec![some("aB"), some("ÀbC")])
    );
    assert_eq!(counted(""), ("~unknown|~unknown|~unknown".to_owned(), vec![None, None]));
    assert_eq!(
        counted("\"l\":\"\",\"u\":null,\"k\":\"~unknown\","),
        ("~unknown|~unknown|~other".to_owned(), vec![some("~unknown"), None])
    );
    assert_eq!(
        counted("\"l\":\"\\u007eX\",\"k\":\"x~\","),
        ("~other|~unknown|x~".to_owned(), vec![some("x~"), some("~X")])
    );
}

#[test]
fn a_dead_letter_counts_nothing_and_a_filtered_login_does() {
    let settings = Settings::default();
    assert_eq!(judge(&settings, &record("{}")).counted, None);
    let ios = "{\"user_id\":\"u\",\"app_version\":\"3.1\",\"device_type\":\"iOS\",\"timestamp\":1700000000}";
    let judged = judge(&settings, &record(ios));
    assert_eq!(judged.verdict, Verdict::Filtered);
    assert_eq!(judged.counted.unwrap().dimensions, names(&["ios", "3.1", "~unknown"]));
}
