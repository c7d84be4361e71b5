//! Owns what must be true of any requirement: the filter and the oracle say the same of any value.
//! It never fuzzes whole records.
//!
//! An input has three lines: an operator, its values with tabs between them, and the field's value in JSON.

use anyhow::{Context, Result};
use insights::record::Scratch;

use super::decoder::{NOW_MS, Setup};
use crate::oracle::{Condition, Operator, Settings};

/// The requirement on a field of versions and on another one. What no requirement can be is no finding.
pub(super) fn check(input: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let mut lines = text.splitn(3, '\n');
    let (word, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let json = lines.next().unwrap_or_default().trim_end();
    let Some((_, operator)) = OPERATORS.iter().find(|(name, _)| *name == word.trim()) else { return Ok(()) };
    let values: Vec<String> =
        if values.is_empty() { Vec::new() } else { values.split('\t').map(str::to_owned).collect() };
    let mut scratch = Scratch::default();
    for field in ["v", "f"] {
        let condition = Condition { field: field.to_owned(), operator: *operator, values: values.clone() };
        let settings = Settings {
            timestamp_field: "t".to_owned(),
            version_field: "v".to_owned(),
            user_field: "u".to_owned(),
            required: Some(Vec::new()),
            filter: vec![condition],
            dimensions: Vec::new(),
            unique: Vec::new(),
            ..Settings::default()
        };
        let Some(setup) = Setup::new(settings) else { continue };
        let absent = "{\"t\":1700000000}".to_owned();
        let present = format!("{{\"{field}\":{json},\"t\":1700000000}}");
        for record in [absent, present] {
            setup.compare(&mut scratch, record.as_bytes(), NOW_MS).with_context(|| format!("of {record}"))?;
        }
    }
    Ok(())
}

const OPERATORS: [(&str, Operator); 10] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
    ("Gt", Operator::Gt),
    ("Ge", Operator::Ge),
    ("Lt", Operator::Lt),
    ("Le", Operator::Le),
    ("InNetwork", Operator::InNetwork),
    ("NotInNetwork", Operator::NotInNetwork),
];
