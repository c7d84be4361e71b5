//! Owns the comparison of what is published with what must be, as sentences that a person can act on. Never
//! looks at what the log does not decide: times of publication, workers, progress of a rebuild.

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::{Expected, NamedCounts};

/// The differences between the published document and the expected one; none when it is right.
pub fn compare_document(expected: &Expected, actual: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    for path in ["/schema", "/pipeline", "/positions", "/gaps", "/records/read", "/records/logins"] {
        compare_value(&mut differences, path, &expected.document, actual);
    }
    for path in ["/records/processed", "/records/filtered"] {
        compare_value(&mut differences, path, &expected.document, actual);
    }
    compare_counts(&mut differences, "/records/dead_letters", &expected.document, actual);
    let refused =
        |document: &Value| document.pointer("/records/output_refused").and_then(Value::as_u64).unwrap_or(0);
    if refused(actual) != refused(&expected.document) {
        let (expected, actual) = (refused(&expected.document), refused(actual));
        differences.push(format!("/records/output_refused: expected {expected}, is {actual}"));
    }
    for side in ["/logins", "/processed"] {
        for member in ["total", "hour_of_day", "peak_hour"] {
            compare_value(&mut differences, &format!("{side}/{member}"), &expected.document, actual);
        }
        compare_tables(&mut differences, &format!("{side}/by"), expected, actual);
    }
    compare_value(&mut differences, "/most_popular", &expected.document, actual);
    compare_unique(&mut differences, expected, actual);
    compare_days_from(&mut differences, expected, actual);
    check_sums(&mut differences, actual);
    differences
}

/// The differences between the public keys (whole names; fields or members with their counts) and the expected
/// ones. The document, the workers and other pipelines' keys may be among them.
pub fn compare_keys(expected: &Expected, actual: &BTreeMap<String, NamedCounts>) -> Vec<String> {
    let mut differences = Vec::new();
    let none = NamedCounts::new();
    let name = expected.document.get("pipeline").and_then(Value::as_str).unwrap_or_default();
    let prefix = format!("rollcall:{{{name}}}:");
    let is_other = |key: &String| {
        let own = key.strip_prefix(&prefix);
        own.is_none_or(|own| own == "insights" || own == "workers")
    };
    for (key, counts) in &expected.keys {
        let optional = expected.optional_keys.get(key).unwrap_or(&none);
        compare_named(&mut differences, key, counts, optional, actual.get(key).unwrap_or(&none));
        let needs_all = key.ends_with("hours");
        if needs_all && actual.get(key).is_none_or(|fields| fields.len() != 24) {
            differences.push(format!("{key}: must have all 24 hours"));
        }
    }
    for (key, counts) in actual.iter().filter(|(key, _)| !is_other(key) && !expected.keys.contains_key(*key))
    {
        match expected.optional_keys.get(key) {
            Some(optional) => compare_named(&mut differences, key, &none, optional, counts),
            None => differences.push(format!("{key}: is there, but must not be")),
        }
    }
    differences
}

fn compare_value(differences: &mut Vec<String>, path: &str, expected: &Value, actual: &Value) {
    let (expected, actual) = (expected.pointer(path), actual.pointer(path));
    if expected != actual {
        differences.push(format!("{path}: expected {}, is {}", show(expected), show(actual)));
    }
}

/// Compares a JSON object of counts, in which a count of zero may be left out.
fn compare_counts(differences: &mut Vec<String>, path: &str, expected: &Value, actual: &Value) {
    let Some(is) = actual.pointer(path) else {
        differences.push(format!("{path}: is missing"));
        return;
    };
    let counts = |value: &Value| -> Option<NamedCounts> { serde_json::from_value(value.clone()).ok() };
    let Some(is) = counts(is) else {
        differences.push(format!("{path}: is no object of counts: {is}"));
        return;
    };
    let expected = expected.pointer(path).and_then(counts).unwrap_or_default();
    compare_named(differences, path, &expected, &NamedCounts::new(), &is);
}

/// Compares counts, in which a zero may be left out; optional ones are right or not there.
fn compare_named(
    differences: &mut Vec<String>,
    place: &str,
    expected: &NamedCounts,
    optional: &NamedCounts,
    actual: &NamedCounts,
) {
    let mut here = Vec::new();
    for (name, count) in expected {
        let is = actual.get(name).copied().unwrap_or(0);
        if is != *count {
            here.push(format!("{place}: {name:?}: expected {count}, is {is}"));
        }
    }
    for (name, is) in actual.iter().filter(|(name, count)| **count > 0 && !expected.contains_key(*name)) {
        if optional.get(name) != Some(is) {
            here.push(format!("{place}: {name:?}: expected nothing, is {is}"));
        }
    }
    let more = here.len().saturating_sub(SHOWN_MAX);
    differences.extend(here.into_iter().take(SHOWN_MAX));
    if more > 0 {
        differences.push(format!("{place}: and {more} more differences"));
    }
}

