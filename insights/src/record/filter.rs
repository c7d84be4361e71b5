//! The filter: what its requirements mean, and which of them cannot be meant.
//!
//! Owns the comparison of one value with one requirement. It never knows how a value was found in its record.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::network::{Network, Problem};
use super::number::Number;
use super::value::Ends;
use super::version::Version;
use super::view::Seen;
use crate::spec::{Fold, Operator, Requirement};

/// Why a requirement cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `Exists` or `DoesNotExist` with values.
    #[error("the filter's {operator:?} on {field} takes no values: leave them out")]
    ValuesGiven {
        /// The requirement's field.
        field: String,
        /// Its operator.
        operator: Operator,
    },
    /// A list of values that is empty.
    #[error("the filter's {operator:?} on {field} has no values: name at least one")]
    NoValues {
        /// The requirement's field.
        field: String,
        /// Its operator.
        operator: Operator,
    },
    /// An order with more or fewer values than one.
    #[error("the filter's {operator:?} on {field} takes one value, not {count}")]
    NotOneValue {
        /// The requirement's field.
        field: String,
        /// Its operator.
        operator: Operator,
        /// How many values there are.
        count: usize,
    },
    /// An order on the version field whose value is no version.
    #[error("the filter's {value:?} on {field} is not a version such as 3.0 or 3.1.0-beta.2")]
    NotAVersion {
        /// The requirement's field.
        field: String,
        /// The value.
        value: String,
    },
    /// An order on another field whose value is no number.
    #[error("the filter's {value:?} on {field} is not a number as JSON writes it")]
    NotANumber {
        /// The requirement's field.
        field: String,
        /// The value.
        value: String,
    },
    /// A network that is none.
    #[error("the filter's {value:?} on {field} is not a network such as 10.0.0.0/8 or 2001:db8::/32")]
    NotANetwork {
        /// The requirement's field.
        field: String,
        /// The value.
        value: String,
    },
    /// A network with bits behind its prefix.
    #[error("the filter's {value:?} on {field} has host bits: its network address is {network}")]
    HostBits {
        /// The requirement's field.
        field: String,
        /// The value.
        value: String,
        /// The address without them.
        network: IpAddr,
    },
}

/// Whether a requirement can be compiled. `is_version_field`: its field is the one that `source.fields.version` names.
pub fn check(requirement: &Requirement, is_version_field: bool) -> Result<(), Error> {
    Test::new(requirement, is_version_field).map(drop)
}

