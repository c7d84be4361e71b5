use super::{bare, names, output, record};
use crate::oracle::{Settings, Verdict, judge};

const TIME: &str = "\"2023-11-14 22:13:20\"";

fn with_defaults(defaults: &[(&str, &str)]) -> Settings {
    let defaults = defaults.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings { defaults, hash_key: "Jefe".to_owned(), ..bare() }
}

/// The output of a text in which `T` stands for the timestamp, with `T` for the new one again.
fn spliced(settings: &Settings, text: &str) -> String {
    output(settings, &text.replace('T', "1700000000")).replace(TIME, "T")
}

#[test]
fn every_other_byte_stays_as_it_came() {
    let text =
        " \n{\t\"x\" : [ 1 , {\"t\":0} ] ,\r\"\\u0074\":  T  , \"\\ud800\":\"\\u0041\",\"x\":-0.0E-0 }\n ";
    assert_eq!(spliced(&bare(), text), text);
    assert_eq!(output(&bare(), "{\"t\":\"1700000000.99\"}"), format!("{{\"t\":{TIME}}}"));
    assert_eq!(output(&bare(), "{\"t\":1700086399}"), "{\"t\":\"2023-11-15 22:13:19\"}");
}

#[test]
fn a_null_is_filled_in_place_and_absent_ones_go_behind_the_last_value() {
    let settings = with_defaults(&[("b", "B"), ("a", "q\"\\/\n\u{1}\u{7f}é")]);
    let filled = "\"q\\\"\\\\/\\n\\u0001\u{7f}é\"";
    assert_eq!(spliced(&settings, "{\"t\":T }"), format!("{{\"t\":T,\"a\":{filled},\"b\":\"B\" }}"));
    assert_eq!(
        spliced(&settings, "{\"b\": null ,\"t\":T }"),
        format!("{{\"b\": \"B\" ,\"t\":T,\"a\":{filled} }}")
    );
    assert_eq!(
        spliced(&settings, "{\"t\":T,\"b\":\"x\",\"a\":null}"),
        format!("{{\"t\":T,\"b\":\"x\",\"a\":{filled}}}")
    );
    assert_eq!(spliced(&settings, "{\"a\":\"\",\"b\":[],\"t\":T}"), "{\"a\":\"\",\"b\":[],\"t\":T}");
}

#[test]
fn a_mask_leaves_the_network_or_null() {
    let settings = Settings { mask: names(&["ip"]), ..bare() };
    let masked = |json: &str| spliced(&settings, &format!("{{\"ip\":{json},\"t\":T}}"));
    assert_eq!(masked("\"203.0.113.77\""), "{\"ip\":\"203.0.113.0\",\"t\":T}");
    assert_eq!(masked("\"\\u0031.2.3.4\""), "{\"ip\":\"1.2.3.0\",\"t\":T}");
    assert_eq!(masked("\"2001:DB8:a:b::1\""), "{\"ip\":\"2001:db8:a::\",\"t\":T}");
    for json in ["\"x\"", "\"\"", "1", "[\"1.2.3.4\"]", "{}", "true", "null", "\"1.2.3.4%0\""] {
        assert_eq!(masked(json), "{\"ip\":null,\"t\":T}", "{json}");
    }
    assert_eq!(spliced(&settings, "{\"t\":T}"), "{\"t\":T}");
}

#[test]
fn a_hash_is_of_unescaped_bytes_or_of_json_text() {
    let settings = Settings { hash: names(&["h"]), ..with_defaults(&[]) };
    let hashed = |json: &str| spliced(&settings, &format!("{{\"h\": {json} ,\"t\":T}}"));
    let code = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hashed("\"what do \\u0079a want for nothing?\""), format!("{{\"h\": \"{code}\" ,\"t\":T}}"));
    assert_eq!(hashed("null"), "{\"h\": null ,\"t\":T}");
    assert_eq!(spliced(&settings, "{\"t\":T}"), "{\"t\":T}");
    assert_eq!(hashed("17"), hashed("\"17\""));
    assert_eq!(hashed("[ 1,2 ]"), hashed("\"[ 1,2 ]\""));
    assert_ne!(hashed("[ 1,2 ]"), hashed("[1,2]"));
    assert_ne!(hashed("1.0"), hashed("1"));
}

