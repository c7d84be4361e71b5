//! Owns the filter: which logins are processed. Never changes a value.

use std::cmp::Ordering;

use super::decimal::Decimal;
use super::json::Kind;
use super::judge::{Value, Values};
use super::network;
use super::settings::{Condition, Operator, Settings};
use super::version::Version;

/// Whether all conditions hold.
pub(super) fn passes(settings: &Settings, values: &Values) -> bool {
    settings.filter.iter().all(|condition| holds(settings, condition, values.get(&condition.field)))
}

fn holds(settings: &Settings, condition: &Condition, value: Option<&Value>) -> bool {
    let Some(value) = value else {
        return matches!(
            condition.operator,
            Operator::NotIn | Operator::NotInNetwork | Operator::DoesNotExist
        );
    };
    match condition.operator {
        Operator::Exists => true,
        Operator::DoesNotExist => false,
        Operator::In => is_one_of(value, &condition.values),
        Operator::NotIn => !is_one_of(value, &condition.values),
        Operator::InNetwork => is_in_network(value, &condition.values),
        Operator::NotInNetwork => !is_in_network(value, &condition.values),
        Operator::Gt => order(settings, condition, value).is_some_and(Ordering::is_gt),
        Operator::Ge => order(settings, condition, value).is_some_and(Ordering::is_ge),
        Operator::Lt => order(settings, condition, value).is_some_and(Ordering::is_lt),
        Operator::Le => order(settings, condition, value).is_some_and(Ordering::is_le),
    }
}

fn is_one_of(value: &Value, values: &[String]) -> bool {
    is_scalar(value) && values.iter().any(|other| other.eq_ignore_ascii_case(&value.text))
}

fn is_in_network(value: &Value, cidrs: &[String]) -> bool {
    value.kind == Kind::Text && cidrs.iter().any(|cidr| network::is_in(&value.text, cidr))
}

/// How the value compares with the condition's; `None` when one of them is not comparable.
fn order(settings: &Settings, condition: &Condition, value: &Value) -> Option<Ordering> {
    let other = condition.values.first()?;
    if !is_scalar(value) {
        return None;
    }
    if condition.field == settings.version_field {
        Some(Version::parse(&value.text)?.compare(&Version::parse(other)?))
    } else {
        Some(Decimal::parse(&value.text)?.compare(&Decimal::parse(other)?))
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value.kind, Kind::Text | Kind::Number | Kind::Boolean)
}
