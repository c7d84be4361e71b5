//! Owns what a test chooses about a broker, and the settings file that follows from it.
//! It never starts anything.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Ports;
use crate::services::certificates::Authority;
use crate::services::place::Place;

/// What a broker is like. By default: a plain listener, no rights asked for, no topics made on their own, and
/// time-outs so short that tests of faults are quick.
#[derive(Clone, Debug, Default)]
pub struct Options {
    place: Place,
    authority: Option<Authority>,
    client_certificates: bool,
    scram_users: Vec<(String, String)>,
    plain_users: Vec<(String, String)>,
    asks_for_rights: bool,
    properties: Vec<(String, String)>,
    heap: Option<String>,
    is_proxied: bool,
}

/// Where clients connect. The plain one is always there; users add the SASL ones, an authority the TLS ones,
/// [`Options::proxied`] the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// No password, no encryption.
    Plaintext,
    /// A password.
    SaslPlaintext,
    /// Encryption.
    Ssl,
    /// Both.
    SaslSsl,
    /// As the plain one, through a proxy that breaks on demand.
    Proxied,
}

impl Options {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens TLS listeners with a certificate of `authority`.
    #[must_use]
    pub fn tls(mut self, authority: &Authority) -> Self {
        self.authority = Some(authority.clone());
        self
    }

    /// The TLS listener without a password asks clients for a certificate of the same authority.
    #[must_use]
    pub fn client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self
    }

    /// A user of SCRAM-SHA-256 and SCRAM-SHA-512.
    #[must_use]
    pub fn scram_user(mut self, name: &str, password: &str) -> Self {
        self.scram_users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// A user of PLAIN.
    #[must_use]
    pub fn plain_user(mut self, name: &str, password: &str) -> Self {
        self.plain_users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Users may only do what [`super::Kafka::allow`] says; the plain listener still may do everything.
    #[must_use]
    pub fn access_control(mut self) -> Self {
        self.asks_for_rights = true;
        self
    }

    /// One line of `server.properties`; it wins over the lab's own.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The Java heap, e.g. `2g`, and the compiler that takes longer and makes faster code: for measurements.
    #[must_use]
    pub fn heap(mut self, size: &str) -> Self {
        self.heap = Some(size.to_owned());
        self
    }

    /// Opens one more plain listener behind a proxy, [`super::Kafka::proxy`].
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.is_proxied = true;
        self
    }

    /// Runs in a cluster's network, as `kafka:9092`.
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

    pub(super) fn is_proxied(&self) -> bool {
        self.is_proxied
    }

    pub(super) fn listeners(&self) -> Vec<Listener> {
        let has_users = !self.scram_users.is_empty() || !self.plain_users.is_empty();
        let mut listeners = vec![Listener::Plaintext];
        if has_users {
            listeners.push(Listener::SaslPlaintext);
        }
        if self.authority.is_some() {
            listeners.push(Listener::Ssl);
        }
        if has_users && self.authority.is_some() {
            listeners.push(Listener::SaslSsl);
        }
        if self.is_proxied {
            listeners.push(Listener::Proxied);
        }
        listeners
    }

    /// The values of `--add-scram` when the storage is formatted.
    pub(super) fn scram_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for (name, password) in &self.scram_users {
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                arguments.push(format!("{mechanism}=[name={name},password={password}]"));
            }
        }
        arguments
    }

    pub(super) fn java_flags(&self) -> Vec<String> {
        match &self.heap {
            Some(size) => vec![format!("-Xmx{size}"), format!("-Xms{size}"), "-XX:+UseG1GC".to_owned()],
            None => ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"].map(ToOwned::to_owned).into(),
        }
    }

    /// Writes `server.properties` and the key stores that it names into `folder`.
    pub(super) fn write(&self, folder: &Path, ports: &Ports) -> Result<()> {
        let mut text = self.network(ports);
        text.push_str(COMMON);
        let data = folder.join("data");
        write_line(&mut text, "log.dirs", &data.to_string_lossy());
        self.add_users(&mut text);
        if let Some(authority) = &self.authority {
            self.add_certificates(&mut text, authority, folder)?;
        }
        if self.asks_for_rights {
            text.push_str(ACCESS_CONTROL);
        }
        for (name, value) in &self.properties {
            write_line(&mut text, name, value);
        }
        fs::write(folder.join("server.properties"), text).context("failed to write server.properties")
    }

    fn network(&self, ports: &Ports) -> String {
        let host = self.place.host();
        let (mut listeners, mut advertised) = (String::new(), String::new());
        let mut protocols = "CONTROLLER:PLAINTEXT".to_owned();
        for listener in self.listeners() {
            let (name, protocol) = (listener.name(), listener.protocol());
            let (own, clients) = (ports.of(listener), ports.for_clients(listener));
            write!(listeners, "{name}://{host}:{own},").expect("a text takes all that is written");
            write!(advertised, "{name}://{host}:{clients},").expect("a text takes all that is written");
            write!(protocols, ",{name}:{protocol}").expect("a text takes all that is written");
        }
        let mut text = String::new();
        write_line(&mut text, "advertised.listeners", advertised.trim_end_matches(','));
        write_line(&mut text, "listeners", &format!("{listeners}CONTROLLER://{host}:{}", ports.controller));
        write_line(&mut text, "listener.security.protocol.map", &protocols);
        write_line(&mut text, "controller.quorum.bootstrap.servers", &format!("{host}:{}", ports.controller));
        text
    }

    fn add_users(&self, text: &mut String) {
        let mut plain = "org.apache.kafka.common.security.plain.PlainLoginModule required".to_owned();
        for (name, password) in &self.plain_users {
            write!(plain, " user_{name}=\"{password}\"").expect("a text takes all that is written");
        }
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            for mechanism in ["scram-sha-256", "scram-sha-512"] {
                let module = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
                write_line(text, &format!("listener.name.{listener}.{mechanism}.sasl.jaas.config"), module);
            }
            write_line(
                text,
                &format!("listener.name.{listener}.plain.sasl.jaas.config"),
                &format!("{plain};"),
            );
        }
    }

    fn add_certificates(&self, text: &mut String, authority: &Authority, folder: &Path) -> Result<()> {
        let key_store = folder.join("key-store.pem");
        fs::write(&key_store, authority.issue("kafka")?.key_store()?)
            .with_context(|| format!("failed to write {}", key_store.display()))?;
        write_line(text, "ssl.keystore.type", "PEM");
        write_line(text, "ssl.keystore.location", &key_store.to_string_lossy());
        write_line(text, "ssl.truststore.type", "PEM");
        write_line(text, "ssl.truststore.location", &authority.certificate().to_string_lossy());
        if self.client_certificates {
            write_line(text, "listener.name.ssl.ssl.client.auth", "required");
        }
        Ok(())
    }
}

impl Listener {
    fn name(self) -> &'static str {
        if self == Self::Proxied { "PROXIED" } else { self.protocol() }
    }

    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext | Self::Proxied => "PLAINTEXT",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    pub(super) fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

fn write_line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name}={value}").expect("a text takes all that is written");
}

/// One broker, so one copy of everything; few internal partitions and short time-outs, so that it starts quickly, a
/// dead member is missed within half a second, and an abandoned transaction is found as fast. The controller lets a
/// killed broker come back once its session has ended: 9 s by default. Nothing is deleted by age: tests write records of
/// long ago, and a broker looks for such segments 30 s after its start.
const COMMON: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
group.min.session.timeout.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
";

/// The plain listener's clients are anonymous, and so is the broker to itself.
const ACCESS_CONTROL: &str = "\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
";
