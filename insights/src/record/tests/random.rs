//! Random documents and configurations, held against `serde_json`.
//!
//! Owns what no hand-written list can cover: that the grammar is the same, and that every output is JSON that says what it
//! should.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::*;

/// Whether the decoder takes the bytes for a JSON document.
fn is_json(value: &[u8]) -> bool {
    let mut spec = bare_spec();
    spec.source.fields = Fields { user: "\0u".into(), timestamp: "\0t".into(), version: "\0v".into() };
    spec.source.required = strings(&["\0t"]);
    let reason = rejection(&spec, value).map(|(reason, _)| reason);
    !matches!(reason, Some(Reason::NotUtf8 | Reason::NotJson))
}

/// Whether `serde_json` does; it skips values without a limit of depth or size, and takes lone surrogates.
fn is_json_to_serde(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// One change of one place.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(u8),
    Insert(u8),
    Delete,
    Cut,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let grammar: Vec<u8> = b"{}[]:,\"\\/ \t\r\n\0\x1f0123456789+-.eEtrufalsn\x7f\x80\xc3\xff".to_vec();
    let byte = prop_oneof![3 => prop::sample::select(grammar), 1 => any::<u8>()];
    prop_oneof![
        byte.clone().prop_map(Mutation::Replace),
        byte.prop_map(Mutation::Insert),
        Just(Mutation::Delete),
        Just(Mutation::Cut),
    ]
}

fn mutate(mut bytes: Vec<u8>, mutations: Vec<(prop::sample::Index, Mutation)>) -> Vec<u8> {
    for (place, mutation) in mutations {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        match mutation {
            Mutation::Replace(byte) => bytes[at] = byte,
            Mutation::Insert(byte) => bytes.insert(at, byte),
            Mutation::Delete => drop(bytes.remove(at)),
            Mutation::Cut => bytes.truncate(at),
        }
    }
    bytes
}

