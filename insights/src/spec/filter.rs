//! The filter's requirements: their keys, their default, and how many values of which form an operator takes.
//!
//! Owns what can be said of a requirement without a record. It never evaluates one: `record` does that.

use super::model::{Operator, Requirement};
use super::section::{Section, Value};
use crate::record;

/// Decodes `filter`; `version` is the field whose values are versions.
pub(super) fn decode(root: &Section<'_>, version: &str) -> Vec<Requirement> {
    root.read("filter", |value| Some(requirements(value, version))).unwrap_or_else(default_requirements)
}

fn requirements(value: Value<'_>, version: &str) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    for item in value.items().unwrap_or_default() {
        let Some(section) = item.section(&["field", "operator", "values"]) else {
            continue;
        };
        let field = section.require("field", Value::field_name);
        let operator = section.require("operator", |value| value.choice(&OPERATORS));
        let values = section.read("values", Value::texts);
        let is_whole = values.is_some() || !section.has("values");
        let (Some(field), Some(operator), true) = (field, operator, is_whole) else {
            continue;
        };
        let requirement = Requirement { field, operator, values: values.unwrap_or_default() };
        if let Err(what) = check_requirement(&requirement, requirement.field == version) {
            section.mistake("values", what);
        }
        requirements.push(requirement);
    }
    requirements
}

/// What is wrong with a requirement's values.
fn check_requirement(requirement: &Requirement, is_version: bool) -> Result<(), String> {
    let Requirement { operator, values, .. } = requirement;
    let name = OPERATORS.iter().find(|(_, known)| known == operator).map_or("", |(name, _)| *name);
    match (operator, values.len()) {
        (Operator::Exists | Operator::DoesNotExist, 1..) => {
            Err(format!("{name} takes no values, remove them"))
        }
        (Operator::In | Operator::NotIn | Operator::InNetwork | Operator::NotInNetwork, 0) => {
            Err(format!("{name} needs at least one value"))
        }
        (Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le, count) if count != 1 => {
            Err(format!("{name} takes one value, not {count}"))
        }
        _ => record::filter::check(requirement, is_version).map_err(|error| error.to_string()),
    }
}

fn default_requirements() -> Vec<Requirement> {
    let requirement = |field: &str, operator, value: &str| Requirement {
        field: field.to_owned(),
        operator,
        values: vec![value.to_owned()],
    };
    vec![requirement("device_type", Operator::In, "android"), requirement("app_version", Operator::Gt, "3.0")]
}

pub(super) const OPERATORS: [(&str, Operator); 10] = [
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
