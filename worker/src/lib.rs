//! The parts of the worker that others may build on: its Kafka client, and made-up logins.
//!
//! The lab's benchmark drives the same client without Rollcall's work, to tell what that work costs. Everything else of the
//! worker is in the `rollcall` command.

pub mod client;
pub mod logins;
