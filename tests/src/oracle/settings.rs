//! Owns the settings that decide what becomes of a record, and the source records themselves. Never reads a
//! file and never checks that the settings are allowed.

use std::collections::BTreeMap;

use chrono_tz::Tz;

/// The settings of one revision of a pipeline.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pipeline's id.
    pub pipeline: String,
    /// `source.topic`.
    pub source_topic: String,
    /// `source.timestampUnit`.
    pub timestamp_unit: TimestampUnit,
    /// `source.maxRecordBytes`.
    pub max_record_bytes: usize,
    /// `source.fields.user`.
    pub user_field: String,
    /// `source.fields.timestamp`.
    pub timestamp_field: String,
    /// `source.fields.version`.
    pub version_field: String,
    /// `source.required`; `None` follows the fields.
    pub required: Option<Vec<String>>,
    /// `source.defaults`.
    pub defaults: BTreeMap<String, String>,
    /// `filter`.
    pub filter: Vec<Condition>,
    /// `output.key`: a field's name; `None` is `Source`.
    pub output_key: Option<String>,
    /// `output.drop`.
    pub drop: Vec<String>,
    /// `output.mask`.
    pub mask: Vec<String>,
    /// `output.hash`.
    pub hash: Vec<String>,
    /// `output.hashKey`.
    pub hash_key: String,
    /// `insights.dimensions`.
    pub dimensions: Vec<Dimension>,
    /// `insights.unique`.
    pub unique: Vec<String>,
    /// `insights.timeZone`.
    pub time_zone: Tz,
    /// `insights.maxValues`.
    pub max_values: usize,
}

/// `source.timestampUnit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds since 1970-01-01T00:00:00Z.
    Seconds,
    /// Milliseconds since then.
    Milliseconds,
}

/// One condition of the filter.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The field that it looks at.
    pub field: String,
    /// What it asks.
    pub operator: Operator,
    /// What it compares with.
    pub values: Vec<String>,
}

/// What a condition asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the configuration file's own")]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Ge,
    Lt,
    Le,
    InNetwork,
    NotInNetwork,
}

/// One dimension of the insights.
#[derive(Debug, Clone)]
pub struct Dimension {
    /// The field whose values are counted.
    pub field: String,
    /// How they are folded before.
    pub fold: Fold,
}

/// How a dimension's values are folded, ASCII letters only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Not at all.
    Keep,
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
}

/// A record as it stands in a topic, the source or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its Kafka timestamp in milliseconds; -1 when it has none.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Headers,
}

impl SourceRecord {
    /// The value of the first header of this name; none where it is absent or null.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(candidate, _)| candidate == name)?.1.as_deref()
    }
}

/// Names and values of headers, in order.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

impl Default for Settings {
    fn default() -> Self {
        let condition = |field: &str, operator, value: &str| Condition {
            field: field.to_owned(),
            operator,
            values: vec![value.to_owned()],
        };
        let dimension = |field: &str, fold| Dimension { field: field.to_owned(), fold };
        Self {
            pipeline: "user-login".to_owned(),
            source_topic: "user-login".to_owned(),
            timestamp_unit: TimestampUnit::Seconds,
            max_record_bytes: 65_536,
            user_field: "user_id".to_owned(),
            timestamp_field: "timestamp".to_owned(),
            version_field: "app_version".to_owned(),
            required: None,
            defaults: BTreeMap::new(),
            filter: vec![
                condition("device_type", Operator::In, "android"),
                condition("app_version", Operator::Gt, "3.0"),
            ],
            output_key: None,
            drop: Vec::new(),
            mask: Vec::new(),
            hash: Vec::new(),
            hash_key: String::new(),
            dimensions: vec![
                dimension("device_type", Fold::Lower),
                dimension("app_version", Fold::Keep),
                dimension("locale", Fold::Upper),
            ],
            unique: vec!["user_id".to_owned()],
            time_zone: Tz::UTC,
            max_values: 1000,
        }
    }
}

impl Settings {
    /// The required fields in their order, the timestamp last.
    pub fn required_fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = match &self.required {
            Some(required) => required.iter().map(String::as_str).collect(),
            None => vec![&self.user_field, &self.version_field, "device_type"],
        };
        fields.retain(|field| *field != self.timestamp_field);
        fields.push(&self.timestamp_field);
        fields
    }

    /// The fields whose values must be short strings, in the order that decides which one a dead letter names.
    /// A field may be named twice.
    pub fn text_fields(&self) -> Vec<&str> {
        let mut fields = self.required_fields();
        fields.extend(self.dimensions.iter().map(|dimension| dimension.field.as_str()));
        fields.extend(self.unique.iter().map(String::as_str));
        fields.extend(self.output_key.as_deref());
        fields
    }

    /// All fields that the configuration names, in the order that decides which one a dead letter names. A
    /// field may be named twice.
    pub fn configured_fields(&self) -> Vec<&str> {
        let mut fields = self.text_fields();
        fields.extend(self.filter.iter().map(|condition| condition.field.as_str()));
        fields.extend([self.user_field.as_str(), &self.timestamp_field, &self.version_field]);
        fields.extend(self.defaults.keys().map(String::as_str));
        fields.extend(self.drop.iter().chain(&self.mask).chain(&self.hash).map(String::as_str));
        fields
    }
}
