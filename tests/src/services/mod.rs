//! Owns running the real services, each on free loopback ports and with a folder of its own.
//! It never leaves a process or a file behind, however the test ends.

pub mod certificates;
pub(crate) mod cgroups;
mod daemon;
pub(crate) mod folder;
pub mod jaeger;
pub mod kafka;
pub mod kubernetes;
pub mod place;
mod ports;
pub(crate) mod process;
pub mod proxy;
pub mod redis;
