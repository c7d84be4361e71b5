//! Owns where a service runs and is reached: this machine's loopback, or the network of a cluster.
//! It never starts a service.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;

use super::kubernetes::Namespace;
use super::{ports, process};

/// A place for services; by default the loopback.
#[derive(Clone, Debug, Default)]
pub struct Place {
    within: Within,
}

#[derive(Clone, Debug, Default)]
enum Within {
    #[default]
    Machine,
    Network(Arc<Namespace>),
    Namespaces(Arc<Namespace>),
}

impl Place {
    /// A cluster's network.
    pub(super) fn network(namespace: &Arc<Namespace>) -> Self {
        Self { within: Within::Network(Arc::clone(namespace)) }
    }

    /// All namespaces of a cluster: what is mounted there, or written to `/run` and `/var`, is seen by nobody outside.
    pub(super) fn namespaces(namespace: &Arc<Namespace>) -> Self {
        Self { within: Within::Namespaces(Arc::clone(namespace)) }
    }

    /// The address that services bind to and are reached at.
    pub(super) fn host(&self) -> &'static str {
        match self.within {
            Within::Machine => "127.0.0.1",
            Within::Network(_) | Within::Namespaces(_) => Namespace::HOST,
        }
    }

    /// A port that is free: `usual` in a cluster's network, where a service is alone, and any on the loopback.
    pub(super) fn port(&self, usual: u16) -> Result<u16> {
        match self.within {
            Within::Machine => ports::free(),
            Within::Network(_) | Within::Namespaces(_) => Ok(usual),
        }
    }

    /// A command like [`process::command`], run there.
    pub(super) fn command(&self, program: &Path) -> Command {
        match &self.within {
            Within::Machine => process::command(program),
            Within::Network(namespace) => namespace.command(program),
            Within::Namespaces(namespace) => namespace.command_in_all(program),
        }
    }
}
