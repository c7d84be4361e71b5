//! The one pass over a document: checks all of it against JSON's grammar and notes where configured fields stand.
//!
//! It never looks into other fields, and never judges what it finds beyond the grammar and repeated names.

use super::json::{self, Kind, byte, skip_space};
use super::plan::Plan;
use super::reason::Reason;
use super::shape::{Head, Shape};
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
    shape: Shape,
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
    /// What a string says, within the document or, when it was escaped, within [`Scanned::unescaped`]; of other values the
    /// same as `value`.
    pub(super) text: Span,
}

impl Found {
    /// Whether it is a string that is good for every part that a field can play.
    #[inline]
    pub(super) fn is_good_text(&self) -> bool {
        self.kind == Some(Kind::Plain) && (1..=FIELD_BYTES_MAX).contains(&(self.text.end - self.text.start))
    }
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
        text.get(self.start..self.end).expect("spans are made of the text that they are used on")
    }

    /// The same without the first and the last byte.
    #[inline]
    fn inside_quotes(self) -> Self {
        Self { start: self.start + 1, end: self.end - 1 }
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
            return Err(if is_whole { Reason::NotAnObject } else { Reason::NotJson });
        }
        let at = self.members(plan, document, start + 1).ok_or(Reason::NotJson)?;
        if skip_space(bytes, at + 1) == bytes.len() { Ok(()) } else { Err(Reason::NotJson) }
    }

    fn reset(&mut self, plan: &Plan) {
        self.shape.belong_to(plan.id);
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

    /// Reads the members that begin behind the opening brace; the place of the closing one.
    fn members(&mut self, plan: &Plan, document: &str, behind_brace: usize) -> Option<usize> {
        let bytes = document.as_bytes();
        let mut at = skip_space(bytes, behind_brace);
        if byte(bytes, at) == b'}' {
            return Some(at);
        }
        let mut number = 0;
        loop {
            let head = match self.shape.recall(bytes, at, number) {
                Some(head) => head,
                None => self.head(plan, document, at, number)?,
            };
            // Most values are strings: they are read here, all others by a call.
            let (kind, end) = match byte(bytes, head.value_start) {
                b'"' => json::string(bytes, head.value_start)?,
                _ => json::value(bytes, head.value_start, &mut self.open)?,
            };
            if let Some(field) = head.field {
                self.note(field, kind, Span { start: head.value_start, end }, document)?;
            }
            if plan.drops_any {
                let is_dropped =
                    head.field.is_some_and(|field| matches!(plan.field(field).treatment, Treatment::Drop));
                self.keep_or_drop(is_dropped, head.name_start, end);
            }
            self.members_end = end;
            at = skip_space(bytes, end);
            match byte(bytes, at) {
                b',' => number += 1,
                b'}' => return Some(at),
                _ => return None,
            }
        }
    }

    /// Reads what stands before a value: the comma, which only the first member lacks, the name and the colon.
    fn head(&mut self, plan: &Plan, document: &str, at: usize, number: usize) -> Option<Head> {
        let bytes = document.as_bytes();
        let name_start = if number == 0 { at } else { skip_space(bytes, at + 1) };
        if byte(bytes, name_start) != b'"' {
            return None;
        }
        let (name_kind, name_end) = json::string(bytes, name_start)?;
        let name = Span { start: name_start, end: name_end }.inside_quotes();
        let field = self.field(plan, name.of(document), name_kind);
        let colon = skip_space(bytes, name_end);
        if byte(bytes, colon) != b':' {
            return None;
        }
        let head = Head { field, name_start, value_start: skip_space(bytes, colon + 1) };
        self.shape.learn(bytes, at, number, head);
        Some(head)
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
        let text = match kind {
            Kind::Plain => value.inside_quotes(),
            Kind::Escaped => {
                let start = self.unescaped.len();
                text::unescape(value.inside_quotes().of(document), &mut self.unescaped).ok()?;
                Span { start, end: self.unescaped.len() }
            }
            _ => value,
        };
        let found = self.found.get_mut(field).expect("the scan makes room for every field of the plan");
        if found.kind.is_some() {
            self.duplicate = Some(self.duplicate.map_or(field, |first| first.min(field)));
        }
        *found = Found { kind: Some(kind), value, text };
        Some(())
    }

    /// Takes a member into account that stands from `start`, its name, to `end`: a dropped one goes with the gap before it when
    /// a kept one is there to stand alone, otherwise with the gap behind it.
    fn keep_or_drop(&mut self, is_dropped: bool, start: usize, end: usize) {
        match (is_dropped, self.keeps_any) {
            (true, true) => match self.removed.last_mut() {
                Some(last) if last.end == self.members_end => last.end = end,
                _ => self.removed.push(Span { start: self.members_end, end }),
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

/// Longest text of a field that must be a string, in bytes of UTF-8.
pub(super) const FIELD_BYTES_MAX: usize = 256;
