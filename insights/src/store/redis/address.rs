//! Where a Redis is and how to log in.
//!
//! Owns the address and how it is shown; it never shows a password and never connects.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::spec::redis_url::{self, RedisUrl};

/// Where a Redis is and how to log in.
#[derive(Clone, Debug)]
pub struct Address {
    /// What answers at the hosts.
    pub kind: Kind,
    /// Hosts and ports: the server, the sentinels, or some nodes of the cluster. At least one.
    pub hosts: Vec<(String, u16)>,
    /// Whether all connections use TLS, checked against the system's roots.
    pub tls: bool,
    /// The user of the data nodes; none: `default`.
    pub user: Option<String>,
    /// The password of the data nodes. Sentinels never get it.
    pub password: Option<SecretString>,
    /// The number of the database.
    pub database: i64,
}

/// What answers at the hosts of an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One server.
    Single,
    /// Sentinels, which are asked for a master.
    Sentinel {
        /// The master's name.
        master: String,
    },
    /// A cluster.
    Cluster,
}

impl From<RedisUrl> for Address {
    fn from(url: RedisUrl) -> Self {
        let kind = match (url.kind, url.master) {
            (redis_url::Kind::Cluster, _) => Kind::Cluster,
            (redis_url::Kind::Sentinel, Some(master)) => Kind::Sentinel { master },
            _ => Kind::Single,
        };
        Self {
            kind,
            hosts: url.hosts,
            tls: url.tls,
            user: url.user,
            password: url.password,
            database: url.database.into(),
        }
    }
}

impl Address {
    /// A data node of this address, with credentials.
    pub(super) fn data_node(&self, host: &str, port: u16) -> ::redis::ConnectionInfo {
        let mut settings = bare_settings().set_db(self.database);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose_secret());
        }
        self.bare_node(host, port).set_redis_settings(settings)
    }

    /// A node of this address without credentials.
    pub(super) fn bare_node(&self, host: &str, port: u16) -> ::redis::ConnectionInfo {
        let address = if self.tls {
            ::redis::ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
        } else {
            ::redis::ConnectionAddr::Tcp(host.to_owned(), port)
        };
        ::redis::IntoConnectionInfo::into_connection_info(address)
            .expect("a host and a port always make connection settings")
            .set_redis_settings(bare_settings())
    }
}

impl fmt::Display for Address {
    /// Writes `host:port` of each host.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (host, port)) in self.hosts.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{host}:{port}")?;
        }
        Ok(())
    }
}

/// `CLIENT SETINFO` would be one more right to grant.
fn bare_settings() -> ::redis::RedisConnectionInfo {
    ::redis::RedisConnectionInfo::default().set_skip_set_lib_name()
}
