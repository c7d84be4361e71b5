//! How the fields of one scanned document are seen: absent, null and defaulted alike, and escapes undone.
//!
//! It never decides anything: validation, filter, counts and output all look through it.

use super::json::Kind;
use super::plan::Plan;
use super::scan::{Found, Scanned};

/// A configured field of one document, after defaults and before mask, hash and drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// Not there, or null, and without a default.
    Absent,
    /// What a string says.
    Text(&'a str),
    /// A number's JSON text.
    Number(&'a str),
    /// A boolean's JSON text.
    Boolean(&'a str),
    /// An array's or object's JSON text.
    Composite(&'a str),
}

impl<'a> Seen<'a> {
    /// The text that the filter compares; none for what equals nothing.
    #[inline]
    pub(super) fn comparable(self) -> Option<&'a str> {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Boolean(text) => Some(text),
            Self::Absent | Self::Composite(_) => None,
        }
    }

    /// What a string says; none for everything else.
    #[inline]
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// One scanned document under one plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) scanned: &'a Scanned,
    pub(super) document: &'a str,
}

impl<'a> View<'a> {
    /// The field at a place of the plan.
    #[inline]
    pub(super) fn seen(&self, field: usize) -> Seen<'a> {
        let found = self.found(field);
        if found.kind == Some(Kind::Plain) {
            return Seen::Text(found.text.of(self.document));
        }
        self.seen_otherwise(field)
    }

    /// The same for what is no plain string, as by far the most fields are: kept out of the way of those.
    fn seen_otherwise(&self, field: usize) -> Seen<'a> {
        let found = self.found(field);
        match found.kind {
            None | Some(Kind::Null) => match &self.plan.field(field).default {
                Some(default) => Seen::Text(&default.text),
                None => Seen::Absent,
            },
            Some(Kind::Plain) => Seen::Text(found.text.of(self.document)),
            Some(Kind::Escaped) => Seen::Text(found.text.of(&self.scanned.unescaped)),
            Some(Kind::Number) => Seen::Number(found.text.of(self.document)),
            Some(Kind::Boolean) => Seen::Boolean(found.text.of(self.document)),
            Some(Kind::Composite) => Seen::Composite(found.text.of(self.document)),
        }
    }

    /// Where the field at a place of the plan stands.
    #[inline]
    pub(super) fn found(&self, field: usize) -> &'a Found {
        self.scanned.found.get(field).expect("the scan makes room for every field of the plan")
    }
}
