//! Tests of the merge and the document as a whole, from logins to the published text.

mod contract;

use std::sync::Arc;

use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::Reason;
use crate::state::testing::{Stored, count, login, spec};
use crate::state::{Layout, PartitionState, WantedParts};
use crate::time::DAY_MS;

/// A partition as its worker and its store hold it.
struct Partition {
    state: PartitionState,
    stored: Stored,
    flushes: u64,
    progress: Progress,
}

impl Partition {
    fn new(spec: &PipelineSpec) -> Self {
        Self {
            state: PartitionState::new(Arc::new(Layout::new(spec, &[]))),
            stored: Stored::default(),
            flushes: 0,
            progress: Progress {
                position: 0,
                incarnation: "1-ab".into(),
                gaps: Vec::new(),
                output_refused: 0,
            },
        }
    }

    fn login(&mut self, time_ms: i64, processed: bool, dimensions: &[&str], unique: &[Option<&str>]) {
        count(&mut self.state, &self.stored, &login(time_ms, processed, dimensions, unique));
        self.progress.position += 1;
    }

    fn reject(&mut self, reason: Reason) {
        self.state.count_dead_letter(reason);
        self.progress.position += 1;
    }

    fn flush(&mut self) {
        self.flushes += 1;
        self.stored.apply(self.state.take_changes(self.flushes));
    }

    /// Fetches what the merge wants, and no more; gives how much that was.
    fn show(&mut self, number: i32, merge: &mut Merge, now_ms: i64) -> usize {
        self.flush();
        self.refresh(number, merge, now_ms)
    }

    fn refresh(&self, number: i32, merge: &mut Merge, now_ms: i64) -> usize {
        let wanted = merge.wanted(number, &self.stored.manifest, merge.today(now_ms)).unwrap();
        let mut fetched: BTreeMap<Scope, Parts> = BTreeMap::new();
        for Wanted { scope, parts } in &wanted {
            let mut stored = self.stored.parts(*scope);
            if let WantedParts::Only(name) = parts {
                stored.retain(|stored, _| stored == name);
            }
            fetched.insert(*scope, stored);
        }
        merge.update(number, self.progress.clone(), &self.stored.manifest, &fetched).unwrap();
        wanted.len()
    }
}

fn context(published_at_ms: i64) -> Context {
    Context {
        published_at_ms,
        complete_through_ms: None,
        rebuilding: None,
        rebuilt_with_revision: None,
        nonce: "0123456789abcdef".into(),
    }
}

fn read(published: &Published) -> Value {
    serde_json::from_str(&published.document).unwrap()
}

fn at(text: &str, hour: i64, minute: i64) -> i64 {
    Day::parse(text).unwrap().start_ms() + (hour * 60 + minute) * 60_000
}

#[test]
fn a_document_of_dead_letters_alone_has_its_empty_cases() {
    let spec = spec(&["device"], &["user"]);
    let mut partition = Partition::new(&spec);
    partition.reject(Reason::TooLarge);
    let mut merge = Merge::new(&spec);
    assert_eq!(partition.show(0, &mut merge, 0), 0);
    let rebuilding = Context { rebuilding: Some(0.25), rebuilt_with_revision: Some(7), ..context(0) };
    let published = merge.document(&rebuilding);
    let document = read(&published);
    assert_eq!(document["complete_through"], Value::Null);
    assert_eq!(document["logins"]["by"], json!({"device": {}}));
    assert_eq!(document["logins"]["peak_hour"], Value::Null);
    assert_eq!(document["most_popular"], json!({"device": null}));
    assert_eq!(document["unique"]["user"]["high"], 0);
    assert_eq!((&document["rebuilding"], &document["rebuilt"]), (&json!(true), &json!(0.25)));
    assert_eq!(document["rebuilt_with_revision"], 7);
    assert!(published.keys.values().all(|value| match value {
        PublicValue::Hash(members) | PublicValue::SortedSet(members) => !members.is_empty(),
    }));
}

