//! Owns a real Kafka broker: one process that is broker and controller, with its settings, users and certificates.
//! It never shares a topic between tests: whoever shares a broker names topics with [`unique`].

mod admin;
mod damage;
mod groups;
mod options;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

pub use self::admin::Resource;
pub use self::groups::{Committed, Member};
pub use self::options::{Listener, Options};
use super::daemon::Daemon;
use super::folder::{Folder, copy_all};
use super::proxy::Proxy;
use crate::components::{java, kafka as component};
pub use crate::kafka_client::{
    Client, Isolation, LogEnds, PlainProducer, Position, Record, StoredRecord, TransactionalProducer,
};

/// A broker that ends with this value.
#[derive(Debug)]
pub struct Kafka {
    options: Options,
    ports: Ports,
    daemon: Daemon,
    folder: Folder,
}

/// A broker's whole data at one moment.
#[derive(Debug)]
pub struct Snapshot {
    folder: Folder,
}

impl Kafka {
    /// Starts a broker, and waits until it answers.
    pub fn start(options: Options) -> Result<Self> {
        let folder = Folder::new("kafka")?;
        let ports = Ports::choose(&options)?;
        options.write(folder.path(), &ports)?;
        format_storage(&options, folder.path())?;
        let mut arguments = vec![hosts(&options, folder.path())?];
        arguments.extend(java_arguments(&options)?);
        arguments.push("kafka.Kafka".to_owned());
        arguments.push(folder.path().join("server.properties").to_string_lossy().into_owned());
        let daemon = Daemon::new("kafka", java::java()?, arguments, folder.path()).at(options.its_place());
        let mut kafka = Self { options, ports, daemon, folder };
        kafka.start_again()?;
        Ok(kafka)
    }

    /// The broker that all tests of this process share, for tests that only need topics of their own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start(Options::new()).unwrap_or_else(|error| panic!("no shared Kafka: {error:#}"))
        })
    }

    /// `host:port` of the plain listener, which every broker has and where everybody may do everything.
    pub fn brokers(&self) -> String {
        self.address(Listener::Plaintext)
    }

    /// `host:port` of `listener`; an error when the options gave it neither users nor certificates.
    pub fn brokers_of(&self, listener: Listener) -> Result<String> {
        if !self.options.listeners().contains(&listener) {
            bail!("this Kafka has no {listener:?} listener: its options say which it has");
        }
        Ok(self.address(listener))
    }

    /// What stands before [`Listener::Proxied`]; an error when the options did not ask for it.
    pub fn proxy(&self) -> Result<&Proxy> {
        self.ports.proxy.as_ref().context("this Kafka has no proxy: ask its options for one")
    }

    /// A client of the plain listener.
    pub fn client(&self) -> Client {
        Client::new(&self.brokers())
    }

    /// A client of `listener` that trusts its certificate; it says who it is with [`Client::login`].
    pub fn client_of(&self, listener: Listener) -> Result<Client> {
        let client = Client::new(&self.brokers_of(listener)?)
            .property("security.protocol", &listener.protocol().to_ascii_lowercase());
        match self.options.authority() {
            Some(authority) if listener.is_tls() => {
                Ok(client.property("ssl.ca.location", &authority.certificate().to_string_lossy()))
            }
            _ => Ok(client),
        }
    }

    /// Ends it in good order.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.stop(STOP_DEADLINE)
    }

    /// Kills it at once, as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()
    }

    /// Starts it again with the same ports and the same data, and waits until each partition has its leader.
    pub fn start_again(&mut self) -> Result<()> {
        let client = self.client();
        self.daemon.start(START_DEADLINE, || client.every_partition_has_a_leader(None))
    }

    /// Stops it in its tracks: connections stay open, and nothing is answered.
    pub fn pause(&mut self) -> Result<()> {
        self.daemon.pause()
    }

    /// Lets it go on after [`Kafka::pause`].
    pub fn resume(&mut self) -> Result<()> {
        self.daemon.resume()
    }

    /// Its process number while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.pid()
    }

    /// Copies its data as it stands; it is stopped for that and started again.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.stop()?;
        let folder = Folder::new("kafka-snapshot")?;
        copy_all(&self.data(), folder.path())?;
        self.start_again()?;
        Ok(Snapshot { folder })
    }

    /// Throws its data away for those of `snapshot`: what came since is lost, as with a disk put back from a backup.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.kill()?;
        fs::remove_dir_all(self.data()).context("failed to remove Kafka's data")?;
        copy_all(snapshot.folder.path(), &self.data())?;
        self.start_again()
    }

    /// Runs one of Kafka's own tools as an administrator, e.g. `org.apache.kafka.tools.TopicCommand`; returns what it
    /// prints. A Java machine starts for it: about 2 s.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let brokers = self.brokers();
        let mut all = vec!["--bootstrap-server", &brokers];
        all.extend(arguments);
        run_java(&self.options, class, &all)
    }

    fn address(&self, listener: Listener) -> String {
        format!("{}:{}", self.options.its_place().host(), self.ports.for_clients(listener))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A name that no other test uses: `prefix`, then eight random digits.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:08x}", rand::random::<u32>())
}

