//! Owns a real Redis Sentinel that watches one primary and can put a replica in its place.
//! It never decides a failover itself: a quorum of one does.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::{Daemon, Folder, Redis, command, component};
use crate::services::ports;
use crate::wait::wait_for;

/// A sentinel that ends with this value.
#[derive(Debug)]
pub struct Sentinel {
    primary_name: String,
    url: String,
    port: u16,
    daemon: Daemon,
    _folder: Folder,
}

impl Sentinel {
    /// Starts a sentinel that knows `primary` as `name`, and waits until it has seen it. Give it replicas before.
    pub fn start(primary: &Redis, name: &str) -> Result<Self> {
        let folder = Folder::new("sentinel")?;
        let port = ports::free()?;
        let mut text = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor {name} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {name} 500\nsentinel failover-timeout {name} 5000\n",
            folder.path().display(),
            primary.port(),
        );
        if let Some(password) = primary.options.admin_password() {
            writeln!(text, "sentinel auth-pass {name} {password}").expect("a text takes all that is written");
        }
        let settings = folder.path().join("sentinel.conf");
        fs::write(&settings, text).context("failed to write sentinel.conf")?;
        let arguments = vec![settings.to_string_lossy().into_owned(), "--sentinel".to_owned()];
        let mut daemon = Daemon::new("sentinel", component::redis_server()?, arguments, folder.path());
        let url = format!("redis://127.0.0.1:{port}");
        daemon.start(DEADLINE, || command::<String>(&url, &["PING"]))?;
        let sentinel = Self { primary_name: name.to_owned(), url, port, daemon, _folder: folder };
        sentinel.wait_for_primary(primary.port())?;
        Ok(sentinel)
    }

    /// Its address as Rollcall's `redis.url` spells it.
    pub fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}/{}", self.port, self.primary_name)
    }

    /// The port of what it now takes for the primary.
    pub fn primary_port(&self) -> Result<u16> {
        let (_, port): (String, String) =
            command(&self.url, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", &self.primary_name])?;
        port.parse().with_context(|| format!("the sentinel names {port} as a port"))
    }

    /// Waits until it takes the server on `port` for a healthy primary.
    pub fn wait_for_primary(&self, port: u16) -> Result<()> {
        wait_for(&format!("the sentinel to follow port {port}"), DEADLINE, || {
            let now = self.primary_port()?;
            self.command::<String>(&["SENTINEL", "CKQUORUM", &self.primary_name])?;
            if now == port { Ok(()) } else { Err(anyhow!("it follows port {now}")) }
        })
    }

    /// Waits until it knows `count` replicas of its primary that it could promote.
    pub fn wait_for_replicas(&self, count: usize) -> Result<()> {
        wait_for(&format!("the sentinel to know {count} replicas"), DEADLINE, || {
            let replicas: Vec<Vec<String>> = self.command(&["SENTINEL", "REPLICAS", &self.primary_name])?;
            let healthy = replicas.iter().filter(|fields| is_healthy_replica(fields)).count();
            if healthy == count { Ok(()) } else { Err(anyhow!("it knows {healthy}: {replicas:?}")) }
        })
    }

    /// Runs one command of the sentinel.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        command(&self.url, words)
    }

    /// Its process number while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.pid()
    }
}

/// Names and values take turns; a replica that has not answered yet has no link to its primary.
fn is_healthy_replica(fields: &[String]) -> bool {
    let has = |name: &str, value: &str| fields.windows(2).any(|pair| pair == [name, value]);
    has("flags", "slave") && has("master-link-status", "ok")
}

/// A sentinel looks at its primary every 10 s, and at once when it is new.
const DEADLINE: Duration = Duration::from_secs(40);
