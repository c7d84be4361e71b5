//! A small case, computed by hand, to the letter.

use super::*;

#[test]
fn the_document_is_what_the_contract_says() {
    let expected = concat!(
        r#"{"schema":1,"pipeline":"test","revision":3,"published_at":"2026-11-22T23:00:00.123Z","#,
        r#""complete_through":"2026-11-22T22:59:00.000Z","positions":{"0":4,"10":3},"#,
        r#""incarnations":{"0":"1-ab","10":"1-ab"},"#,
        r#""gaps":[{"partition":0,"from":9,"to":11,"reason":"retention"}],"#,
        r#""records":{"read":7,"logins":4,"processed":2,"filtered":2,"#,
        r#""dead_letters":{"total":3,"not_json":1,"missing_field":2},"output_refused":1},"#,
        r#""logins":{"total":4,"by":{"device":{"android":2,"ios":2},"#,
        r#""version":{"3.0":1,"3.1":1,"~other":1,"~unknown":1}},"#,
        r#""hour_of_day":[0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,3,0,0,0],"peak_hour":{"hour":20,"logins":3}},"#,
        r#""processed":{"total":2,"by":{"device":{"android":2},"version":{"3.0":1,"3.1":1}},"#,
        r#""hour_of_day":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2,0,0,0],"peak_hour":{"hour":20,"logins":2}},"#,
        r#""most_popular":{"device":{"value":"android","logins":2},"version":{"value":"3.0","logins":1}},"#,
        r#""unique":{"user":{"day":"2026-11-22","value":2,"low":2,"high":3,"method":"hll"}},"#,
        r#""publication":"0123456789abcdef"}"#,
    );
    assert_eq!(published().document, expected);
}

#[test]
fn the_public_keys_are_what_the_contract_says() {
    let published = published();
    let hash = |fields: &[(&str, u64)]| {
        PublicValue::Hash(fields.iter().map(|(field, count)| ((*field).to_owned(), *count)).collect())
    };
    let keys: Vec<&str> = published.keys.keys().map(String::as_str).collect();
    let expected = [
        "by:device",
        "by:version",
        "days",
        "hours",
        "processed:by:device",
        "processed:by:version",
        "processed:hours",
        "quarters:2026-11-21",
        "quarters:2026-11-22",
        "totals",
    ];
    assert_eq!(keys, expected);
    assert_eq!(published.keys["days"], hash(&[("2026-11-21", 1), ("2026-11-22", 3)]));
    assert_eq!(published.keys["quarters:2026-11-22"], hash(&[("28", 1), ("80", 1), ("81", 1)]));
    let totals = [
        ("read", 7),
        ("logins", 4),
        ("processed", 2),
        ("filtered", 2),
        ("dead_letters", 3),
        ("dead_letters:not_json", 1),
        ("dead_letters:missing_field", 2),
        ("output_refused", 1),
    ];
    assert_eq!(published.keys["totals"], hash(&totals));
    let by_device = vec![("android".to_owned(), 2)];
    assert_eq!(published.keys["processed:by:device"], PublicValue::SortedSet(by_device));
}

/// Two partitions with a few records of every kind.
fn published() -> Published {
    let mut spec = spec(&["device", "version"], &["user"]);
    spec.revision = 3;
    let (mut zero, mut ten) = (Partition::new(&spec), Partition::new(&spec));
    let today = "2026-11-22";
    zero.login(at("2026-11-21", 20, 0), true, &["android", "3.1"], &[Some("a")]);
    zero.login(at(today, 20, 14), true, &["android", "3.0"], &[Some("a")]);
    zero.login(at(today, 20, 15), false, &["ios", ""], &[Some("b")]);
    zero.reject(Reason::MissingField);
    zero.progress.gaps = vec![Gap { from: 9, to: 11, reason: GapReason::Retention }];
    zero.progress.output_refused = 1;
    ten.login(at(today, 7, 0), false, &["ios", "~other"], &[None]);
    ten.reject(Reason::NotJson);
    ten.reject(Reason::MissingField);

    let mut merge = Merge::new(&spec);
    let now_ms = at(today, 23, 0) + 123;
    ten.show(10, &mut merge, now_ms);
    zero.show(0, &mut merge, now_ms);
    let complete_through_ms = Some(at(today, 22, 59));
    merge.document(&Context { complete_through_ms, ..context(now_ms) })
}