#[test]
fn each_by_names_its_own_largest_values_and_sums_to_its_total() {
    let mut spec = spec(&["device"], &[]);
    let (mut left, mut right) = (Partition::new(&spec), Partition::new(&spec));
    let noon_ms = at("2026-11-22", 12, 0);
    for (device, logins, processed) in [("a", 5, 0), ("b", 3, 3), ("c", 2, 1), ("d", 2, 2)] {
        for number in 0..logins {
            left.login(noon_ms, number < processed, &[device], &[]);
            right.login(noon_ms, number < processed, &[device], &[]);
        }
    }
    spec.insights.max_values = std::num::NonZeroU32::new(2).unwrap();
    let mut merge = Merge::new(&spec);
    left.show(0, &mut merge, noon_ms);
    right.show(1, &mut merge, noon_ms);
    let published = merge.document(&context(noon_ms));
    let document = read(&published);
    assert_eq!(document["logins"]["by"]["device"], json!({"a": 10, "b": 6, "~other": 8}));
    assert_eq!(document["processed"]["by"]["device"], json!({"b": 6, "d": 4, "~other": 2}));
}

#[test]
fn only_what_changed_is_wanted_again() {
    let spec = spec(&["device"], &["user"]);
    let mut partition = Partition::new(&spec);
    let mut merge = Merge::new(&spec);
    let now_ms = at("2026-11-22", 12, 0);
    for day in 0..10 {
        partition.login(now_ms - day * DAY_MS, true, &["android"], &[Some("a")]);
    }
    // The tables, ten summaries, and today's sketch.
    assert_eq!(partition.show(0, &mut merge, now_ms), 12);
    assert_eq!(partition.refresh(0, &mut merge, now_ms), 0);
    // Today has changed, and yesterday's sketch is there.
    assert_eq!(partition.refresh(0, &mut merge, now_ms - DAY_MS), 1);
    assert_eq!(read(&merge.document(&context(now_ms)))["unique"]["user"]["value"], 0);
    assert_eq!(read(&merge.document(&context(now_ms - DAY_MS)))["unique"]["user"]["value"], 1);
    // A known user logs in again: the tables and the day, but no register.
    partition.login(now_ms, true, &["android"], &[Some("a")]);
    assert_eq!(partition.show(0, &mut merge, now_ms - DAY_MS), 2);
    merge.forget(0);
    assert_eq!(read(&merge.document(&context(now_ms)))["logins"]["hour_of_day"][12], 0);
    assert_eq!(partition.refresh(0, &mut merge, now_ms), 12);
    assert_eq!(read(&merge.document(&context(now_ms)))["logins"]["hour_of_day"][12], 11);
}

#[test]
fn a_part_of_another_flush_is_refused_and_changes_nothing() {
    let spec = spec(&["device"], &["user"]);
    let mut partition = Partition::new(&spec);
    let mut merge = Merge::new(&spec);
    let now_ms = at("2026-11-22", 12, 0);
    partition.login(now_ms, true, &["android"], &[Some("a")]);
    partition.show(0, &mut merge, now_ms);
    let before = merge.document(&context(now_ms));
    let stale = partition.stored.clone();
    partition.login(now_ms, true, &["android"], &[Some("b")]);
    partition.flush();
    let refused = merge.update(0, partition.progress.clone(), &partition.stored.manifest, &stale.scopes);
    assert!(matches!(refused, Err(Error::OtherVersion { .. })));
    assert_eq!(merge.document(&context(now_ms)), before);
}

