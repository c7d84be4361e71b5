//! The forms of `redis.url`: one server, with or without TLS, behind Sentinel, or a cluster.
//!
//! Owns their grammar. It never connects, and its errors never repeat a piece of the URL: that may be the password.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::names::host_and_port;

/// Where Redis is, and how to log in.
#[derive(Clone, Debug)]
pub struct RedisUrl {
    /// Which of the forms it is.
    pub kind: Kind,
    /// The server, or the sentinels, or some of the cluster's nodes: host (IPv6 without brackets) and port.
    pub hosts: Vec<(String, u16)>,
    /// The user; the server's default one when absent.
    pub user: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// The database's number; 0 but for [`Kind::Server`].
    pub database: u32,
    /// The name under which Sentinel knows the master, with [`Kind::Sentinel`].
    pub master: Option<String>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// How Redis is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `redis://` or `rediss://`: one server.
    Server,
    /// `redis-sentinel://`: the master that the sentinels name.
    Sentinel,
    /// `redis-cluster://`: Redis Cluster.
    Cluster,
}

/// Why a text is no URL of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The scheme is another.
    #[error("does not begin with redis://, rediss://, redis-sentinel:// or redis-cluster://")]
    Scheme,
    /// There is something before `@`, but no password.
    #[error("has no password before the @, write user:password@ or :password@")]
    Credentials,
    /// User or password are not UTF-8 after percent-decoding.
    #[error("has a user or a password that is not UTF-8")]
    Encoding,
    /// A host is malformed.
    #[error("has no valid host and port, write for example redis://localhost:6379")]
    Host,
    /// More than one host.
    #[error("has more than one host, only redis-sentinel:// and redis-cluster:// take several")]
    Hosts,
    /// The path is not a database's number.
    #[error("has something behind the host that is not a database's number, such as /0")]
    Database,
    /// The path is not a master's name.
    #[error("has no name of a master, write redis-sentinel://host1:26379,host2:26379/mymaster")]
    Master,
    /// A cluster has no databases.
    #[error("has something behind the hosts, remove it: a cluster has only database 0")]
    Cluster,
}

impl RedisUrl {
    /// Reads a URL. User and password may be percent-encoded; as long as they hold no `%` they need not be.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once("://").ok_or(Error::Scheme)?;
        let (kind, tls) = match scheme {
            "redis" => (Kind::Server, false),
            "rediss" => (Kind::Server, true),
            "redis-sentinel" => (Kind::Sentinel, false),
            "redis-cluster" => (Kind::Cluster, false),
            _ => return Err(Error::Scheme),
        };
        // The last `@`: a password that was put in as it is may hold others.
        let (user, password, rest) = match rest.rsplit_once('@') {
            None => (None, None, rest),
            Some((credentials, rest)) => {
                let (user, password) = credentials.split_once(':').ok_or(Error::Credentials)?;
                if password.is_empty() {
                    return Err(Error::Credentials);
                }
                let user = Some(percent_decode(user)?).filter(|user| !user.is_empty());
                (user, Some(SecretString::from(percent_decode(password)?)), rest)
            }
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts = parse_hosts(hosts, kind)?;
        let database = match kind {
            Kind::Server if !path.is_empty() => database(path)?,
            Kind::Cluster if !path.is_empty() => return Err(Error::Cluster),
            _ => 0,
        };
        let master = match kind {
            Kind::Sentinel => Some(master(path)?),
            Kind::Server | Kind::Cluster => None,
        };
        Ok(Self { kind, hosts, user, password, database, master, tls })
    }
}

/// The URL with user and password, whatever characters they hold; none when it has some already.
pub(super) fn with_credentials(url: &str, user: &str, password: &str) -> Option<String> {
    if url.contains('@') {
        return None;
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    Some(format!("{scheme}://{}:{}@{rest}", percent_encode(user), percent_encode(password)))
}

impl fmt::Display for RedisUrl {
    /// Writes the URL with `***` as its password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match (self.kind, self.tls) {
            (Kind::Server, false) => "redis://",
            (Kind::Server, true) => "rediss://",
            (Kind::Sentinel, _) => "redis-sentinel://",
            (Kind::Cluster, _) => "redis-cluster://",
        })?;
        if self.password.as_ref().is_some_and(|password| !password.expose_secret().is_empty()) {
            write!(formatter, "{}:***@", percent_encode(self.user.as_deref().unwrap_or_default()))?;
        }
        for (index, (host, port)) in self.hosts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let (opening, closing) = if host.contains(':') { ("[", "]") } else { ("", "") };
            write!(formatter, "{separator}{opening}{host}{closing}:{port}")?;
        }
        match &self.master {
            Some(master) => write!(formatter, "/{}", percent_encode(master)),
            None if self.database != 0 => write!(formatter, "/{}", self.database),
            None => Ok(()),
        }
    }
}

fn parse_hosts(text: &str, kind: Kind) -> Result<Vec<(String, u16)>, Error> {
    let port_default = if kind == Kind::Sentinel { 26_379 } else { 6379 };
    let mut hosts = Vec::new();
    for host in text.split(',') {
        hosts.push(host_and_port(host, Some(port_default)).ok_or(Error::Host)?);
    }
    if kind == Kind::Server && hosts.len() > 1 {
        return Err(Error::Hosts);
    }
    Ok(hosts)
}

