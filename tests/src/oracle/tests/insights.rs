use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{NOW_MS, bare, condition, record};
use crate::oracle::{
    Dimension, Expected, Fold, Operator, Settings, SourceRecord, Truth, compare_document, compare_keys,
    document,
};

/// Counts `f`; logins with `p` are processed.
fn settings() -> Settings {
    Settings {
        pipeline: "id".to_owned(),
        filter: vec![condition("p", Operator::Exists, &[])],
        dimensions: vec![Dimension { field: "f".to_owned(), fold: Fold::Lower }],
        unique: vec!["u".to_owned()],
        ..bare()
    }
}

fn at(partition: i32, offset: i64, value: &str) -> SourceRecord {
    SourceRecord { partition, offset, timestamp_ms: -1, ..record(value) }
}

/// 2023-11-14T22:13:20Z and 23:45:00Z; 2023-11-15T22:00:00Z.
fn logs() -> BTreeMap<i32, Vec<SourceRecord>> {
    BTreeMap::from([
        (
            0,
            vec![
                at(0, 5, r#"{"t":1700000000,"f":"A","p":1,"u":"x"}"#),
                at(0, 6, r#"{"t":1700000000,"f":"b","u":"y"}"#),
                at(0, 9, "{}"),
                at(0, 10, r#"{"t":1700005500,"f":"b","p":1,"u":"x"}"#),
            ],
        ),
        (
            1,
            vec![
                at(1, 0, r#"{"t":1700085600,"f":"~b","u":"x"}"#),
                at(1, 1, r#"{"t":1700085600,"u":"y"}"#),
                at(1, 2, "x"),
                at(1, 3, r#"{"t":1700085600,"f":"a"}"#),
            ],
        ),
    ])
}

fn at_the_end() -> Expected {
    document(&settings(), &logs(), &BTreeMap::from([(0, 11), (1, 4)]))
}

fn hours(some: &[(usize, u64)]) -> Vec<u64> {
    let mut hours = vec![0; 24];
    for (hour, logins) in some {
        hours[*hour] = *logins;
    }
    hours
}

#[test]
fn a_document_is_what_a_person_counts_by_hand() {
    assert_eq!(
        at_the_end().document,
        json!({
            "schema": 1, "pipeline": "id", "positions": {"0": 11, "1": 4}, "gaps": [],
            "records": {
                "read": 8, "logins": 6, "processed": 2, "filtered": 4, "output_refused": 0,
                "dead_letters": {"total": 2, "missing_field": 1, "not_json": 1},
            },
            "logins": {
                "total": 6, "by": {"f": {"a": 2, "b": 2, "~other": 1, "~unknown": 1}},
                "hour_of_day": hours(&[(22, 5), (23, 1)]), "peak_hour": {"hour": 22, "logins": 5},
            },
            "processed": {
                "total": 2, "by": {"f": {"a": 1, "b": 1}},
                "hour_of_day": hours(&[(22, 1), (23, 1)]), "peak_hour": {"hour": 22, "logins": 1},
            },
            "most_popular": {"f": {"value": "a", "logins": 2}},
        })
    );
}

#[test]
fn the_keys_say_the_same() {
    let expected = at_the_end();
    let counts = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    let key = |name: &str| expected.keys[&format!("rollcall:{{id}}:{name}")].clone();
    assert_eq!(key("by:f"), counts(&[("a", 2), ("b", 2), ("~other", 1), ("~unknown", 1)]));
    assert_eq!(key("processed:by:f"), counts(&[("a", 1), ("b", 1)]));
    assert_eq!((key("hours").len(), key("hours")["22"]), (24, 5));
    assert_eq!(key("processed:hours")["23"], 1);
    assert_eq!(key("days"), counts(&[("2023-11-14", 3), ("2023-11-15", 3)]));
    assert_eq!((key("quarters:2023-11-14")["88"], key("quarters:2023-11-14")["95"]), (2, 1));
    assert_eq!(key("quarters:2023-11-15")["88"], 3);
    let totals = [
        ("read", 8),
        ("logins", 6),
        ("processed", 2),
        ("filtered", 4),
        ("dead_letters", 2),
        ("dead_letters:missing_field", 1),
        ("dead_letters:not_json", 1),
        ("output_refused", 0),
    ];
    assert_eq!(key("totals"), counts(&totals));
    assert_eq!(expected.keys.len(), 8);
    assert_eq!(expected.unique["u"], counts(&[("2023-11-14", 2), ("2023-11-15", 2)]));
    assert_eq!(compare_keys(&expected, &expected.keys), Vec::<String>::new());
}

#[test]
fn only_what_is_below_the_positions_counts() {
    let read = |positions: &[(i32, i64)]| {
        let positions = positions.iter().copied().collect();
        document(&settings(), &logs(), &positions).document["records"]["read"].clone()
    };
    assert_eq!(read(&[]), 0);
    assert_eq!(read(&[(0, 5)]), 0);
    assert_eq!(read(&[(0, 6)]), 1);
    assert_eq!(read(&[(0, 8), (1, 1)]), 3);
}

#[test]
fn nothing_has_no_peak_and_no_favourite() {
    let positions = BTreeMap::from([(1, 2)]);
    let expected = document(&settings(), &logs(), &positions).document;
    assert_eq!(expected["most_popular"], json!({"f": null}));
    assert_eq!(expected["processed"]["peak_hour"], Value::Null);
    assert_eq!(expected["logins"]["peak_hour"], json!({"hour": 22, "logins": 2}));
}

#[test]
fn a_time_zone_moves_hours_and_days_but_no_quarters() {
    let settings = Settings { time_zone: "Asia/Kolkata".parse().unwrap(), ..settings() };
    let expected = document(&settings, &logs(), &BTreeMap::from([(0, 11), (1, 4)]));
    // 03:43, 05:15 and 03:30 of the next days.
    assert_eq!(expected.document["logins"]["hour_of_day"], json!(hours(&[(3, 5), (5, 1)])));
    assert_eq!(
        expected.keys["rollcall:{id}:days"],
        [("2023-11-15".to_owned(), 3), ("2023-11-16".to_owned(), 3)].into()
    );
    assert!(expected.keys.contains_key("rollcall:{id}:quarters:2023-11-14"));
    assert_eq!(expected.unique["u"].keys().collect::<Vec<_>>(), ["2023-11-15", "2023-11-16"]);
}

#[test]
fn the_merged_table_is_cut_by_each_sides_own_counts() {
    let mut settings = settings();
    settings.max_values = 2;
    let rows = |partition, rows: &[&str]| -> Vec<SourceRecord> {
        let record = |(offset, row): (i64, &&str)| {
            let (value, more) = row.split_at(1);
            let more = if more.is_empty() { "" } else { ",\"p\":1" };
            at(partition, offset, &format!("{{\"t\":1700000000,\"f\":\"{value}\"{more}}}"))
        };
        (0..).zip(rows).map(record).collect()
    };
    let logs = BTreeMap::from([
        (0, rows(0, &["a", "a", "a", "d+"])),
        (1, rows(1, &["b", "b+", "c", "c"])),
        (2, rows(2, &["~", "d+"])),
    ]);
    let expected = document(&settings, &logs, &BTreeMap::from([(0, 9), (1, 9), (2, 9)])).document;
    assert_eq!(expected["logins"]["by"]["f"], json!({"a": 3, "b": 2, "~other": 5}));
    assert_eq!(expected["processed"]["by"]["f"], json!({"b": 1, "d": 2}));
    assert_eq!(expected["most_popular"]["f"], json!({"value": "a", "logins": 3}));
}

#[test]
fn a_day_that_a_partition_let_go_is_not_published() {
    let first = NOW_MS / 86_400_000;
    let day =
        |partition, offset, day: i64| at(partition, offset, &format!("{{\"t\":{}}}", (first + day) * 86_400));
    let full: Vec<SourceRecord> = (0..401).map(|number| day(0, number, 2 * number)).collect();
    let logs =
        BTreeMap::from([(0, full), (1, vec![day(1, 0, -1), day(1, 1, 0), day(1, 2, 1), day(1, 3, 2)])]);
    let expected = document(&settings(), &logs, &BTreeMap::from([(0, 401), (1, 4)]));
    assert_eq!(expected.document["logins"]["total"], 405);
    assert_eq!(expected.document["logins"]["hour_of_day"][0], 405);
    let days = &expected.keys["rollcall:{id}:days"];
    // 2023-11-14 was let go; partition 0 holds nothing of the 15th, so both ways are right.
    assert_eq!((days.len(), days["2023-11-16"]), (400, 2));
    assert_eq!(expected.optional_keys["rollcall:{id}:days"], [("2023-11-15".to_owned(), 1)].into());
    assert_eq!(expected.days_from, Some(("2023-11-15".to_owned(), "2023-11-16".to_owned())));
    let quarters = expected.keys.keys().filter(|key| key.contains(":quarters:"));
    assert_eq!(quarters.count(), 40);
    assert_eq!(expected.unique["u"].len(), 40);

    let mut actual = expected.keys.clone();
    assert_eq!(compare_keys(&expected, &actual), Vec::<String>::new());
    let published = actual.get_mut("rollcall:{id}:days").unwrap();
    published.insert("2023-11-15".to_owned(), 1);
    assert_eq!(compare_keys(&expected, &actual), Vec::<String>::new());
    actual.get_mut("rollcall:{id}:days").unwrap().insert("2023-11-14".to_owned(), 2);
    assert_eq!(compare_keys(&expected, &actual).len(), 1);
}

#[test]
fn a_growing_log_gives_the_same_as_one_from_scratch() {
    let mut truth = Truth::new(settings());
    for record in logs().into_values().flatten() {
        truth.append(record);
    }
    for positions in [[(0, 6), (1, 0)], [(0, 9), (1, 2)], [(0, 9), (1, 2)], [(0, 12), (1, 4)]] {
        let positions = BTreeMap::from(positions);
        assert_eq!(truth.advance_to(&positions).unwrap(), document(&settings(), &logs(), &positions));
    }
    assert!(
        truth
            .advance_to(&BTreeMap::from([(0, 11), (1, 4)]))
            .unwrap_err()
            .contains("partition 0 fell from 12")
    );
}

/// A right publication.
fn published() -> Value {
    let mut document = at_the_end().document;
    document["unique"] =
        json!({"u": {"day": "2023-11-14", "value": 2, "low": 2, "high": 2, "method": "hll"}});
    document["published_at"] = json!("2023-11-15T22:00:00.000Z");
    document
}

#[test]
fn a_right_document_has_no_differences() {
    assert_eq!(compare_document(&at_the_end(), &published()), Vec::<String>::new());
    let mut other = published();
    other["records"].as_object_mut().unwrap().remove("output_refused");
    other["records"]["dead_letters"]["too_large"] = json!(0);
    other["processed"]["by"]["f"]["~unknown"] = json!(0);
    other["days_from"] = json!("2023-11-14");
    assert_eq!(compare_document(&at_the_end(), &other), Vec::<String>::new());
}

#[test]
fn each_wrong_member_is_a_difference() {
    let changes = [
        ("/schema", json!(2)),
        ("/pipeline", json!("other")),
        ("/positions/0", json!(12)),
        ("/gaps", json!([{"partition": 0, "from": 0, "to": 5, "reason": "retention"}])),
        ("/records/read", json!(9)),
        ("/records/logins", json!(7)),
        ("/records/processed", json!(3)),
        ("/records/filtered", json!(5)),
        ("/records/output_refused", json!(1)),
        ("/records/dead_letters/total", json!(3)),
        ("/records/dead_letters/not_json", json!(2)),
        ("/logins/total", json!(7)),
        ("/logins/by", json!({})),
        ("/logins/by/f/a", json!(3)),
        ("/logins/by/f/~0other", json!(0)),
        ("/logins/hour_of_day/0", json!(1)),
        ("/logins/peak_hour/hour", json!(23)),
        ("/processed/by/f/b", json!("1")),
        ("/processed/hour_of_day", json!([])),
        ("/processed/peak_hour", Value::Null),
        ("/most_popular/f/value", json!("b")),
        ("/unique/u/value", json!(40)),
        ("/unique/u", json!({"day": "2023-11-14", "value": 20, "low": 19, "high": 21, "method": "hll"})),
        ("/unique/u/high", json!(1000)),
        ("/unique", json!({})),
    ];
    for (path, value) in changes {
        let mut wrong = published();
        *wrong.pointer_mut(path).unwrap() = value;
        assert!(!compare_document(&at_the_end(), &wrong).is_empty(), "{path}");
    }
    let mut wrong = published();
    wrong["days_from"] = json!("2023-11-15");
    assert_eq!(compare_document(&at_the_end(), &wrong).len(), 1);
}

#[test]
fn each_wrong_key_is_a_difference() {
    let expected = at_the_end();
    let own = |name: &str| format!("rollcall:{{id}}:{name}");
    for key in expected.keys.keys() {
        let mut wrong = expected.keys.clone();
        wrong.remove(key);
        assert!(!compare_keys(&expected, &wrong).is_empty(), "{key}");
    }
    for (key, field) in
        [("by:f", "c"), ("totals", "x"), ("quarters:2023-11-14", "0"), ("by:g", "a"), ("hours", "24")]
    {
        let mut wrong = expected.keys.clone();
        wrong.entry(own(key)).or_default().insert(field.to_owned(), 1);
        assert!(!compare_keys(&expected, &wrong).is_empty(), "{key}");
    }
    let mut right = expected.keys.clone();
    for key in [own("workers"), own("insights"), "rollcall:{id/0}:head".to_owned()] {
        right.entry(key).or_default();
    }
    right.get_mut(&own("quarters:2023-11-14")).unwrap().retain(|_, logins| *logins > 0);
    assert_eq!(compare_keys(&expected, &right), Vec::<String>::new());
}
