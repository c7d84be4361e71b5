//! The one pass over a document: checks all of it against JSON's grammar and notes where configured fields stand.
//!
//! It never looks into other fields, and never judges what it finds beyond the grammar and repeated names.

use super::json::{self, Kind, byte, skip_space};
use super::plan::Plan;
use super::reason::Reason;
use super::text;
use super::treatment::Treatment;

/// What one pass found. Its memory serves all records, one after the other.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// Where each field of the plan stands.
    pub(super) found: Vec<Found>,
    /// The texts of configured strings with escapes.
    pub(super) unescaped: String,
    /// The first field, in the plan's order, that stands twice.
    pub(super) duplicate: Option<usize>,
    /// What dropped members leave out, in the document's order.
    pub(super) removed: Vec<Span>,
    /// Whether a member is not dropped.
    pub(super) keeps_any: bool,
    /// The end of the last member's value, dropped or not.
    pub(super) members_end: usize,
    name: String,
    open: Vec<bool>,
}

/// Where a field stands in its document.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// The kind of its value; none when the field is not there.
    pub(super) kind: Option<Kind>,
    /// Its value, a string's quotes included.
    pub(super) value: Span,
    /// The text of an escaped string, within [`Scanned::unescaped`].
    pub(super) unescaped: Span,
}

/// A piece of a text, by its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// The piece of this text.
    #[inline]
    pub(super) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end)
            .expect("spans are made of the text that they are used on")
    }

    /// The same without the first and the last byte.
    #[inline]
    pub(super) fn inside_quotes(self) -> Self {
        Self {
            start: self.start + 1,
            end: self.end - 1,
        }
    }
}

impl Scanned {
    /// Reads a document. Errors: [`Reason::NotJson`], [`Reason::NotAnObject`]; a repeated field is only noted.
    pub(super) fn read(&mut self, plan: &Plan, document: &str) -> Result<(), Reason> {
        self.reset(plan);
        let bytes = document.as_bytes();
        let start = skip_space(bytes, 0);
        if byte(bytes, start) != b'{' {
            let (_, end) = json::value(bytes, start, &mut self.open).ok_or(Reason::NotJson)?;
            let is_whole = skip_space(bytes, end) == bytes.len();
            return Err(if is_whole {
                Reason::NotAnObject
            } else {
                Reason::NotJson
            });
        }
        let mut at = skip_space(bytes, start + 1);
        if byte(bytes, at) != b'}' {
            at = self.members(plan, document, at).ok_or(Reason::NotJson)?;
        }
        if skip_space(bytes, at + 1) == bytes.len() {
            Ok(())
        } else {
            Err(Reason::NotJson)
        }
    }

    fn reset(&mut self, plan: &Plan) {
        self.found.resize(plan.fields.len(), Found::default());
        for found in &mut self.found {
            found.kind = None;
        }
        self.unescaped.clear();
        self.duplicate = None;
        self.removed.clear();
        self.keeps_any = !plan.drops_any;
        self.members_end = 0;
    }

    /// Reads the members from the first one's name on; the place of the closing brace.
    fn members(&mut self, plan: &Plan, document: &str, first: usize) -> Option<usize> {
        let bytes = document.as_bytes();
        let mut at = first;
        loop {
            let name_start = at;
            if byte(bytes, at) != b'"' {
                return None;
            }
            let (name_kind, name_end) = json::string(bytes, at)?;
            let name = Span {
                start: name_start,
                end: name_end,
            }
            .inside_quotes();
            let field = self.field(plan, name.of(document), name_kind);
            at = skip_space(bytes, name_end);
            if byte(bytes, at) != b':' {
                return None;
            }
            let start = skip_space(bytes, at + 1);
            let (kind, end) = json::value(bytes, start, &mut self.open)?;
            let value = Span { start, end };
            if let Some(field) = field {
                self.note(field, kind, value, document)?;
            }
            if plan.drops_any {
                let is_dropped =
                    field.is_some_and(|field| matches!(plan.field(field).treatment, Treatment::Drop));
                self.keep_or_drop(is_dropped, name_start, end);
            }
            self.members_end = end;
            at = skip_space(bytes, end);
            match byte(bytes, at) {
                b',' => at = skip_space(bytes, at + 1),
                b'}' => return Some(at),
                _ => return None,
            }
        }
    }

    /// The configured field that a name means. One with a lone surrogate means none.
    #[inline]
    fn field(&mut self, plan: &Plan, raw: &str, kind: Kind) -> Option<usize> {
        if kind == Kind::Plain {
            return plan.find(raw.as_bytes());
        }
        self.name.clear();
        text::unescape(raw, &mut self.name).ok()?;
        plan.find(self.name.as_bytes())
    }

    /// Notes where a field stands; none when its text holds a lone surrogate.
    #[inline]
    fn note(&mut self, field: usize, kind: Kind, value: Span, document: &str) -> Option<()> {
        let start = self.unescaped.len();
        if kind == Kind::Escaped {
            text::unescape(value.inside_quotes().of(document), &mut self.unescaped).ok()?;
        }
        let unescaped = Span {
            start,
            end: self.unescaped.len(),
        };
        let found = self
            .found
            .get_mut(field)
            .expect("the scan makes room for every field of the plan");
        if found.kind.is_some() {
            self.duplicate = Some(self.duplicate.map_or(field, |first| first.min(field)));
        }
        *found = Found {
            kind: Some(kind),
            value,
            unescaped,
        };
        Some(())
    }

    /// Takes a member into account that stands from `start`, its name, to `end`: a dropped one goes with the gap before it when
    /// a kept one is there to stand alone, otherwise with the gap behind it.
    fn keep_or_drop(&mut self, is_dropped: bool, start: usize, end: usize) {
        match (is_dropped, self.keeps_any) {
            (true, true) => match self.removed.last_mut() {
                Some(last) if last.end == self.members_end => last.end = end,
                _ => self.removed.push(Span {
                    start: self.members_end,
                    end,
                }),
            },
            (true, false) => match self.removed.last_mut() {
                Some(leading) => leading.end = end,
                None => self.removed.push(Span { start, end }),
            },
            (false, true) => {}
            (false, false) => {
                if let Some(leading) = self.removed.last_mut() {
                    leading.end = start;
                }
                self.keeps_any = true;
            }
        }
    }
}