#[test]
fn a_dropped_member_goes_with_what_the_rule_names() {
    let settings = Settings { drop: names(&["a", "b", "c"]), ..bare() };
    let dropped = |text: &str| spliced(&settings, text);
    assert_eq!(dropped("{ \"t\" : T , \"a\" : 1 , \"x\" : 2 }"), "{ \"t\" : T , \"x\" : 2 }");
    assert_eq!(dropped("{ \"t\" : T , \"a\" : 1 }"), "{ \"t\" : T }");
    assert_eq!(dropped("{ \"t\" : T , \"a\" : 1 , \"b\":[] , \"x\":2}"), "{ \"t\" : T , \"x\":2}");
    assert_eq!(dropped("{ \"a\" : 1 ,\n \"t\" : T }"), "{ \"t\" : T }");
    assert_eq!(dropped("{\t\"a\" : 1 , \"b\" : 2 ,\n \"t\" : T, \"c\": {} }"), "{\t\"t\" : T }");
    assert_eq!(dropped("{\"\\u0061\":null,\"t\":T}"), "{\"t\":T}");
    assert_eq!(dropped("{\"x\":{\"a\":1},\"t\":T}"), "{\"x\":{\"a\":1},\"t\":T}");
}

#[test]
fn what_is_dropped_is_not_filled_in() {
    let settings = Settings { drop: names(&["a"]), ..with_defaults(&[("a", "A"), ("b", "B")]) };
    assert_eq!(spliced(&settings, "{\"t\":T , \"a\":null }"), "{\"t\":T,\"b\":\"B\" }");
    assert_eq!(spliced(&settings, "{\"a\":1 , \"t\":T }"), "{\"t\":T,\"b\":\"B\" }");
    assert_eq!(spliced(&settings, "{\"t\":T}"), "{\"t\":T,\"b\":\"B\"}");
}

#[test]
fn an_object_that_loses_all_members_is_still_json() {
    let mut settings = Settings { drop: names(&["a", "t"]), ..with_defaults(&[]) };
    assert_eq!(spliced(&settings, "{ \"a\" : 1 , \"t\" : T }"), "{  }");
    assert_eq!(spliced(&settings, "{\"t\":T}"), "{}");
    settings.defaults.insert("b".to_owned(), "B".to_owned());
    settings.defaults.insert("c".to_owned(), "C".to_owned());
    assert_eq!(spliced(&settings, "{ \"a\" : 1 , \"t\" : T }"), "{ \"b\":\"B\",\"c\":\"C\" }");
}

#[test]
fn filled_in_values_are_masked_and_hashed_like_sent_ones() {
    let defaults = [("h", "what do ya want for nothing?"), ("ip", "10.1.2.3"), ("no", "where")];
    let settings = Settings { mask: names(&["ip", "no"]), hash: names(&["h"]), ..with_defaults(&defaults) };
    let code = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(
        spliced(&settings, "{\"t\":T,\"ip\":null}"),
        format!("{{\"t\":T,\"ip\":\"10.1.2.0\",\"h\":\"{code}\",\"no\":null}}")
    );
}

#[test]
fn a_key_is_the_sources_or_a_fields_final_value() {
    let key = |settings: &Settings, text: &str| match judge(settings, &record(text)).verdict {
        Verdict::Output { key, .. } => key.map(|key| String::from_utf8(key).unwrap()),
        other => panic!("{other:?}"),
    };
    let some = |text: &str| Some(text.to_owned());
    let mut settings = with_defaults(&[]);
    assert_eq!(key(&settings, "{\"t\":1700000000}"), some("k"));
    settings.output_key = Some("f".to_owned());
    assert_eq!(key(&settings, "{\"t\":1700000000}"), None);
    assert_eq!(key(&settings, "{\"t\":1700000000,\"f\":null}"), None);
    assert_eq!(key(&settings, "{\"t\":1700000000,\"f\":\"\"}"), some(""));
    assert_eq!(key(&settings, "{\"t\":1700000000,\"f\":\"a\\n\"}"), some("a\n"));
    settings.defaults.insert("f".to_owned(), "filled".to_owned());
    assert_eq!(key(&settings, "{\"t\":1700000000}"), some("filled"));
    settings.mask.push("f".to_owned());
    assert_eq!(key(&settings, "{\"t\":1700000000,\"f\":\"1.2.3.4\"}"), some("1.2.3.0"));
    assert_eq!(key(&settings, "{\"t\":1700000000,\"f\":\"x\"}"), None);
    settings.hash.append(&mut settings.mask);
    let code = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(key(&settings, "{\"t\":1700000000,\"f\":\"what do ya want for nothing?\"}"), some(code));
}
