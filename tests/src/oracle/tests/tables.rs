use super::{NOW_MS, bare, record};
use crate::oracle::partition::{Counts, PartitionTruth, Table};
use crate::oracle::{Dimension, Fold, Settings, SourceRecord};

const FILTERED: Counts = Counts { logins: 1, processed: 0 };
const PROCESSED: Counts = Counts { logins: 1, processed: 1 };

fn counted(values: &[&str], values_max: usize) -> Table {
    let mut table = Table::default();
    for value in values {
        table.count(value, if value.len() > 1 { FILTERED } else { PROCESSED }, values_max);
    }
    table
}

fn shown(table: &Table) -> String {
    let mut values: Vec<String> = table
        .values
        .iter()
        .chain(&table.marks)
        .map(|(value, counts)| format!("{value}{}", counts.logins))
        .collect();
    values.sort();
    values.join(" ")
}

#[test]
fn a_full_table_folds_its_smaller_half_for_a_new_value() {
    assert_eq!(shown(&counted(&["a", "a", "b", "c", "d", "d"], 4)), "a2 b1 c1 d2");
    // Of b and c with one login each, and a and d with two, two go.
    assert_eq!(shown(&counted(&["a", "a", "b", "c", "d", "d", "e"], 4)), "a2 d2 e1 ~other2");
    // Ties: the larger in byte order goes first.
    assert_eq!(shown(&counted(&["a", "b", "c", "d", "e"], 4)), "a1 b1 e1 ~other2");
    // An odd size is halved downwards.
    assert_eq!(shown(&counted(&["a", "b", "c", "d"], 3)), "a1 b1 d1 ~other1");
    assert_eq!(shown(&counted(&["a", "a", "b"], 1)), "b1 ~other2");
    assert_eq!(shown(&counted(&["B", "a", "é", "z", "c"], 4)), "B1 a1 c1 ~other2");
}

#[test]
fn a_known_value_or_a_mark_never_folds_a_table() {
    assert_eq!(shown(&counted(&["a", "b", "a", "~unknown", "~other", "b"], 2)), "a2 b2 ~other1 ~unknown1");
}

#[test]
fn both_counts_are_folded() {
    let table = counted(&["a", "bb", "a", "cc", "d"], 3);
    assert_eq!(table.marks["~other"], Counts { logins: 1, processed: 0 });
    assert_eq!(table.values["bb"], Counts { logins: 1, processed: 0 });
    assert_eq!(table.values["a"], Counts { logins: 2, processed: 2 });
}

fn login(day: i64, value: &str) -> SourceRecord {
    let mut login = record(&format!("{{\"t\":{},\"f\":\"{value}\"}}", day * 86_400 + 3600));
    login.timestamp_ms = -1;
    login
}

fn counting() -> Settings {
    let dimensions = vec![Dimension { field: "f".to_owned(), fold: Fold::Keep }];
    Settings { dimensions, unique: vec!["f".to_owned()], max_values: 2, ..bare() }
}

#[test]
fn a_partition_keeps_its_newest_400_distinct_days() {
    let settings = counting();
    let mut truth = PartitionTruth::default();
    let first = NOW_MS / 86_400_000;
    for day in 0..400 {
        truth.fold(&settings, &login(first + 2 * day, "a"));
    }
    assert_eq!((truth.days.len(), truth.newest_day_let_go), (400, None));
    // Older than the oldest: all-time only.
    truth.fold(&settings, &login(first - 1, "a"));
    assert_eq!((truth.days.len(), truth.newest_day_let_go), (400, Some(first - 1)));
    assert_eq!(truth.days.keys().next(), Some(&first));
    assert_eq!(
        (truth.total.logins, truth.tables[0].values["a"].logins, truth.hours[&1].logins),
        (401, 401, 401)
    );
    // A new day in the middle pushes out the oldest, which does not come back.
    truth.fold(&settings, &login(first + 3, "a"));
    assert_eq!((truth.days.keys().next(), truth.newest_day_let_go), (Some(&(first + 2)), Some(first)));
    truth.fold(&settings, &login(first, "a"));
    assert_eq!((truth.days.len(), truth.newest_day_let_go), (400, Some(first)));
    truth.fold(&settings, &login(first + 2, "a"));
    assert_eq!(truth.days[&(first + 2)].total.logins, 2);
    assert_eq!(truth.total.logins, 404);
}

#[test]
fn a_partition_keeps_distinct_values_of_its_newest_40_days() {
    let settings = counting();
    let mut truth = PartitionTruth::default();
    let first = NOW_MS / 86_400_000;
    for day in 0..41 {
        truth.fold(&settings, &login(first + day, "a"));
        truth.fold(&settings, &login(first + day, &format!("b{day}")));
    }
    truth.fold(&settings, &login(first, "c"));
    assert_eq!((truth.unique.len(), truth.newest_unique_let_go), (40, Some(first)));
    assert_eq!(truth.unique[&(first + 1)][0].len(), 2);
}

#[test]
fn a_days_table_follows_the_same_rule_on_its_own() {
    let settings = counting();
    let mut truth = PartitionTruth::default();
    let first = NOW_MS / 86_400_000;
    for (day, value) in [(0, "a"), (1, "b"), (0, "a"), (1, "c"), (0, "b")] {
        truth.fold(&settings, &login(first + day, value));
    }
    assert_eq!(shown(&truth.tables[0]), "a2 b1 ~other2");
    assert_eq!(shown(&truth.days[&first].tables[0]), "a2 b1");
    assert_eq!(shown(&truth.days[&(first + 1)].tables[0]), "b1 c1");
}

#[test]
fn dead_letters_are_read_and_counted_by_reason() {
    let mut truth = PartitionTruth::default();
    for value in ["", "{}", "{}", "{\"t\":1700000000}"] {
        truth.fold(&counting(), &record(value));
    }
    assert_eq!((truth.read, truth.total.logins), (4, 1));
    assert_eq!(truth.dead_letters, [("not_json", 1), ("missing_field", 2)].into());
}
