//! Owns the output record's key and value: the source's bytes but for what the contract names. Never writes
//! JSON anew.

use std::collections::BTreeMap;
use std::ops::Range;

use super::json::{Kind, Member};
use super::judge::{Login, Value};
use super::settings::{Settings, SourceRecord};
use super::{civil, hmac, json, network};

/// The output record's key.
pub(super) fn key(settings: &Settings, record: &SourceRecord, login: &Login<'_>) -> Option<Vec<u8>> {
    let Some(field) = &settings.output_key else {
        return record.key.clone();
    };
    let value = login.values.get(field)?;
    match delivered(settings, field, value) {
        Delivered::AsItIs => Some(value.text.clone().into_bytes()),
        Delivered::Text(text) => Some(text.into_bytes()),
        Delivered::Null => None,
    }
}

/// The output record's value.
pub(super) fn value(settings: &Settings, login: &Login<'_>) -> Vec<u8> {
    let mut edit = Edit { removed: vec![false; login.text.len()], inserted: BTreeMap::new() };
    let members = &login.document.members;
    for (index, member) in members.iter().enumerate() {
        if is_dropped(settings, member) {
            let before = members.iter().take(index).rev().find(|other| !is_dropped(settings, other));
            let range = match (before, members.get(index + 1)) {
                (Some(kept), _) => kept.value.end..member.value.end,
                (None, Some(next)) => member.name_start..next.name_start,
                (None, None) => member.name_start..member.value.end,
            };
            edit.remove(range);
        } else if let Some(replacement) = replacement(settings, login, member) {
            edit.remove(member.value.clone());
            edit.insert(member.value.start, &replacement);
        }
    }
    let mut needs_comma = members.iter().any(|member| !is_dropped(settings, member));
    let end = members.last().expect("a login has a timestamp").value.end;
    for (name, default) in &settings.defaults {
        let is_sent = members.iter().any(|member| member.name.as_ref() == Some(name));
        if is_sent || settings.drop.contains(name) {
            continue;
        }
        let filled = Value { kind: Kind::Text, text: default.clone() };
        let filled = match delivered(settings, name, &filled) {
            Delivered::AsItIs => json::quote(default),
            Delivered::Text(text) => json::quote(&text),
            Delivered::Null => "null".to_owned(),
        };
        let comma = if needs_comma { "," } else { "" };
        edit.insert(end, &format!("{comma}{}:{filled}", json::quote(name)));
        needs_comma = true;
    }
    edit.apply(login.text.as_bytes())
}

/// What becomes of a value that is not dropped.
enum Delivered {
    AsItIs,
    Text(String),
    Null,
}

fn delivered(settings: &Settings, field: &str, value: &Value) -> Delivered {
    let is_in = |fields: &[String]| fields.iter().any(|other| other == field);
    if is_in(&settings.mask) {
        let address = if value.kind == Kind::Text { network::mask(&value.text) } else { None };
        return address.map_or(Delivered::Null, Delivered::Text);
    }
    if is_in(&settings.hash) {
        return Delivered::Text(hmac::hex(settings.hash_key.as_bytes(), value.text.as_bytes()));
    }
    Delivered::AsItIs
}

/// The JSON text that stands in place of a kept member's value; `None` where its bytes stay.
fn replacement(settings: &Settings, login: &Login<'_>, member: &Member) -> Option<String> {
    let name = member.name.as_ref()?;
    if *name == settings.timestamp_field {
        return Some(format!("\"{}\"", civil::date_and_time(login.time_seconds)));
    }
    // No value: an unconfigured field, or a null without a default. Both stay.
    let value = login.values.get(name)?;
    match delivered(settings, name, value) {
        Delivered::Text(text) => Some(json::quote(&text)),
        Delivered::Null => Some("null".to_owned()),
        Delivered::AsItIs if member.kind == Kind::Null => Some(json::quote(&value.text)),
        Delivered::AsItIs => None,
    }
}

fn is_dropped(settings: &Settings, member: &Member) -> bool {
    member.name.as_ref().is_some_and(|name| settings.drop.contains(name))
}

/// Which bytes of a text go, and what comes before which byte.
struct Edit {
    removed: Vec<bool>,
    inserted: BTreeMap<usize, String>,
}

impl Edit {
    fn remove(&mut self, range: Range<usize>) {
        self.removed.get_mut(range).expect("a member is inside of the text").fill(true);
    }

    fn insert(&mut self, before: usize, text: &str) {
        self.inserted.entry(before).or_default().push_str(text);
    }

    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut edited = Vec::new();
        for (place, (byte, removed)) in bytes.iter().zip(&self.removed).enumerate() {
            if let Some(text) = self.inserted.get(&place) {
                edited.extend_from_slice(text.as_bytes());
            }
            if !removed {
                edited.push(*byte);
            }
        }
        edited
    }
}