/// The members of a random login: names and values.
fn members() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(Value::from("10.1.2.3")),
        Just(Value::from("2001:db8:1:2::3")),
        Just(Value::from(1.5)),
        ".{0,8}".prop_map(Value::from),
        Just(Value::from(vec![1, 2])),
    ];
    let names = prop::sample::subsequence(FIELDS.to_vec(), 0..=FIELDS.len()).prop_shuffle();
    names.prop_flat_map(move |names| {
        let values = prop::collection::vec(value.clone(), names.len());
        values.prop_map(move |values| names.clone().into_iter().zip(values).collect())
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Keep,
    Drop,
    Mask,
    Hash,
}

/// Each field's treatment and default.
fn plans() -> impl Strategy<Value = Vec<(Plan, Option<&'static str>)>> {
    let plan = prop_oneof![Just(Plan::Keep), Just(Plan::Drop), Just(Plan::Mask), Just(Plan::Hash)];
    let default = prop_oneof![Just(None), Just(Some("10.9.8.7")), Just(Some("d\"\\\n"))];
    prop::collection::vec((plan, default), FIELDS.len())
}

const FIELDS: [&str; 5] = ["a", "b", "ip", "é", "q\"\\"];

fn configured(plans: &[(Plan, Option<&str>)], drop_timestamp: bool) -> PipelineSpec {
    let mut spec = bare_spec();
    for (name, (plan, default)) in FIELDS.iter().zip(plans) {
        match plan {
            Plan::Keep => {}
            Plan::Drop => spec.output.drop.push((*name).into()),
            Plan::Mask => spec.output.mask.push((*name).into()),
            Plan::Hash => spec.output.hash.push((*name).into()),
        }
        if let Some(default) = default {
            spec.source.defaults.insert((*name).into(), (*default).into());
        }
    }
    if drop_timestamp {
        spec.output.drop.push("timestamp".into());
    }
    spec
}

/// What the output must say, reckoned on trees.
fn expected(
    source: &Map<String, Value>,
    plans: &[(Plan, Option<&str>)],
    drop_timestamp: bool,
) -> Map<String, Value> {
    let mut expected = source.clone();
    expected.insert("timestamp".into(), Value::from("2023-11-14 22:13:20"));
    if drop_timestamp {
        expected.remove("timestamp");
    }
    for (name, (plan, default)) in FIELDS.iter().zip(plans) {
        if expected.get(*name).is_none_or(Value::is_null)
            && let Some(default) = default
        {
            expected.insert((*name).into(), Value::from(*default));
        }
        let Some(value) = expected.get_mut(*name) else {
            continue;
        };
        *value = match (plan, value.take()) {
            (Plan::Hash | Plan::Mask, Value::Null) | (Plan::Drop, _) => Value::Null,
            (Plan::Keep, value) => value,
            (Plan::Mask, value) => match value.as_str() {
                Some("10.1.2.3") => Value::from("10.1.2.0"),
                Some("10.9.8.7") => Value::from("10.9.8.0"),
                Some("2001:db8:1:2::3") => Value::from("2001:db8:1::"),
                _ => Value::Null,
            },
            (Plan::Hash, value) => {
                use hmac::{Hmac, KeyInit, Mac};
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let mut code = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
                code.update(text.as_bytes());
                let hex: Vec<String> =
                    code.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                Value::from(hex.concat())
            }
        };
        if *plan == Plan::Drop {
            expected.remove(*name);
        }
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_json_is_json_to_serde_too(
        value in json(),
        pretty in any::<bool>(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), mutation()), 0..4),
    ) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let bytes = mutate(text.unwrap(), mutations);
        prop_assert_eq!(is_json(&bytes), is_json_to_serde(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn grammar_soup_is_json_when_serde_says_so(text in r#"[\[\]{}:,"\\u0-9a-fA-FtrueE+. \-]{0,12}"#) {
        prop_assert_eq!(is_json(text.as_bytes()), is_json_to_serde(text.as_bytes()), "{}", text);
    }

    #[test]
    fn every_output_is_json_that_says_what_it_should(
        mut members in members(),
        extra in json(),
        timestamp_at in any::<prop::sample::Index>(),
        spaces in prop::sample::select(vec!["", " ", "\n\t"]),
        plans in plans(),
        drop_timestamp in any::<bool>(),
    ) {
        members.insert(timestamp_at.index(members.len() + 1), ("timestamp", Value::from(1_700_000_000)));
        members.insert(timestamp_at.index(members.len() + 1), ("extra", extra));
        let texts: Vec<String> =
            members.iter().map(|(name, value)| format!("{}{spaces}:{spaces}{value}{spaces}", Value::from(*name))).collect();
        let source = format!("{{{spaces}{}}}", texts.join(&format!(",{spaces}")));
        // Read back: serde_json does not give every float back as it was written.
        let tree = serde_json::from_str(&source).unwrap();

        let output = output(&configured(&plans, drop_timestamp), &source);
        let said: Value = serde_json::from_str(&output).map_err(|error| TestCaseError::fail(format!("{error}: {output}")))?;
        prop_assert_eq!(said, Value::Object(expected(&tree, &plans, drop_timestamp)), "{}", source);
    }

    #[test]
    fn strings_say_what_serde_says(text in ".{0,20}", escaped in any::<bool>()) {
        let mut quoted = Value::from(text.as_str()).to_string();
        if escaped {
            let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            quoted = format!("\"{}\"", units.concat());
        }
        let mut spec = bare_spec();
        spec.output.key = OutputKey::Field("k".into());
        let key = output_and_key(&spec, &format!("{{\"k\":{quoted},\"timestamp\":1700000000}}")).1;
        prop_assert_eq!(key.as_deref(), Some(text.as_bytes()));
    }

    #[test]
    fn what_was_decoded_before_makes_no_difference(
        documents in prop::collection::vec(
            (prop::sample::subsequence(PIECES.to_vec(), 1..PIECES.len()).prop_shuffle(), prop::sample::select(vec![",", " ,", ", "])),
            1..12,
        ),
    ) {
        // Two plans that mean different fields by one name, and one scratch for all.
        let mut other = bare_spec();
        other.source.fields.timestamp = "b".into();
        other.source.required = strings(&["b"]);
        other.output.drop = strings(&["a"]);
        let decoders = [Decoder::new(&bare_spec()).unwrap(), Decoder::new(&other).unwrap()];
        let mut used = Scratch::default();
        for (number, (pieces, comma)) in documents.iter().enumerate() {
            let document = format!("{{{}}}", pieces.join(comma));
            let decoder = &decoders[number % 2];
            let decode = |scratch: &mut Scratch| {
                let mut out = Vec::new();
                match decoder.decode(scratch, Some(document.as_bytes()), -1) {
                    Ok(login) => login.write_output(&mut out),
                    Err(rejection) => out.extend_from_slice(format!("{rejection:?}").as_bytes()),
                }
                String::from_utf8(out).unwrap()
            };
            prop_assert_eq!(decode(&mut used), decode(&mut Scratch::default()), "{}", document);
        }
    }
}

/// Members and near misses of members, some of which repeat a name.
const PIECES: [&str; 9] = [
    "\"timestamp\":1700000000",
    "\"timestamp\": 1700000001",
    "\"timestamp\" :1700000002 ",
    "\"a\":1",
    "\"a\":  {}",
    " \"b\":1700000003",
    "\"b\":[1]",
    "\"\\u0062\":1700000004",
    "\"c\"\t:null",
];
