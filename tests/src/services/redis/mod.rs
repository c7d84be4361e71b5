//! Owns a real Redis server: alone, as a replica, as a cluster of one, with passwords and with TLS.
//! It never keeps data beyond the value's life, but loses none of it in between: each write is in the file before its
//! reply.

mod options;
mod sentinel;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use redis::{Connection, FromRedisValue, TlsCertificates};

pub use self::options::Options;
pub use self::sentinel::Sentinel;
use super::daemon::Daemon;
use super::folder::{Folder, copy_all};
use crate::components::redis as component;
use crate::wait::wait_for;

/// A server that ends with this value.
#[derive(Debug)]
pub struct Redis {
    options: Options,
    port: u16,
    tls_port: u16,
    daemon: Daemon,
    folder: Folder,
}

/// A server's whole data at one moment.
#[derive(Debug)]
pub struct Snapshot {
    folder: Folder,
}

impl Redis {
    /// Starts a server, and waits until it answers.
    pub fn start(options: Options) -> Result<Self> {
        let folder = Folder::new("redis")?;
        let place = options.its_place();
        let (port, tls_port, bus_port) = (place.port(6379)?, place.port(6380)?, place.port(16379)?);
        let data = data_folder(&folder);
        fs::create_dir(&data).with_context(|| format!("failed to create {}", data.display()))?;
        options.write(folder.path(), &data, port, tls_port, bus_port)?;
        let settings = folder.path().join("redis.conf").to_string_lossy().into_owned();
        let daemon = Daemon::new("redis", component::redis_server()?, vec![settings], folder.path())
            .at(options.its_place());
        let mut redis = Self { options, port, tls_port, daemon, folder };
        redis.start_again()?;
        Ok(redis)
    }

    /// Its address for an administrator, with the password when there is one.
    pub fn url(&self) -> String {
        let scheme = if self.options.is_cluster() { "redis-cluster" } else { "redis" };
        format!("{scheme}://{}{}:{}", self.login(), self.host(), self.port)
    }

    /// The same for the user `name`.
    pub fn url_of(&self, name: &str, password: &str) -> String {
        format!("redis://{name}:{password}@{}:{}", self.host(), self.port)
    }

    /// The same with TLS; an error when the options gave no authority.
    pub fn tls_url(&self) -> Result<String> {
        if self.options.authority().is_none() {
            bail!("this Redis speaks no TLS: give its options an authority");
        }
        Ok(format!("rediss://{}{}:{}", self.login(), self.host(), self.tls_port))
    }

    /// Its port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs one command as an administrator, e.g. `redis.command::<String>(&["GET", "key"])`.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        command(&self.plain_url(), words)
    }

    /// Puts back what `DUMP` gave of a key.
    pub fn restore_key(&self, key: &str, dump: &[u8]) -> Result<()> {
        let client = redis::Client::open(self.plain_url())?;
        let mut connection =
            client.get_connection_with_timeout(COMMAND_DEADLINE).context("failed to connect to Redis")?;
        let mut restore = redis::cmd("RESTORE");
        restore.arg(key).arg(0).arg(dump).arg("REPLACE");
        restore.query(&mut connection).with_context(|| format!("Redis refused to restore {key}"))
    }

    /// Runs one command over TLS, trusting only the authority whose certificate is in the file `trusted`.
    pub fn tls_command<T: FromRedisValue>(&self, trusted: &Path, words: &[&str]) -> Result<T> {
        let root = fs::read(trusted).with_context(|| format!("failed to read {}", trusted.display()))?;
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(root) };
        let client = redis::Client::build_with_tls(self.tls_url()?, certificates)
            .context("failed to make a client with TLS")?;
        query(&client, words)
    }

    /// Ends it in good order.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.stop(STOP_DEADLINE)
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()
    }

    /// Starts it again with the same port and the same data, and waits until it answers.
    pub fn start_again(&mut self) -> Result<()> {
        let url = self.plain_url();
        self.daemon.start(START_DEADLINE, || command::<String>(&url, &["PING"]))?;
        if self.options.is_cluster() {
            self.serve_every_slot()?;
        }
        Ok(())
    }

    /// Stops it in its tracks: connections stay open, and nothing is answered.
    pub fn pause(&mut self) -> Result<()> {
        self.daemon.pause()
    }

    /// Lets it go on after [`Redis::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.daemon.resume()
    }

    /// Its process number while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.pid()
    }

    /// Copies its data as it stands, while it stands still.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let folder = Folder::new("redis-snapshot")?;
        self.pause()?;
        let copied = copy_all(&data_folder(&self.folder), folder.path());
        self.resume()?;
        copied.map(|()| Snapshot { folder })
    }

    /// Throws its data away for those of `snapshot`: what came since is lost, as with a disk put back from a backup.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let data = data_folder(&self.folder);
        self.kill()?;
        fs::remove_dir_all(&data).context("failed to remove Redis' data")?;
        copy_all(snapshot.folder.path(), &data)?;
        self.start_again()
    }

    pub(super) fn host(&self) -> &'static str {
        self.options.its_place().host()
    }

    /// Its address as a lone server, which it is to an administrator in any case.
    fn plain_url(&self) -> String {
        format!("redis://{}{}:{}", self.login(), self.host(), self.port)
    }

    /// `:password@` of the administrator, or nothing.
    fn login(&self) -> String {
        self.options.admin_password().map(|password| format!(":{password}@")).unwrap_or_default()
    }

    fn serve_every_slot(&self) -> Result<()> {
        let known: String = self.command(&["CLUSTER", "INFO"])?;
        if known.contains("cluster_slots_assigned:0") {
            self.command::<String>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])?;
        }
        wait_for("the cluster of one", START_DEADLINE, || {
            let state: String = self.command(&["CLUSTER", "INFO"])?;
            if state.contains("cluster_state:ok") { Ok(()) } else { Err(anyhow!("{state}")) }
        })
    }
}

fn data_folder(folder: &Folder) -> PathBuf {
    folder.path().join("data")
}

fn command<T: FromRedisValue>(url: &str, words: &[&str]) -> Result<T> {
    let client = redis::Client::open(url).with_context(|| format!("{url} is no address of a Redis"))?;
    query(&client, words)
}

fn query<T: FromRedisValue>(client: &redis::Client, words: &[&str]) -> Result<T> {
    let mut connection: Connection =
        client.get_connection_with_timeout(COMMAND_DEADLINE).context("failed to connect to Redis")?;
    connection.set_read_timeout(Some(COMMAND_DEADLINE)).context("failed to set a time-out")?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query(&mut connection).with_context(|| format!("Redis refused {}", words.join(" ")))
}

const START_DEADLINE: Duration = Duration::from_secs(20);
const STOP_DEADLINE: Duration = Duration::from_secs(10);
const COMMAND_DEADLINE: Duration = Duration::from_secs(5);
