//! Looking into documents whose shape is known, without a panic where it is not.

use serde_json::Value;

/// What stands at a JSON pointer (RFC 6901); null where nothing does.
pub(crate) fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or(&Value::Null)
}

/// The number at a JSON pointer; 0 where there is none.
pub(crate) fn number_at(document: &Value, pointer: &str) -> u64 {
    at(document, pointer).as_u64().unwrap_or(0)
}

/// The text at a JSON pointer; a dash where there is none.
pub(crate) fn text_at<'a>(document: &'a Value, pointer: &str) -> &'a str {
    at(document, pointer).as_str().unwrap_or("-")
}
