//! Rollcall's core: what a login is, what passes the filter, and what is counted.
//!
//! Owns the pipeline specification, the decoding of records, partition states and their merge, and the stores that
//! hold them. The core does no I/O, reads no clock and knows nothing of Kafka; only [`store`] talks to Redis,
//! and only `http` listens.
//!
//! The way of a record: [`record::Decoder`] turns bytes into a [`record::Login`] or a [`record::Rejection`];
//! [`state::PartitionState`] counts it; [`store::Store`] keeps the changed parts; [`document`] merges the states of
//! all partitions into what people read.

pub mod document;
#[cfg(feature = "http")]
pub mod http;
pub mod record;
pub mod report;
pub mod spec;
pub mod state;
pub mod store;
pub mod time;