/// A requirement, ready to be held against values.
#[derive(Clone, Debug)]
pub(super) enum Test {
    In(Vec<Word>),
    NotIn(Vec<Word>),
    Exists,
    DoesNotExist,
    /// The order to a number must be one that the function accepts.
    Number(fn(Ordering) -> bool, Number<'static>),
    /// The order to a version must be one that the function accepts.
    Version(fn(Ordering) -> bool, Version<'static>),
    InNetwork(Vec<Network>),
    NotInNetwork(Vec<Network>),
}

impl Test {
    /// Compiles a requirement.
    pub(super) fn new(requirement: &Requirement, is_version_field: bool) -> Result<Self, Error> {
        let test = match requirement.operator {
            Operator::In => Self::In(words(requirement)?),
            Operator::NotIn => Self::NotIn(words(requirement)?),
            Operator::Exists => without_values(requirement, Self::Exists)?,
            Operator::DoesNotExist => without_values(requirement, Self::DoesNotExist)?,
            Operator::Gt => order(requirement, is_version_field, Ordering::is_gt)?,
            Operator::Ge => order(requirement, is_version_field, Ordering::is_ge)?,
            Operator::Lt => order(requirement, is_version_field, Ordering::is_lt)?,
            Operator::Le => order(requirement, is_version_field, Ordering::is_le)?,
            Operator::InNetwork => Self::InNetwork(networks(requirement)?),
            Operator::NotInNetwork => Self::NotInNetwork(networks(requirement)?),
        };
        Ok(test)
    }

    /// Whether a value meets the requirement.
    #[inline]
    pub(super) fn passes(&self, seen: Seen<'_>) -> bool {
        match self {
            Self::In(values) => is_one_of(seen, values),
            Self::NotIn(values) => !is_one_of(seen, values),
            Self::Exists => !matches!(seen, Seen::Absent),
            Self::DoesNotExist => matches!(seen, Seen::Absent),
            Self::Number(accepts, limit) => {
                seen.comparable().and_then(Number::parse).is_some_and(|number| accepts(number.compare(limit)))
            }
            Self::Version(accepts, limit) => seen
                .comparable()
                .and_then(Version::parse)
                .is_some_and(|version| accepts(version.compare(limit))),
            Self::InNetwork(networks) => is_in_one_of(seen, networks),
            Self::NotInNetwork(networks) => !is_in_one_of(seen, networks),
        }
    }
}

/// A text that others are compared with, whatever the case of their ASCII letters.
#[derive(Clone, Debug)]
pub(super) struct Word {
    text: String,
    /// In lower case.
    ends: Ends,
}

#[inline]
fn is_one_of(seen: Seen<'_>, words: &[Word]) -> bool {
    let Some(text) = seen.comparable() else { return false };
    let ends = Ends::of(text).folded(Fold::Lower);
    words.iter().any(|word| {
        word.ends == ends
            && word.text.len() == text.len()
            && (text.len() <= Ends::BYTES || word.text.eq_ignore_ascii_case(text))
    })
}

fn words(requirement: &Requirement) -> Result<Vec<Word>, Error> {
    let word = |text: &String| Word { text: text.clone(), ends: Ends::of(text).folded(Fold::Lower) };
    Ok(values(requirement)?.iter().map(word).collect())
}

fn is_in_one_of(seen: Seen<'_>, networks: &[Network]) -> bool {
    let Seen::Text(text) = seen else { return false };
    text.parse().is_ok_and(|address| networks.iter().any(|network| network.contains(address)))
}

fn values(requirement: &Requirement) -> Result<&[String], Error> {
    if requirement.values.is_empty() {
        return Err(Error::NoValues { field: requirement.field.clone(), operator: requirement.operator });
    }
    Ok(&requirement.values)
}

fn without_values(requirement: &Requirement, test: Test) -> Result<Test, Error> {
    if requirement.values.is_empty() {
        return Ok(test);
    }
    Err(Error::ValuesGiven { field: requirement.field.clone(), operator: requirement.operator })
}

fn order(
    requirement: &Requirement,
    is_version_field: bool,
    accepts: fn(Ordering) -> bool,
) -> Result<Test, Error> {
    let Requirement { field, operator, values } = requirement;
    let [value] = values.as_slice() else {
        return Err(Error::NotOneValue { field: field.clone(), operator: *operator, count: values.len() });
    };
    if is_version_field {
        return match Version::parse(value) {
            Some(version) => Ok(Test::Version(accepts, version.into_owned())),
            None => Err(Error::NotAVersion { field: field.clone(), value: value.clone() }),
        };
    }
    match Number::parse(value) {
        Some(number) => Ok(Test::Number(accepts, number.into_owned())),
        None => Err(Error::NotANumber { field: field.clone(), value: value.clone() }),
    }
}

fn networks(requirement: &Requirement) -> Result<Vec<Network>, Error> {
    let mut networks = Vec::new();
    for value in values(requirement)? {
        let (field, value) = (requirement.field.clone(), value.clone());
        networks.push(match Network::parse(&value) {
            Ok(network) => network,
            Err(Problem::Malformed) => return Err(Error::NotANetwork { field, value }),
            Err(Problem::HostBits(network)) => {
                return Err(Error::HostBits { field, value, network });
            }
        });
    }
    Ok(networks)
}
