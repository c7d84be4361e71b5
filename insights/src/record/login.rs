//! A valid login: what is counted of it, and the bytes of its output record.
//!
//! Owns the splicing: every byte of the source goes through as it came, but for what the specification changes. It never
//! serialises a document anew.

use smallvec::SmallVec;

use super::json::Kind;
use super::scan::Span;
use super::timestamp;
use super::treatment::Treatment;
use super::view::{Seen, View};
use super::{Counted, Value};

/// One valid login.
#[derive(Clone, Debug)]
pub struct Login<'a> {
    /// When, in milliseconds since 1970-01-01T00:00:00Z (whole seconds when the source's unit is seconds).
    pub time_ms: i64,
    /// Whether the filter lets it through.
    pub processed: bool,
    pub(super) view: View<'a>,
}

/// The key of an output record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The source record's own key, whatever it is.
    Source,
    /// No key.
    Null,
    /// These bytes.
    Value(&'a [u8]),
}

impl<'a> Login<'a> {
    /// What is counted. Values are looked up as they are taken: lists of them would be moved more often than read.
    #[inline]
    pub fn counted(
        &self,
    ) -> Counted<impl Iterator<Item = Value<'a>> + use<'a>, impl Iterator<Item = Option<&'a str>> + use<'a>>
    {
        let Self { time_ms, processed, view } = *self;
        let text = move |field: usize| view.seen(field).text().unwrap_or_default();
        let dimensions =
            view.plan.dimensions.iter().map(move |(field, fold)| Value::new(text(*field), *fold));
        let unique =
            view.plan.unique.iter().map(move |field| Some(text(*field)).filter(|text| !text.is_empty()));
        Counted { time_ms, processed, dimensions, unique }
    }

    /// Appends the value of the output record.
    pub fn write_output(&self, out: &mut Vec<u8>) {
        let document = self.view.document;
        out.reserve(document.len() + ROOM_FOR_GROWTH);
        let mut copied = 0;
        for edit in self.edits() {
            out.extend_from_slice(Span { start: copied, end: edit.place.start }.of(document).as_bytes());
            match edit.change {
                Change::Timestamp => timestamp::write(self.time_ms, out),
                Change::Field(field) => self.write_field(field, out),
                Change::Remove => {}
                Change::AppendDefaults => self.append_defaults(out),
            }
            copied = edit.place.end;
        }
        out.extend_from_slice(Span { start: copied, end: document.len() }.of(document).as_bytes());
    }

    /// The key of the output record. What mask or hash make of a value is appended to `buffer`.
    pub fn output_key<'b>(&'b self, buffer: &'b mut Vec<u8>) -> Key<'b> {
        let Some(field) = self.view.plan.key else {
            return Key::Source;
        };
        let treatment = &self.view.plan.field(field).treatment;
        let seen = self.view.seen(field);
        let start = buffer.len();
        match (treatment, seen) {
            (Treatment::Keep | Treatment::Drop, Seen::Text(text)) => Key::Value(text.as_bytes()),
            (treatment, seen) if treatment.write_protected(seen, buffer) => {
                Key::Value(buffer.get(start..).unwrap_or_default())
            }
            _ => Key::Null,
        }
    }

    /// The field of each requirement of the filter with the text that it was compared by, in the specification's order;
    /// none where the field is absent, an array or an object.
    pub fn filtered_by(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let view = self.view;
        let filter = &view.plan.filter;
        filter
            .iter()
            .map(move |(field, _)| (view.plan.field(*field).name.as_str(), view.seen(*field).comparable()))
    }

    /// All changes, in the document's order. None of them overlap.
    fn edits(&self) -> SmallVec<[Edit; 8]> {
        let plan = self.view.plan;
        let mut edits: SmallVec<[Edit; 8]> = SmallVec::new();
        for &field in &plan.edited {
            let found = self.view.found(field);
            let has_default = plan.field(field).default.is_some();
            let is_changed = match (found.kind, &plan.field(field).treatment) {
                (None, _) => false,
                (Some(Kind::Null), _) => has_default,
                (Some(_), Treatment::Keep) => field == plan.timestamp,
                (Some(_), _) => true,
            };
            if is_changed {
                let change = if field == plan.timestamp { Change::Timestamp } else { Change::Field(field) };
                edits.push(Edit { place: found.value, change });
            }
        }
        edits.extend(self.view.scanned.removed.iter().map(|&place| Edit { place, change: Change::Remove }));
        if !plan.appended.is_empty() {
            let end = self.view.scanned.members_end;
            edits.push(Edit { place: Span { start: end, end }, change: Change::AppendDefaults });
        }
        edits.sort_by_key(|edit| edit.place.start);
        edits
    }

    /// Appends what takes the place of a field's value: a default of a null, or what mask or hash leave.
    fn write_field(&self, place: usize, out: &mut Vec<u8>) {
        let field = self.view.plan.field(place);
        match (&field.default, self.view.found(place).kind) {
            (Some(default), Some(Kind::Null)) => out.extend_from_slice(&default.value),
            _ => field.treatment.write_json(self.view.seen(place), out),
        }
    }

    /// Appends the members of absent fields that have defaults.
    fn append_defaults(&self, out: &mut Vec<u8>) {
        let mut follows_a_member = self.view.scanned.keeps_any;
        for &place in &self.view.plan.appended {
            if let (Some(default), None) = (&self.view.plan.field(place).default, self.view.found(place).kind)
            {
                if follows_a_member {
                    out.push(b',');
                }
                out.extend_from_slice(&default.member);
                follows_a_member = true;
            }
        }
    }
}

/// One change on the way from source to output.
#[derive(Clone, Copy, Debug)]
struct Edit {
    place: Span,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// The timestamp's text takes its value's place.
    Timestamp,
    /// A default, or what mask or hash leave, takes the value's place.
    Field(usize),
    Remove,
    AppendDefaults,
}

/// How much longer an output usually is than its source, in bytes: the timestamp's text, and some defaults.
const ROOM_FOR_GROWTH: usize = 64;
