//! What each command does.

pub(crate) mod audit;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod generate;
pub(crate) mod insights;
mod reader;
pub(crate) mod repair;
pub(crate) mod serve;
pub(crate) mod worker;
