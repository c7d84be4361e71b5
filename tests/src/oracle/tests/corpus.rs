use std::collections::{BTreeMap, BTreeSet};

use super::{NOW_MS, fate};
use crate::oracle::corpus::{Corpus, cases};
use crate::oracle::{Settings, document};

#[test]
fn every_case_meets_its_fate() {
    let settings = Settings::default();
    let mut wrong = Vec::new();
    for case in cases(NOW_MS, settings.max_record_bytes) {
        let fate = fate(&settings, &case.record);
        if fate != case.fate {
            wrong.push(format!("{} becomes {fate}, not {}", case.name, case.fate));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_reason_is_among_the_cases() {
    let cases = cases(NOW_MS, 65_536);
    let fates: BTreeSet<&str> = cases.iter().filter_map(|case| case.fate.split(' ').next()).collect();
    let all = [
        "bad_timestamp",
        "duplicate_field",
        "empty_field",
        "field_too_long",
        "filtered",
        "missing_field",
        "not_an_object",
        "not_json",
        "not_utf8",
        "output",
        "timestamp_out_of_range",
        "too_large",
        "wrong_type",
    ];
    assert_eq!(fates.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn ordinary_logins_are_all_valid_and_follow_from_the_seed() {
    let records = |seed| Corpus::new(seed, NOW_MS, 65_536, 0).records(2, 100, 2000);
    assert_eq!(records(7), records(7));
    assert_ne!(records(7), records(8));
    let settings = Settings::default();
    let mut fates: BTreeMap<String, u32> = BTreeMap::new();
    for record in records(7) {
        *fates.entry(fate(&settings, &record)).or_default() += 1;
    }
    assert_eq!(fates.keys().collect::<Vec<_>>(), ["filtered", "output"]);
    assert!(fates["output"] > 300, "{fates:?}");
}

#[test]
fn a_mixed_stream_adds_up() {
    let mut corpus = Corpus::new(1, NOW_MS, 65_536, 30);
    let logs = BTreeMap::from([(0, corpus.records(0, 0, 1000)), (1, corpus.records(1, 50, 1000))]);
    let expected = document(&Settings::default(), &logs, &BTreeMap::from([(0, 1000), (1, 1050)]));
    let records = &expected.document["records"];
    assert_eq!(records["read"], 2000);
    let dead_letters = records["dead_letters"]["total"].as_u64().unwrap();
    assert!((300..900).contains(&dead_letters), "{dead_letters}");
    assert_eq!(records["logins"].as_u64().unwrap() + dead_letters, 2000);
}
