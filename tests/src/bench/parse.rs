//! Owns the work of a plain parsing loop, as one would write it with `serde_json` and `chrono`: no validation beyond the
//! types, no counts.

use std::borrow::Cow;
use std::cmp::Ordering;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Login<'a> {
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    app_version: Cow<'a, str>,
    #[serde(borrow)]
    ip: Cow<'a, str>,
    #[serde(borrow)]
    locale: Cow<'a, str>,
    #[serde(borrow)]
    device_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    device_type: Cow<'a, str>,
}

/// The output of a login of Android above version 3.0, written to `output`; false for any other record.
pub(super) fn transform(value: &[u8], output: &mut Vec<u8>) -> bool {
    output.clear();
    let Ok(mut login) = serde_json::from_slice::<Login<'_>>(value) else { return false };
    let Ok(Some(time)) = login.timestamp.parse().map(|seconds| DateTime::from_timestamp(seconds, 0)) else {
        return false;
    };
    login.timestamp = Cow::Owned(time.format("%Y-%m-%d %H:%M:%S").to_string());
    let passes = login.device_type.eq_ignore_ascii_case("android")
        && compare(&login.app_version, "3.0") == Some(Ordering::Greater);
    passes && serde_json::to_writer(output, &login).is_ok()
}

/// Compares versions part by part; a pre-release is taken for its release.
fn compare(left: &str, right: &str) -> Option<Ordering> {
    let mut left = left.split('-').next()?.split('.');
    let mut right = right.split('.');
    loop {
        let (l, r) = match (left.next(), right.next()) {
            (None, None) => return Some(Ordering::Equal),
            (l, r) => (l.unwrap_or("0"), r.unwrap_or("0")),
        };
        match l.parse::<u64>().ok()?.cmp(&r.parse().ok()?) {
            Ordering::Equal => {}
            other => return Some(other),
        }
    }
}