fn database(path: &str) -> Result<u32, Error> {
    if !path.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Database);
    }
    path.parse().map_err(|_| Error::Database)
}

fn master(path: &str) -> Result<String, Error> {
    let is_name = !path.is_empty() && !path.contains(['/', '?', '#']);
    if is_name { percent_decode(path) } else { Err(Error::Master) }
}

/// A `%` without two hexadecimal digits stands for itself, as in the URL standard.
fn percent_decode(text: &str) -> Result<String, Error> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => hex_digit(*high).zip(hex_digit(*low)).zip(Some(behind)),
            _ => None,
        };
        let (byte, behind) =
            escaped.map_or((*first, behind), |((high, low), behind)| (high * 16 + low, behind));
        decoded.push(byte);
        rest = behind;
    }
    String::from_utf8(decoded).map_err(|_| Error::Encoding)
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                encoded
                    .extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    encoded
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> RedisUrl {
        RedisUrl::parse(text).unwrap_or_else(|error| panic!("{text} {error}"))
    }

    #[test]
    fn a_server_has_a_host_a_port_and_a_database() {
        let url = parsed("redis://localhost");
        assert_eq!((url.kind, url.tls, url.database), (Kind::Server, false, 0));
        assert_eq!(url.hosts, [("localhost".to_owned(), 6379)]);
        let url = parsed("rediss://[::1]:6380/3");
        assert_eq!((url.kind, url.tls, url.database), (Kind::Server, true, 3));
        assert_eq!(url.hosts, [("::1".to_owned(), 6380)]);
        assert_eq!(parsed("redis://a/").database, 0);
    }

    #[test]
    fn sentinels_name_a_master_and_a_cluster_has_many_hosts() {
        let url = parsed("redis-sentinel://:pw@h1:26379,h2/mymaster");
        assert_eq!((url.kind, url.master.as_deref()), (Kind::Sentinel, Some("mymaster")));
        assert_eq!(url.hosts, [("h1".to_owned(), 26_379), ("h2".to_owned(), 26_379)]);
        let url = parsed("redis-cluster://h1:6379,h2:6380");
        assert_eq!((url.kind, url.hosts.len(), url.master), (Kind::Cluster, 2, None));
    }

    #[test]
    fn user_and_password_may_be_percent_encoded_or_not() {
        for (text, user, password) in [
            ("redis://u:p@h", Some("u"), "p"),
            ("redis://:p@h", None, "p"),
            ("redis://u%40x:p%2Fq%3a@h", Some("u@x"), "p/q:"),
            ("redis://u:p@/:?#q@h", Some("u"), "p@/:?#q"),
            ("redis://u:50%@h", Some("u"), "50%"),
            ("redis://u:%e2%82%ac@h", Some("u"), "€"),
        ] {
            let url = parsed(text);
            assert_eq!(url.user.as_deref(), user, "{text}");
            assert_eq!(
                url.password.as_ref().map(|secret| secret.expose_secret().to_owned()),
                Some(password.to_owned())
            );
        }
    }

    #[test]
    fn user_and_password_beside_the_url_may_hold_anything() {
        for (user, password) in [("", "p"), ("a:b@c", "p@ss:/%41?#€ "), ("u", "%%")] {
            let url = with_credentials("redis-sentinel://a,b:1/m", user, password).unwrap();
            let url = parsed(&url);
            assert_eq!(url.user.unwrap_or_default(), user);
            assert_eq!(url.password.unwrap().expose_secret(), password);
            assert_eq!((url.hosts.len(), url.master.as_deref()), (2, Some("m")));
        }
        assert_eq!(with_credentials("redis://u:p@h", "u", "p"), None);
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_reason() {
        for (text, error) in [
            ("", Error::Scheme),
            ("localhost:6379", Error::Scheme),
            ("http://h", Error::Scheme),
            ("unix:///run/redis", Error::Scheme),
            ("rediss-cluster://h", Error::Scheme),
            ("redis://", Error::Host),
            ("redis://h:0", Error::Host),
            ("redis://h:x", Error::Host),
            ("redis://h?protocol=3", Error::Host),
            ("redis-cluster://h1,,h2", Error::Host),
            ("redis://h1,h2", Error::Hosts),
            ("redis://h/x", Error::Database),
            ("redis://h/0/1", Error::Database),
            ("redis://h/99999999999", Error::Database),
            ("redis-sentinel://h", Error::Master),
            ("redis-sentinel://h/a/b", Error::Master),
            ("redis-cluster://h/1", Error::Cluster),
            ("redis://u@h", Error::Credentials),
            ("redis://u:@h", Error::Credentials),
            ("redis://u:%ff@h", Error::Encoding),
        ] {
            assert_eq!(RedisUrl::parse(text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn it_is_shown_without_its_password_and_reads_back() {
        for (text, shown) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://u:secret@h/2", "redis://u:***@h:6379/2"),
            ("rediss://:secret@[::1]", "rediss://:***@[::1]:6379"),
            ("redis-sentinel://u%40:secret@a,b:1/m%20x", "redis-sentinel://u%40:***@a:26379,b:1/m%20x"),
            ("redis-cluster://a,b", "redis-cluster://a:6379,b:6379"),
        ] {
            let url = parsed(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(parsed(shown).to_string(), shown);
            assert!(!format!("{url:?}").contains("secret@") && !format!("{url:?}").contains("\"secret\""));
        }
    }
}
