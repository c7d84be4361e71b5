//! Owns what a test chooses about a Redis server, and the settings file that follows from it.
//! It never starts anything.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Redis;
use crate::services::certificates::Authority;
use crate::services::place::Place;

/// What a server is like. By default: no password, no TLS, and every write kept.
#[derive(Clone, Debug, Default)]
pub struct Options {
    place: Place,
    authority: Option<Authority>,
    password: Option<String>,
    lines: Vec<String>,
    is_cluster: bool,
}

impl Options {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a port with TLS, with a certificate of `authority`. The port without stays, for the test itself.
    #[must_use]
    pub fn tls(mut self, authority: &Authority) -> Self {
        self.authority = Some(authority.clone());
        self
    }

    /// Asks the default user, who may do everything, for a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// One more user, with `rights` as the access control list spells them, e.g. `~rollcall:* +@all -@dangerous`.
    #[must_use]
    pub fn user(self, name: &str, password: &str, rights: &str) -> Self {
        self.config(&format!("user {name} on >{password} {rights}"))
    }

    /// Follows `primary`.
    #[must_use]
    pub fn replica_of(mut self, primary: &Redis) -> Self {
        if let Some(password) = primary.options.admin_password() {
            self = self.config(&format!("masterauth {password}"));
        }
        self.config(&format!("replicaof {} {}", primary.host(), primary.port()))
    }

    /// A cluster of one node that serves every slot.
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.is_cluster = true;
        self
    }

    /// One line of `redis.conf`; it wins over the lab's own.
    #[must_use]
    pub fn config(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Runs in a cluster's network, as `redis:6379`.
    #[must_use]
    pub fn place(mut self, place: &Place) -> Self {
        self.place = place.clone();
        self
    }

    pub(super) fn its_place(&self) -> &Place {
        &self.place
    }

    pub(super) fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    pub(super) fn admin_password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Writes `redis.conf` into `folder`.
    pub(super) fn write(
        &self,
        folder: &Path,
        data: &Path,
        port: u16,
        tls_port: u16,
        bus_port: u16,
    ) -> Result<()> {
        let host = self.place.host();
        let mut lines = vec![
            COMMON.to_owned(),
            format!("bind {host}"),
            format!("port {port}"),
            format!("dir {}", data.display()),
        ];
        if let Some(password) = &self.password {
            lines.push(format!("requirepass {password}"));
        }
        if self.is_cluster {
            lines.push(format!("cluster-enabled yes\ncluster-port {bus_port}\ncluster-announce-ip {host}"));
        }
        if let Some(authority) = &self.authority {
            lines.push(tls_lines(authority, tls_port)?);
        }
        lines.extend(self.lines.iter().cloned());
        let mut text = lines.join("\n");
        text.push('\n');
        fs::write(folder.join("redis.conf"), text).context("failed to write redis.conf")
    }
}

fn tls_lines(authority: &Authority, tls_port: u16) -> Result<String> {
    let issued = authority.issue("redis")?;
    let mut lines = format!("tls-port {tls_port}\ntls-auth-clients no\n");
    for (name, path) in [
        ("tls-cert-file", &issued.certificate),
        ("tls-key-file", &issued.key),
        ("tls-ca-cert-file", &authority.certificate()),
    ] {
        writeln!(lines, "{name} {}", path.display()).expect("a text takes all that is written");
    }
    Ok(lines)
}

/// The append-only file holds each write before its reply is sent; it is never rewritten, so that a copy of it, taken
/// while the server stands still, is whole.
const COMMON: &str = "\
protected-mode no
daemonize no
save \"\"
appendonly yes
# Written before each reply, so that a killed server keeps what it said; `everysec` may put a write off while it syncs.
appendfsync no
auto-aof-rewrite-percentage 0
repl-diskless-sync-delay 0";
