//! Owns the slow, obvious truth: what the contract says about every record, both topics, and the published
//! insights, computed in one thread from the log alone. Shares no code with what it judges.

pub mod audit;
pub mod civil;
pub mod compare;
pub mod corpus;
pub mod decimal;
pub mod deliveries;
pub mod document;
mod filter;
pub mod hmac;
pub mod json;
pub mod judge;
mod merge;
pub mod network;
pub mod partition;
pub mod settings;
mod splice;
pub mod version;

pub use audit::{Incarnations, Sinks, audit_output, compare_delivery, incarnations, named_source};
pub use compare::{compare_document, compare_keys};
pub use deliveries::{Delivery, Target, expected_dead_letters, expected_output};
pub use document::{Expected, Truth, document, expected};
pub use judge::{Counted, Judged, Verdict, judge};
pub use partition::PartitionTruth;
pub use settings::{Condition, Dimension, Fold, Headers, Operator, Settings, SourceRecord, TimestampUnit};

#[cfg(test)]
mod tests;
