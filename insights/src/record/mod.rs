//! What a record says: decoding, validation, the filter, and the bytes of its output.
//!
//! Owns the rules of a login ([`Decoder`]) and its rejections. It never counts, and knows neither Kafka nor Redis.

mod decode;
pub mod filter;
mod json;
mod login;
mod network;
mod number;
mod plan;
mod reason;
mod scan;
mod shape;
mod text;
mod timestamp;
mod treatment;
mod value;
mod version;
mod view;

pub use self::decode::{Decoder, Scratch};
pub use self::login::{Key, Login};
pub use self::reason::{Reason, Rejection};
pub use self::value::{Ends, OTHER, Role, UNKNOWN, Value};

/// One valid login, as it is counted.
#[derive(Clone, Debug)]
pub struct Counted<D, U> {
    /// When, in milliseconds since 1970-01-01T00:00:00Z (whole seconds when the source's unit is seconds).
    pub time_ms: i64,
    /// Whether the filter lets it through.
    pub processed: bool,
    /// The [`Value`] of each dimension in the specification's order.
    pub dimensions: D,
    /// The text (`Option<&str>`) of each `unique` field in the specification's order, as it came; none where absent or empty.
    pub unique: U,
}

#[cfg(test)]
mod tests;
