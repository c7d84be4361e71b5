//! The compiled specification: every configured field once, in order of precedence, with the parts that it plays.
//!
//! It never sees a record.

use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit};
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::filter::{Error, Test};
use super::text;
use super::treatment::Treatment;
use super::view::Seen;
use crate::spec::{Fold, OutputKey, PipelineSpec, TimestampUnit};

/// What the decoder does with each record of a pipeline. Fields are named by their place in `fields`.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Tells plans apart, so that what was learned under one is not used under another.
    pub(super) id: u64,
    pub(super) record_bytes_max: usize,
    pub(super) unit: TimestampUnit,
    /// All configured fields, in the order in which they are blamed.
    pub(super) fields: Vec<Field>,
    pub(super) timestamp: usize,
    pub(super) dimensions: Vec<(usize, Fold)>,
    pub(super) unique: Vec<usize>,
    /// The field whose value is the output's key; none for the source's key.
    pub(super) key: Option<usize>,
    pub(super) filter: Vec<(usize, Test)>,
    /// Fields whose value may be written otherwise than it came.
    pub(super) edited: Vec<usize>,
    /// Fields that are written where they are absent, sorted by name.
    pub(super) appended: Vec<usize>,
    pub(super) drops_any: bool,
    /// The first field of each bucket of names, [`NONE`] for none.
    buckets: [usize; BUCKETS],
}

/// One configured field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) is_required: bool,
    /// Whether it holds strings of bounded length only (the timestamp apart, which has rules of its own).
    pub(super) is_text: bool,
    pub(super) default: Option<Substitute>,
    pub(super) treatment: Treatment,
    next_in_bucket: usize,
}

/// What stands for a field that is absent or null.
#[derive(Clone, Debug)]
pub(super) struct Substitute {
    pub(super) text: String,
    /// Its value in the output, after mask and hash, as JSON.
    pub(super) value: Vec<u8>,
    /// `"name":value`.
    pub(super) member: Vec<u8>,
}

impl Plan {
    /// Compiles a specification. Errors: the first requirement of the filter that has no meaning.
    pub(super) fn new(spec: &PipelineSpec) -> Result<Self, Error> {
        let mut plan = Self::with_fields(spec);
        for name in &spec.source.required {
            let field = plan.add(name);
            field.is_required = true;
            field.is_text = true;
        }
        for dimension in &spec.insights.dimensions {
            plan.add(&dimension.field).is_text = true;
        }
        for name in &spec.insights.unique {
            plan.add(name).is_text = true;
        }
        if let OutputKey::Field(name) = &spec.output.key {
            plan.add(name).is_text = true;
            plan.key = plan.find(name.as_bytes());
        }
        plan.dimensions = spec
            .insights
            .dimensions
            .iter()
            .map(|dimension| (plan.place(&dimension.field), dimension.fold))
            .collect();
        plan.unique = spec.insights.unique.iter().map(|name| plan.place(name)).collect();
        for requirement in &spec.filter {
            let test = Test::new(requirement, requirement.field == spec.source.fields.version)?;
            plan.add(&requirement.field);
            plan.filter.push((plan.place(&requirement.field), test));
        }
        plan.add_parts_and_output(spec);
        plan.note_edits(spec);
        Ok(plan)
    }

    /// The field at a place.
    #[inline]
    pub(super) fn field(&self, field: usize) -> &Field {
        self.fields.get(field).expect("places of fields come from the plan itself")
    }

    /// The place of the field of a name.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let mut place = self.buckets.get(bucket(name)).copied().unwrap_or(NONE);
        while let Some(field) = self.fields.get(place) {
            if field.name.as_bytes() == name {
                return Some(place);
            }
            place = field.next_in_bucket;
        }
        None
    }

    fn with_fields(spec: &PipelineSpec) -> Self {
        Self {
            id: PLANS.fetch_add(1, Ordering::Relaxed),
            record_bytes_max: spec.source.max_record_bytes,
            unit: spec.source.timestamp_unit,
            fields: Vec::new(),
            timestamp: NONE,
            dimensions: Vec::new(),
            unique: Vec::new(),
            key: None,
            filter: Vec::new(),
            edited: Vec::new(),
            appended: Vec::new(),
            drops_any: !spec.output.drop.is_empty(),
            buckets: [NONE; BUCKETS],
        }
    }

    /// Adds the fields that only `fields`, `defaults` and the output name, and what the output does with them.
    fn add_parts_and_output(&mut self, spec: &PipelineSpec) {
        let parts = &spec.source.fields;
        for name in [&parts.user, &parts.timestamp, &parts.version] {
            self.add(name);
        }
        self.timestamp = self.place(&parts.timestamp);
        for name in spec.source.defaults.keys() {
            self.add(name);
        }
        for name in &spec.output.drop {
            self.add(name).treatment = Treatment::Drop;
        }
        for name in &spec.output.mask {
            self.add(name).treatment = Treatment::Mask;
        }
        for name in &spec.output.hash {
            let key = Hmac::<Sha256>::new_from_slice(spec.output.hash_key.expose_secret().as_bytes());
            let key = key.expect("HMAC takes keys of any length");
            self.add(name).treatment = Treatment::Hash(Box::new(key));
        }
    }

    /// Notes what the output changes, now that each field's treatment is known.
    fn note_edits(&mut self, spec: &PipelineSpec) {
        for (name, text) in &spec.source.defaults {
            let place = self.place(name);
            let field = self.add(name);
            let mut value = Vec::new();
            field.treatment.write_json(Seen::Text(text), &mut value);
            let mut member = Vec::new();
            text::write_string(name, &mut member);
            member.push(b':');
            member.extend_from_slice(&value);
            field.default = Some(Substitute { text: text.clone(), value, member });
            if !matches!(field.treatment, Treatment::Drop) {
                self.appended.push(place);
            }
        }
        for (place, field) in self.fields.iter().enumerate() {
            let is_edited = match field.treatment {
                Treatment::Keep => place == self.timestamp || field.default.is_some(),
                Treatment::Mask | Treatment::Hash(_) => true,
                Treatment::Drop => false,
            };
            if is_edited {
                self.edited.push(place);
            }
        }
    }

    /// The field of a name, which is added behind the others when it is new.
    fn add(&mut self, name: &str) -> &mut Field {
        let place = self.find(name.as_bytes()).unwrap_or_else(|| {
            let first = self
                .buckets
                .get_mut(bucket(name.as_bytes()))
                .expect("a bucket's number is below their count");
            self.fields.push(Field {
                name: name.to_owned(),
                is_required: false,
                is_text: false,
                default: None,
                treatment: Treatment::Keep,
                next_in_bucket: *first,
            });
            *first = self.fields.len() - 1;
            *first
        });
        self.fields.get_mut(place).expect("places of fields come from the plan itself")
    }

    fn place(&self, name: &str) -> usize {
        self.find(name.as_bytes()).expect("a field is added before its place is asked for")
    }
}

/// Spreads names by what costs least to look at; names of one bucket are told apart by comparing them.
#[inline]
fn bucket(name: &[u8]) -> usize {
    let first = usize::from(name.first().copied().unwrap_or(0));
    let last = usize::from(name.last().copied().unwrap_or(0));
    (name.len() * 5 + first * 3 + last) % BUCKETS
}

/// The id of the next plan; 0 is none's.
static PLANS: AtomicU64 = AtomicU64::new(1);

const BUCKETS: usize = 64;

/// A place that no field has.
const NONE: usize = usize::MAX;