#[test]
fn days_that_one_partition_let_go_are_not_published() {
    let spec = spec(&[], &[]);
    let (mut long, mut short) = (Partition::new(&spec), Partition::new(&spec));
    let first_ms = at("2024-01-01", 12, 0);
    for day in 0..402 {
        long.login(first_ms + day * DAY_MS, true, &[], &[]);
    }
    for day in 0..4 {
        short.login(first_ms + day * DAY_MS, true, &[], &[]);
    }
    let mut merge = Merge::new(&spec);
    long.show(0, &mut merge, first_ms);
    short.show(1, &mut merge, first_ms);
    let published = merge.document(&context(first_ms));
    let document = read(&published);
    assert_eq!(document["days_from"], "2024-01-03");
    assert_eq!(document["logins"]["total"], 406);
    assert_eq!(document["logins"]["hour_of_day"][12], 402);
    let PublicValue::Hash(days) = &published.keys["days"] else { panic!("days are a hash") };
    assert_eq!((days.len(), &days[0]), (400, &("2024-01-03".to_owned(), 2)));
    assert_eq!(published.keys.keys().filter(|key| key.starts_with("quarters:")).count(), 40);
}

#[test]
fn a_new_dimension_counts_earlier_logins_as_unknown() {
    let before = spec(&["device"], &["user"]);
    let mut after = spec(&["locale", "device"], &["user"]);
    after.revision = 2;
    let mut partition = Partition::new(&before);
    let now_ms = at("2026-11-22", 12, 0);
    partition.login(now_ms, true, &["android"], &[Some("a")]);
    let mut merge = Merge::new(&after);
    partition.show(0, &mut merge, now_ms);
    let document = read(&merge.document(&context(now_ms)));
    assert_eq!(document["logins"]["by"], json!({"locale": {"~unknown": 1}, "device": {"android": 1}}));

    let history = [crate::state::Revision::of(&before)];
    partition.state.adopt(Arc::new(Layout::new(&after, &history)));
    partition.login(now_ms, true, &["EN", "ios"], &[Some("b")]);
    partition.show(0, &mut merge, now_ms);
    let document = read(&merge.document(&context(now_ms)));
    let expected = json!({"locale": {"EN": 1, "~unknown": 1}, "device": {"android": 1, "ios": 1}});
    assert_eq!(document["logins"]["by"], expected);
    assert_eq!(document["unique"]["user"]["value"], 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn neither_order_nor_how_often_it_was_looked_at_matters(
        logins in proptest::collection::vec((0..4_i32, 0..72_i64, any::<bool>(), 0..9_u8, any::<u8>(), any::<bool>()), 0..120),
        order in Just(vec![0, 1, 2, 3]).prop_shuffle(),
    ) {
        let mut spec = spec(&["device"], &["user"]);
        spec.insights.time_zone = Tz::Asia__Kathmandu;
        spec.insights.max_values = std::num::NonZeroU32::new(5).unwrap();
        let mut partitions: Vec<Partition> = (0..4).map(|_| Partition::new(&spec)).collect();
        let (mut often, mut once) = (Merge::new(&spec), Merge::new(&spec));
        let now_ms = at("2026-11-22", 12, 0);
        for (number, hour, processed, device, user, look) in &logins {
            let partition = &mut partitions[usize::try_from(*number).unwrap()];
            let (device, user) = (device.to_string(), user.to_string());
            partition.login(now_ms + hour * 3_600_000, *processed, &[&device], &[Some(&user)]);
            if *look {
                partition.show(*number, &mut often, now_ms);
            }
        }
        for (number, partition) in (0..).zip(&mut partitions) {
            partition.show(number, &mut often, now_ms);
        }
        for number in order {
            partitions[usize::try_from(number).unwrap()].show(number, &mut once, now_ms);
        }
        let published = often.document(&context(now_ms));
        prop_assert_eq!(&once.document(&context(now_ms)), &published);

        let document = read(&published);
        let sum = |value: &Value| match value {
            Value::Object(members) => members.values().filter_map(Value::as_u64).sum::<u64>(),
            list => list.as_array().unwrap().iter().filter_map(Value::as_u64).sum(),
        };
        for counted in [&document["logins"], &document["processed"]] {
            prop_assert_eq!(json!(sum(&counted["by"]["device"])), counted["total"].clone());
            prop_assert_eq!(json!(sum(&counted["hour_of_day"])), counted["total"].clone());
        }
        prop_assert_eq!(document["logins"]["total"].as_u64(), Some(logins.len() as u64));
    }
}