#[derive(Debug)]
struct Ports {
    controller: u16,
    plaintext: u16,
    sasl: u16,
    tls: u16,
    sasl_tls: u16,
    proxied: u16,
    proxy: Option<Proxy>,
}

impl Ports {
    fn choose(options: &Options) -> Result<Self> {
        let place = options.its_place();
        let proxied = place.port(9097)?;
        Ok(Self {
            controller: place.port(9093)?,
            plaintext: place.port(9092)?,
            sasl: place.port(9094)?,
            tls: place.port(9095)?,
            sasl_tls: place.port(9096)?,
            proxied,
            proxy: options.is_proxied().then(|| Proxy::start(proxied)).transpose()?,
        })
    }

    fn of(&self, listener: Listener) -> u16 {
        match listener {
            Listener::Plaintext => self.plaintext,
            Listener::SaslPlaintext => self.sasl,
            Listener::Ssl => self.tls,
            Listener::SaslSsl => self.sasl_tls,
            Listener::Proxied => self.proxied,
        }
    }

    /// Where clients of `listener` connect.
    fn for_clients(&self, listener: Listener) -> u16 {
        match (listener, &self.proxy) {
            (Listener::Proxied, Some(proxy)) => proxy.port(),
            _ => self.of(listener),
        }
    }
}

/// What Java knows of names. A broker asks for its own address's name at each login, and no server of names answers in a
/// cluster's network.
fn hosts(options: &Options, folder: &Path) -> Result<String> {
    let path = folder.join("hosts");
    let text = format!("127.0.0.1 localhost\n{} kafka\n", options.its_place().host());
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(format!("-Djdk.net.hosts.file={}", path.display()))
}

fn format_storage(options: &Options, folder: &Path) -> Result<()> {
    let settings = folder.join("server.properties").to_string_lossy().into_owned();
    let mut arguments = vec!["format", "--standalone", "--cluster-id", CLUSTER_ID, "--config", &settings];
    let users = options.scram_arguments();
    for user in &users {
        arguments.extend(["--add-scram", user]);
    }
    run_java(options, "kafka.tools.StorageTool", &arguments)?;
    Ok(())
}

fn run_java(options: &Options, class: &str, arguments: &[&str]) -> Result<String> {
    let output = options
        .its_place()
        .command(&java::java()?)
        .args(java_arguments(options)?)
        // A tool's log is of no use, and would mix with what it prints.
        .arg("-Dlog4j2.level=OFF")
        .arg("-Dlog4j2.rootLogger.level=OFF")
        .arg(class)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to run {class}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(anyhow!("{text}{}", String::from_utf8_lossy(&output.stderr)))
            .with_context(|| format!("{class} failed"));
    }
    Ok(text)
}

fn java_arguments(options: &Options) -> Result<Vec<String>> {
    let libraries = component::libraries()?;
    let libraries = libraries.display();
    let mut arguments: Vec<String> = options.java_flags().iter().map(ToString::to_string).collect();
    arguments.push(format!("-Dlog4j2.configurationFile=file:{libraries}/log4j2.properties"));
    arguments.push("-cp".to_owned());
    arguments.push(format!("{libraries}/libs/*"));
    Ok(arguments)
}

/// Sixteen bytes in URL-safe base64. All brokers of the lab may share it: they never meet.
const CLUSTER_ID: &str = "cm9sbGNhbGwtbGFiLTAwMQ";

const START_DEADLINE: Duration = Duration::from_mins(1);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
