//! The parts of the worker that others may build on: its Kafka client, its logs, traces, metrics port and
//! crash points, and made-up logins.
//!
//! The lab's benchmark drives the same client without Rollcall's work, to tell what that work costs; the operator asks, logs and
//! traces as the workers do. Everything else of the worker is in the `rollcall` command.

pub mod client;
pub mod crash;
pub mod logins;
pub mod logs;
pub mod metrics_port;
pub mod traces;
