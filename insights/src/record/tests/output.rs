//! The bytes of output records and their keys.
//!
//! It never looks at what is counted.

use super::*;

const TIME: &str = "\"2023-11-14 22:13:20\"";

#[test]
fn every_byte_but_the_timestamps_goes_through_as_it_came() {
    let source = " {\t\"x\" : [1 , 2.50e0],\"\\u0075\":\"\\/\\ud800\" ,\r\n\"timestamp\"\n: 1700000000.9 , \"z\":null, \"x\":{}} \n";
    assert_eq!(output(&bare_spec(), source), source.replace("1700000000.9", TIME));
    let source = r#"{"\u0074imestamp":"1.7\u00659"}"#;
    assert_eq!(output(&bare_spec(), source), format!(r#"{{"\u0074imestamp":{TIME}}}"#));
    let mut spec = bare_spec();
    spec.source.timestamp_unit = TimestampUnit::Milliseconds;
    assert_eq!(output(&spec, r#"{"timestamp":1700000000999}"#), format!(r#"{{"timestamp":{TIME}}}"#));
}

#[test]
fn defaults_take_the_place_of_null_or_go_behind_the_last_member() {
    let mut spec = bare_spec();
    spec.source.defaults = defaults(&[("b", "B"), ("a", "A\"\\/\u{1}\u{7f}é\n"), ("B\"\t", "x")]);
    assert_eq!(
        output(&spec, r#"{"b": null ,"timestamp":1700000000 } "#),
        format!(r#"{{"b": "B" ,"timestamp":{TIME},"B\"\t":"x","a":"A\"\\/\u0001{}é\n" }} "#, '\u{7f}')
    );
    assert_eq!(
        output(&spec, r#"{"timestamp":1700000000,"b":"","a":0,"B\u0022\u0009":null}"#),
        format!(r#"{{"timestamp":{TIME},"b":"","a":0,"B\u0022\u0009":"x"}}"#)
    );
}

#[test]
fn a_mask_keeps_the_network_address() {
    let mut spec = bare_spec();
    spec.output.mask = strings(&["ip"]);
    for (value, expected) in [
        (r#""199.172.111.135""#, r#""199.172.111.0""#),
        (r#""2001:DB8:1:2::9""#, r#""2001:db8:1::""#),
        (r#""::ffff:10.0.0.1""#, r#""::""#),
        (r#""\u0031.2.3.4""#, r#""1.2.3.0""#),
        (r#""1.2.3.4 ""#, "null"),
        (r#""""#, "null"),
        ("1.2", "null"),
        ("true", "null"),
        (r#"["1.2.3.4"]"#, "null"),
        ("null", "null"),
    ] {
        let source = format!(r#"{{"ip":{value},"timestamp":1700000000}}"#);
        assert_eq!(output(&spec, &source), format!(r#"{{"ip":{expected},"timestamp":{TIME}}}"#));
    }
    assert_eq!(output(&spec, r#"{"timestamp":1700000000}"#), format!(r#"{{"timestamp":{TIME}}}"#));
}

/// Made with `printf %s TEXT | openssl dgst -sha256 -hmac key`.
const HASHES: [(&str, &str); 5] = [
    (r#""593-47-5928""#, "7b4393ef736ea9cd873824b9ff10170d0f15559664d32e6191a2467a70168169"),
    (r#""""#, "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0"),
    (r#""\u00e9""#, "e5eb9b0a697f5df0e9c03ffdd759f4b6edb39204332904d5eb74735b54259255"),
    ("1.50", "ff93e07b66e217a5472d17bacdd701f46b9c46d3cfdc79b96e091c7c35fd1fed"),
    (r#"[1, {"a":null}]"#, "8c5166e24806759f9007651e38f5f753e6b012b453a5fe1419369cd3053e2c1f"),
];

#[test]
fn a_hash_is_of_the_text_or_of_the_json() {
    let mut spec = bare_spec();
    spec.output.hash = strings(&["id"]);
    for (value, expected) in HASHES {
        let source = format!(r#"{{"timestamp":1700000000,"id":{value} }}"#);
        assert_eq!(output(&spec, &source), format!(r#"{{"timestamp":{TIME},"id":"{expected}" }}"#));
    }
    for source in [r#"{"timestamp":1700000000,"id":null}"#, r#"{"timestamp":1700000000}"#] {
        assert_eq!(output(&spec, source), source.replace("1700000000", TIME));
    }
}

#[test]
fn a_default_is_masked_and_hashed_like_a_value_that_was_sent() {
    let mut spec = bare_spec();
    spec.source.defaults = defaults(&[("ip", "10.1.2.3"), ("no_ip", "none"), ("id", "593-47-5928")]);
    spec.output.mask = strings(&["ip", "no_ip"]);
    spec.output.hash = strings(&["id"]);
    let hash = HASHES[0].1;
    assert_eq!(
        output(&spec, r#"{"timestamp":1700000000}"#),
        format!(r#"{{"timestamp":{TIME},"id":"{hash}","ip":"10.1.2.0","no_ip":null}}"#)
    );
    assert_eq!(
        output(&spec, r#"{"id":null,"ip":null,"no_ip":null,"timestamp":1700000000}"#),
        format!(r#"{{"id":"{hash}","ip":"10.1.2.0","no_ip":null,"timestamp":{TIME}}}"#)
    );
}

/// [`bare_spec`] with the timestamp named `t`, and some fields dropped.
fn dropping(fields: &[&str]) -> PipelineSpec {
    let mut spec = bare_spec();
    spec.source.fields.timestamp = "t".into();
    spec.source.required = strings(&["t"]);
    spec.output.drop = strings(fields);
    spec
}

/// The same with `T` for the timestamp on both sides.
#[track_caller]
fn assert_output(spec: &PipelineSpec, source: &str, expected: &str) {
    assert_eq!(output(spec, &source.replace('T', "1700000000")), expected.replace('T', TIME), "{source}");
}

#[test]
fn a_dropped_member_goes_with_the_gap_before_it_or_the_gap_behind_it() {
    let spec = dropping(&["a", "b", "c"]);
    for (source, expected) in [
        (r#"{ "t" : T , "a" : 2 , "u" : 3 }"#, r#"{ "t" : T , "u" : 3 }"#),
        (r#"{ "a" : 1 , "t" : T }"#, r#"{ "t" : T }"#),
        (r#"{ "t" : T , "a" : 2 }"#, r#"{ "t" : T }"#),
        (r#"{ "a" : 1 ,  "b" : 2 , "t" : T , "c" : 4 }"#, r#"{ "t" : T }"#),
        (r#"{ "a" : 1 ,  "u" : 2 , "b" : 3 , "t" : T , "c" : 4 }"#, r#"{ "u" : 2 , "t" : T }"#),
        (r#"{ "t" : T , "a" : 2 ,  "b" : 3 , "u" : 4 , "c":5,"v":6}"#, r#"{ "t" : T , "u" : 4,"v":6}"#),
        (r#"{"t":T,"a":{"a":[]} ,"b":null}"#, r#"{"t":T}"#),
        (r#"{"\u0061":1,"t":T,"x":{"a":1}}"#, r#"{"t":T,"x":{"a":1}}"#),
        (r#"{"t":T}"#, r#"{"t":T}"#),
    ] {
        assert_output(&spec, source, expected);
    }
}

#[test]
fn all_members_may_be_dropped() {
    let spec = dropping(&["t", "a"]);
    for (source, expected) in [
        ("{\"t\":T}", "{}"),
        ("\t{ \"t\" : T\n} ", "\t{ \n} "),
        ("{ \"a\":1 , \"t\" : T\n}", "{ \n}"),
        ("{ \"t\":T , \"x\" : 1 , \"a\":1\n}", "{ \"x\" : 1\n}"),
    ] {
        assert_output(&spec, source, expected);
    }
}

#[test]
fn defaults_follow_what_is_left() {
    let mut spec = dropping(&["a", "b"]);
    spec.source.defaults = defaults(&[("d", "1"), ("c", "2"), ("b", "never")]);
    for (source, expected) in [
        (r#"{ "t":T , "a":1 }"#, r#"{ "t":T,"c":"2","d":"1" }"#),
        (r#"{ "a":1 , "t":T }"#, r#"{ "t":T,"c":"2","d":"1" }"#),
        (r#"{ "d":null , "a":1 , "t":T , "b":null }"#, r#"{ "d":"1" , "t":T,"c":"2" }"#),
        (r#"{ "d":null , "t":T , "c":2 , "b":null }"#, r#"{ "d":"1" , "t":T , "c":2 }"#),
    ] {
        assert_output(&spec, source, expected);
    }
    spec.output.drop = strings(&["a", "b", "t"]);
    for (source, expected) in [
        (r#"{ "t":T }"#, r#"{ "c":"2","d":"1" }"#),
        (r#"{ "a":1 , "t":T, "b":2}"#, r#"{ "c":"2","d":"1"}"#),
        (r#"{ "a":1 , "d":null , "t":T }"#, r#"{ "d":"1","c":"2" }"#),
        (r#"{ "t":T , "d":null, "c":"" }"#, r#"{ "d":"1", "c":"" }"#),
    ] {
        assert_output(&spec, source, expected);
    }
}

#[test]
fn several_changes_are_made_side_by_side() {
    let mut spec = dropping(&["a", "c"]);
    spec.source.defaults = defaults(&[("n", "new"), ("z", "end")]);
    spec.output.mask = strings(&["ip"]);
    spec.output.hash = strings(&["id"]);
    let hash = HASHES[3].1;
    assert_output(
        &spec,
        r#"{"a":1,"ip":"1.2.3.4","c":2,"n":null,"id":1.50,"t":T}"#,
        &format!(r#"{{"ip":"1.2.3.0","n":"new","id":"{hash}","t":T,"z":"end"}}"#),
    );
}

#[test]
fn the_source_keeps_its_key() {
    let decoder = Decoder::new(&spec()).unwrap();
    let mut scratch = Scratch::default();
    let value = login("");
    let login = decoder.decode(&mut scratch, Some(value.as_bytes()), -1).unwrap();
    assert_eq!(login.output_key(&mut Vec::new()), Key::Source);
}

#[test]
fn a_fields_value_becomes_the_key_after_mask_and_hash() {
    let key = |treat: fn(&mut PipelineSpec), value: &str| {
        let mut spec = bare_spec();
        spec.output.key = OutputKey::Field("k".into());
        treat(&mut spec);
        output_and_key(&spec, &format!("{{\"timestamp\":1700000000{value}}}")).1
    };
    let keep = |_: &mut PipelineSpec| {};
    let drop = |spec: &mut PipelineSpec| spec.output.drop = strings(&["k"]);
    let mask = |spec: &mut PipelineSpec| spec.output.mask = strings(&["k"]);
    let hash = |spec: &mut PipelineSpec| spec.output.hash = strings(&["k"]);
    let default = |spec: &mut PipelineSpec| spec.source.defaults = defaults(&[("k", "10.9.8.7")]);
    assert_eq!(key(keep, r#","k":"a\u00e9\"""#).as_deref(), Some("aé\"".as_bytes()));
    assert_eq!(key(drop, r#","k":"a""#).as_deref(), Some(&b"a"[..]));
    assert_eq!(key(mask, r#","k":"\u0031.2.3.4""#).as_deref(), Some(&b"1.2.3.0"[..]));
    assert_eq!(key(hash, r#","k":"\u00e9""#).as_deref(), Some(HASHES[2].1.as_bytes()));
    assert_eq!(key(hash, r#","k":"""#).as_deref(), Some(HASHES[1].1.as_bytes()));
    assert_eq!(key(keep, r#","k":"""#).as_deref(), Some(&b""[..]));
    assert_eq!(key(mask, r#","k":"x""#), None);
    for absent in ["", r#","k":null"#] {
        for treat in [keep, drop, mask, hash] {
            assert_eq!(key(treat, absent), None);
        }
        assert_eq!(key(default, absent).as_deref(), Some(&b"10.9.8.7"[..]));
        let masked = |spec: &mut PipelineSpec| {
            spec.source.defaults = defaults(&[("k", "10.9.8.7")]);
            spec.output.mask = strings(&["k"]);
        };
        assert_eq!(key(masked, absent).as_deref(), Some(&b"10.9.8.0"[..]));
        let dropped = |spec: &mut PipelineSpec| {
            spec.source.defaults = defaults(&[("k", "10.9.8.7")]);
            spec.output.drop = strings(&["k"]);
        };
        assert_eq!(key(dropped, absent).as_deref(), Some(&b"10.9.8.7"[..]));
    }
}
