//! The Kafka client's fast path: librdkafka's own calls behind safe types.
//!
//! Owns every `unsafe` line but those of `unpack`, and the rule that one thread holds consumer and producer. It never decides what
//! is consumed, committed or repeated.
//!
//! Why not the `rdkafka` crate's consumer and producer: its poll costs three times as much a record as
//! `rd_kafka_consume_batch_queue`, it takes rebalances as events (which the batch call never hands out), and its
//! `commit_transaction` adds 100 ms to each transaction. Its configuration and its admin client are used elsewhere.
#![expect(unsafe_code, reason = "the border to librdkafka; each block says why it is sound")]

mod admin;
mod config;
mod connections;
mod consumer;
mod error;
mod generation;
mod list;
mod message;
mod offsets;
mod producer;
mod queues;
mod quiet;

pub use self::admin::{Members, members, topic_id};
pub use self::config::{TRANSACTION_TIMEOUT, consumer, control, plain_producer, producer, transactional_id};
pub use self::consumer::{Consumer, RebalanceHandler};
pub use self::error::{Error, Kind};
pub use self::generation::Generation;
pub use self::list::{Commit, Position, c_string};
pub use self::message::{Batch, Message};
pub use self::offsets::{End, committed, log_offsets};
pub use self::producer::{Headers, Outgoing, Producer, Refusal, Topic};
pub use self::queues::Queues;
pub use self::quiet::Quiet;
