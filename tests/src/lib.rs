//! The lab: real services on this machine, and what tests need to drive and to observe them.
//! It never touches anything outside its cache and its temporary folders, and nothing that it starts outlives it.
//!
//! A test reads as prose:
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lab::kafka::{Isolation, Kafka, Record, unique};
//!
//! let kafka = Kafka::shared();
//! let topic = kafka.create_topic(&unique("logins"), 2, &[])?;
//! kafka.client().produce(&topic, &[Record::new("{}").key("a").partition(1)])?;
//! assert_eq!(kafka.client().read(&topic, Isolation::Committed)?.len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod bench;
pub mod chaos;
pub mod chart;
pub mod components;
pub mod fuzz;
pub mod http;
mod kafka_client;
pub mod oracle;
pub mod pipeline;
mod services;
pub mod simulate;
mod sources;
mod wait;
pub mod worker;

pub use services::{certificates, jaeger, kafka, kubernetes, place, proxy, redis};
pub use sources::sources;
pub use wait::{wait_for, wait_until};
