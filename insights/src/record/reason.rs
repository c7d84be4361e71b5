//! Why a record is rejected.

/// Why a record is rejected, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The value is longer than `source.maxRecordBytes`.
    TooLarge,
    /// The value is not UTF-8.
    NotUtf8,
    /// The value is not one JSON document, or absent, or a configured field holds a lone surrogate.
    NotJson,
    /// The document is not an object.
    NotAnObject,
    /// A configured field stands twice at the top level.
    DuplicateField,
    /// A required field is absent or null.
    MissingField,
    /// A field is not of the type that its part asks for.
    WrongType,
    /// A required field is the empty string.
    EmptyField,
    /// A field is longer than 256 bytes.
    FieldTooLong,
    /// The timestamp is a string that holds no number.
    BadTimestamp,
    /// The timestamp lies before 2000 or more than a day after the record's own.
    TimestampOutOfRange,
}

impl Reason {
    /// All reasons, in order of precedence.
    pub const ALL: [Self; 11] = [
        Self::TooLarge,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::DuplicateField,
        Self::MissingField,
        Self::WrongType,
        Self::EmptyField,
        Self::FieldTooLong,
        Self::BadTimestamp,
        Self::TimestampOutOfRange,
    ];

    /// The code in headers, documents and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::DuplicateField => "duplicate_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::EmptyField => "empty_field",
            Self::FieldTooLong => "field_too_long",
            Self::BadTimestamp => "bad_timestamp",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
        }
    }

    /// The place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A record that is no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection<'a> {
    /// Why.
    pub reason: Reason,
    /// The configured field that is to blame, from [`Reason::DuplicateField`] on.
    pub field: Option<&'a str>,
}
