//! Redis servers for the tests of the store, each in its own directory and on a free loopback port.
//!
//! Owns the processes, which end with their owner; it never touches a server that it did not start.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use insights::store::Store;
use insights::store::redis::{Address, Kind};
use lab::components::redis::redis_server;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// A running `redis-server`.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) directory: TempDir,
    arguments: Vec<String>,
    process: Child,
    log: Receiver<String>,
}

impl Server {
    /// Starts one with more arguments, once per call on a new port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start_in(directory, free_port(), arguments)
    }

    /// Starts one in a directory that holds what the arguments name.
    pub(crate) fn start_in(directory: TempDir, port: u16, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (process, log) = spawn(directory.path(), port, &arguments);
        let server = Self { port, directory, arguments, process, log };
        server.wait_for_log(if server.is_sentinel() { "+monitor" } else { "Ready to accept connections" });
        server
    }

    /// Waits until the log says so.
    pub(crate) fn wait_for_log(&self, words: &str) {
        loop {
            let line = self.log.recv_timeout(Duration::from_secs(30));
            let line = line.unwrap_or_else(|_| panic!("redis on port {} never said: {words}", self.port));
            if line.contains(words) {
                return;
            }
        }
    }

    /// Ends the process at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after [`Server::kill`], on the same port and directory.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.log) = spawn(self.directory.path(), self.port, &self.arguments);
        self.wait_for_log("Ready to accept connections");
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Address {
        Address {
            kind: Kind::Single,
            hosts: vec![("127.0.0.1".to_owned(), self.port)],
            tls: false,
            user: None,
            password: None,
            database: 0,
        }
    }

    /// Where it is, for a user whose password is `secret-of-user`.
    pub(crate) fn address_for(&self, user: Option<&str>) -> Address {
        Address { user: user.map(str::to_owned), password: Some("secret-of-user".into()), ..self.address() }
    }

    /// A store of the pipeline `p` in it.
    pub(crate) fn store(&self) -> Store {
        Store::redis(self.address(), "p")
    }

    /// A connection besides the store's.
    pub(crate) async fn admin(&self) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    fn is_sentinel(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--sentinel")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a command, written as in `redis-cli` (without quotes).
pub(crate) async fn run<T: redis::FromRedisValue>(connection: &mut MultiplexedConnection, line: &str) -> T {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query_async(connection).await.unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Asks until the answer is yes, for half a minute at most.
pub(crate) async fn until(asked: impl AsyncFn() -> bool) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let answer = tokio::time::timeout(Duration::from_secs(30), async {
        while !asked().await {
            pace.tick().await;
        }
    });
    answer.await.expect("a server gets ready within half a minute");
}

/// A port that nobody listens to at this moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(directory: &Path, port: u16, arguments: &[String]) -> (Child, Receiver<String>) {
    let port_option =
        if arguments.iter().any(|argument| argument == "--tls-port") { "0" } else { &port.to_string() };
    let mut process = Command::new(redis_server().expect("redis-server is installed"))
        .args(arguments.iter().take_while(|argument| argument.as_str() == SENTINEL_SETTINGS))
        .args(["--port", port_option, "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"])
        .args(arguments.iter().skip_while(|argument| argument.as_str() == SENTINEL_SETTINGS))
        .current_dir(directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server starts");
    let output = BufReader::new(process.stdout.take().unwrap());
    let (sender, log) = mpsc::channel();
    // Ends with the process. It reads on when nobody waits, or the server would stop at a full pipe.
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    (process, log)
}

/// The name of a file of settings, which must be the first argument.
pub(crate) const SENTINEL_SETTINGS: &str = "sentinel.conf";