fn compare_tables(differences: &mut Vec<String>, path: &str, expected: &Expected, actual: &Value) {
    let names = |document: &Value| -> Vec<String> {
        let by = document.pointer(path).and_then(Value::as_object);
        by.map(|by| by.keys().cloned().collect()).unwrap_or_default()
    };
    let dimensions = names(&expected.document);
    if names(actual) != dimensions {
        differences.push(format!("{path}: expected dimensions {dimensions:?}, are {:?}", names(actual)));
        return;
    }
    for dimension in dimensions {
        let path = format!("{path}/{}", dimension.replace('~', "~0").replace('/', "~1"));
        compare_counts(differences, &path, &expected.document, actual);
        let table = actual.pointer(&path).and_then(Value::as_object);
        let values = table.map_or(0, |table| table.keys().filter(|value| !value.starts_with('~')).count());
        if values > expected.max_values {
            differences.push(format!("{path}: has {values} values, more than {}", expected.max_values));
        }
    }
}

/// The exact number must be in the interval, widened to three times its width: an interval may miss now and
/// then, but not by much, and it may not be so wide that it says nothing.
fn compare_unique(differences: &mut Vec<String>, expected: &Expected, actual: &Value) {
    for (field, days) in &expected.unique {
        let path = format!("/unique/{field}");
        let Some(estimate) = actual.get("unique").and_then(|unique| unique.get(field)) else {
            differences.push(format!("{path}: is missing"));
            continue;
        };
        if estimate.is_null() {
            continue;
        }
        let number = |name: &str| estimate.get(name).and_then(Value::as_u64);
        let (Some(day), Some(value), Some(low), Some(high)) =
            (estimate.get("day").and_then(Value::as_str), number("value"), number("low"), number("high"))
        else {
            differences.push(format!("{path}: needs day, value, low and high, is {estimate}"));
            continue;
        };
        if !(low <= value && value <= high) || high - low > value / 5 + 10 {
            differences.push(format!("{path}: no sensible interval: {low} to {high} around {value}"));
            continue;
        }
        if expected.unique_let_go.as_deref().is_some_and(|let_go| day <= let_go) {
            continue;
        }
        let exact = days.get(day).copied().unwrap_or(0);
        let slack = high - low + 2;
        if exact < low.saturating_sub(slack) || exact > high + slack {
            differences.push(format!("{path}: exactly {exact} on {day}, is {value} ({low} to {high})"));
        }
    }
}

fn compare_days_from(differences: &mut Vec<String>, expected: &Expected, actual: &Value) {
    let is = actual.get("days_from").and_then(Value::as_str);
    let first_day = || {
        let mut days = expected.keys.iter().filter(|(key, _)| key.ends_with(":days"));
        days.next().and_then(|(_, days)| days.keys().next().map(String::as_str))
    };
    let is_right = match (&expected.days_from, is) {
        (None, None) => true,
        (None, Some(is)) => first_day().is_none_or(|first| is <= first),
        (Some((earliest, latest)), Some(is)) => earliest.as_str() <= is && is <= latest.as_str(),
        (Some(_), None) => false,
    };
    if !is_right {
        differences.push(format!("/days_from: expected {:?}, is {is:?}", expected.days_from));
    }
}

/// The sums that hold in every document, whatever the log.
fn check_sums(differences: &mut Vec<String>, actual: &Value) {
    let number = |path: &str| actual.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let mut check = |what: &str, whole: u64, sum: u64| {
        if whole != sum {
            differences.push(format!("{what}: {whole} is not the sum of its parts, {sum}"));
        }
    };
    let dead_letters = number("/records/dead_letters/total");
    check("/records/read", number("/records/read"), number("/records/logins") + dead_letters);
    let parts = number("/records/processed") + number("/records/filtered");
    check("/records/logins", number("/records/logins"), parts);
    check("/logins/total", number("/logins/total"), number("/records/logins"));
    check("/processed/total", number("/processed/total"), number("/records/processed"));
    let reasons = actual.pointer("/records/dead_letters").and_then(Value::as_object);
    let by_reason = reasons.into_iter().flatten().filter(|(name, _)| *name != "total");
    check(
        "/records/dead_letters/total",
        dead_letters,
        by_reason.filter_map(|(_, count)| count.as_u64()).sum(),
    );
    for side in ["/logins", "/processed"] {
        let total = number(&format!("{side}/total"));
        let hours = actual.pointer(&format!("{side}/hour_of_day")).and_then(Value::as_array);
        check(
            &format!("{side}/hour_of_day"),
            total,
            hours.into_iter().flatten().filter_map(Value::as_u64).sum(),
        );
        let by = actual.pointer(&format!("{side}/by")).and_then(Value::as_object);
        for (dimension, table) in by.into_iter().flatten() {
            let counts = table.as_object().into_iter().flatten();
            check(
                &format!("{side}/by/{dimension}"),
                total,
                counts.filter_map(|(_, count)| count.as_u64()).sum(),
            );
        }
    }
}

fn show(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    if text.chars().count() <= SHOWN_CHARACTERS_MAX {
        return text;
    }
    let cut: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{cut}…")
}

const SHOWN_MAX: usize = 20;
const SHOWN_CHARACTERS_MAX: usize = 400;
