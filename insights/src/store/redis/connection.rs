//! The connection to Redis: opened when first used, shared, and let go after any sign that it is no good.
//!
//! Owns connecting, by kind of address, and what an error of Redis means. It never repeats a command by itself: whether a
//! step was done when its answer was lost is for the caller to find out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::{ClusterClient, ClusterClientBuilder};
use ::redis::cluster_async::ClusterConnection;
use ::redis::{AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, Value};

use super::address::{Address, Kind};
use crate::store::Error;

/// Hands out the one connection, and opens a new one where it is gone.
pub(super) struct Connector {
    address: Address,
    live: Mutex<Option<Live>>,
    connecting: tokio::sync::Mutex<Option<Error>>,
    attempts: AtomicU64,
    generation: AtomicU64,
}

/// An open connection.
#[derive(Clone)]
pub(super) struct Live {
    /// What commands are sent through.
    pub(super) link: Link,
    /// `host:port`, for messages.
    pub(super) place: String,
    generation: u64,
}

/// A connection to one server or to a cluster.
#[derive(Clone)]
pub(super) enum Link {
    /// One server.
    Node(MultiplexedConnection),
    /// A cluster.
    Cluster(ClusterConnection),
}

impl Connector {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            live: Mutex::new(None),
            connecting: tokio::sync::Mutex::new(None),
            attempts: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    /// Connections that were opened so far.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The open connection, or a new one.
    pub(super) async fn live(&self) -> Result<Live, Error> {
        if let Some(live) = self.cached() {
            return Ok(live);
        }
        let attempts_seen = self.attempts.load(Ordering::Acquire);
        let mut last_error = self.connecting.lock().await;
        if let Some(live) = self.cached() {
            return Ok(live);
        }
        // Whoever waited while an attempt failed shares its failure: else a queue of callers would wait one timeout each.
        if self.attempts.load(Ordering::Acquire) != attempts_seen
            && let Some(error) = last_error.as_ref()
        {
            return Err(error.clone());
        }
        let opened = self.open().await;
        self.attempts.fetch_add(1, Ordering::AcqRel);
        match opened {
            Ok((link, place)) => {
                let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
                let live = Live { link, place, generation };
                *self.live.lock().expect("no holder of this lock can panic") = Some(live.clone());
                *last_error = None;
                Ok(live)
            }
            Err(error) => {
                *last_error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Says what an error of a command means, and lets the connection go where it may be to blame.
    pub(super) fn judge(&self, live: &Live, command: &'static str, error: RedisError) -> Error {
        let error = explain(&live.place, command, error);
        if blames_connection(&error) {
            let mut cached = self.live.lock().expect("no holder of this lock can panic");
            if cached.as_ref().is_some_and(|cached| cached.generation == live.generation) {
                *cached = None;
            }
        }
        error
    }

    fn cached(&self) -> Option<Live> {
        self.live.lock().expect("no holder of this lock can panic").clone()
    }

    async fn open(&self) -> Result<(Link, String), Error> {
        match &self.address.kind {
            Kind::Single => {
                let (host, port) = self.address.hosts.first().expect("an address has at least one host");
                let place = format!("{host}:{port}");
                let node = connect(self.address.data_node(host, *port), &place).await?;
                Ok((Link::Node(node), place))
            }
            Kind::Sentinel { master } => self.open_master(master).await,
            Kind::Cluster => self.open_cluster().await,
        }
    }

    async fn open_master(&self, master: &str) -> Result<(Link, String), Error> {
        // What a sentinel or the node says is worth more than that another sentinel is out of reach.
        let mut failure = None;
        for (host, port) in &self.address.hosts {
            match self.ask_sentinel(host, *port, master).await {
                // Another sentinel may have heard of a failover already, so that a bad node is not the end.
                Ok(Some((master_host, master_port))) => {
                    match self.connect_master(&master_host, master_port).await {
                        Ok(opened) => return Ok(opened),
                        Err(error) => failure = Some(error),
                    }
                }
                Ok(None) => {
                    failure =
                        Some(Error::NoMaster { place: format!("{host}:{port}"), master: master.to_owned() });
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.expect("an address has at least one host"))
    }

    async fn ask_sentinel(
        &self,
        host: &str,
        port: u16,
        master: &str,
    ) -> Result<Option<(String, u16)>, Error> {
        let place = format!("{host}:{port}");
        let mut sentinel = connect(self.address.bare_node(host, port), &place).await?;
        let mut question = ::redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(master);
        let answer = question.query_async(&mut sentinel).await;
        answer.map_err(|error| explain(&place, "SENTINEL", error))
    }

    async fn connect_master(&self, host: &str, port: u16) -> Result<(Link, String), Error> {
        let place = format!("{host}:{port}");
        let mut node = connect(self.address.data_node(host, port), &place).await?;
        let answer: Vec<Value> = ::redis::cmd("ROLE")
            .query_async(&mut node)
            .await
            .map_err(|error| explain(&place, "ROLE", error))?;
        let role = answer.into_iter().next().and_then(|role| ::redis::from_redis_value::<String>(role).ok());
        match role.as_deref() {
            Some("master") => Ok((Link::Node(node), place)),
            Some(role) => Err(Error::NotMaster { place, role: role.to_owned() }),
            None => Err(Error::Nonsense { place, command: "ROLE" }),
        }
    }

    async fn open_cluster(&self) -> Result<(Link, String), Error> {
        let place = self.address.to_string();
        let nodes = self.address.hosts.iter().map(|(host, port)| self.address.data_node(host, *port));
        let client: ClusterClient = ClusterClientBuilder::new(nodes)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .retries(0)
            .build()
            .map_err(|error| explain(&place, "CONNECT", error))?;
        // Asking the nodes one after the other may take longer than one connection does.
        let opened = tokio::time::timeout(2 * CONNECT_TIMEOUT, client.get_async_connection()).await;
        match opened {
            Ok(Ok(connection)) => Ok((Link::Cluster(connection), place)),
            Ok(Err(error)) => Err(explain(&place, "CONNECT", error)),
            Err(_elapsed) => Err(silent(&place, "CONNECT", 2 * CONNECT_TIMEOUT)),
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Node(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Node(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Node(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

async fn connect(info: ::redis::ConnectionInfo, place: &str) -> Result<MultiplexedConnection, Error> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    let client = ::redis::Client::open(info).map_err(|error| explain(place, "CONNECT", error))?;
    let opened = client.get_multiplexed_async_connection_with_config(&settings).await;
    opened.map_err(|error| explain(place, "CONNECT", error))
}

/// Says what an error means, whatever it happened to.
fn explain(place: &str, command: &'static str, error: RedisError) -> Error {
    let place = place.to_owned();
    if error.is_timeout() {
        let limit = if command == "CONNECT" { CONNECT_TIMEOUT } else { RESPONSE_TIMEOUT };
        return silent(&place, command, limit);
    }
    if error.kind() == ErrorKind::UnexpectedReturnType {
        return Error::Nonsense { place, command };
    }
    let code = if error.kind() == ErrorKind::AuthenticationFailed { Some("WRONGPASS") } else { error.code() };
    match code.map(str::to_owned) {
        Some(code) => Error::Refused { place, command, advice: advice(&code), code, source: error },
        None => Error::Unreachable { place, command, source: error },
    }
}

fn silent(place: &str, command: &'static str, limit: Duration) -> Error {
    Error::Silent { place: place.to_owned(), command, seconds: limit.as_secs() }
}

/// Whether a new connection may lead to a better place, or to a server that works.
fn blames_connection(error: &Error) -> bool {
    match error {
        Error::Refused { code, .. } => !CODES_OF_A_GOOD_CONNECTION.contains(&code.as_str()),
        other => other.is_transient() || matches!(other, Error::Nonsense { .. }),
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "OOM" => "its memory is full: raise maxmemory or free some",
        "MISCONF" => "it cannot save to disk: see its log",
        "READONLY" => "it is a replica: point to the master, or use Sentinel or Cluster",
        "NOREPLICAS" => "too few replicas are in reach: see min-replicas-to-write",
        "LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MOVED" | "ASK" => {
            "it is not ready: this passes, or see its log"
        }
        "WRONGPASS" | "NOAUTH" => "check the user and the password",
        "NOPERM" => "the user lacks a right: grant it with ACL SETUSER",
        _ => "see the cause and its log",
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// With these the server answers for itself, and would not answer otherwise on another connection.
const CODES_OF_A_GOOD_CONNECTION: [&str; 5] = ["OOM", "MISCONF", "NOPERM", "TRYAGAIN", "BUSY"];
