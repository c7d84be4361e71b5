//! Why a store could not do what it was asked to.
//!
//! It never tells a password, and never judges what a caller does next: that is [`Error::is_transient`]'s reader.

/// Why a store could not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[cfg(feature = "redis")]
    #[error(
        "failed to reach redis at {place} for {command}; check that it runs, the address, and that both sides agree on TLS"
    )]
    Unreachable {
        /// `host:port`, or several of them.
        place: String,
        /// What was tried.
        command: &'static str,
        /// What the connection says.
        #[source]
        source: ::redis::RedisError,
    },
    /// Nothing came back in time; whether it was done is unknown.
    #[cfg(feature = "redis")]
    #[error("redis at {place} did not answer {command} within {seconds} s; check its load and the network")]
    Silent {
        /// `host:port`, or several of them.
        place: String,
        /// What was tried.
        command: &'static str,
        /// How long we waited.
        seconds: u64,
    },
    /// The server answered that it cannot do it now, or not for us.
    #[cfg(feature = "redis")]
    #[error("redis at {place} refuses {command} with {code}; {advice}")]
    Refused {
        /// `host:port`, or several of them.
        place: String,
        /// What was tried.
        command: &'static str,
        /// The first word of the server's error, such as `OOM`.
        code: String,
        /// What to do.
        advice: &'static str,
        /// The server's whole error.
        #[source]
        source: ::redis::RedisError,
    },
    /// The user lacks a right that a script needs.
    #[error("redis at {place} does not let this user run {command}; grant it with ACL SETUSER")]
    Forbidden {
        /// `host:port`, or several of them.
        place: String,
        /// The command that is not permitted.
        command: String,
    },
    /// The sentinels name a master that is none (any more).
    #[error(
        "redis at {place} is a {role}, not the master that the sentinels name; wait for the failover, or check the sentinels"
    )]
    NotMaster {
        /// `host:port` of the node.
        place: String,
        /// What it says it is.
        role: String,
    },
    /// A sentinel answers, but knows no such master.
    #[error("the sentinel at {place} knows no master '{master}'; check its name")]
    NoMaster {
        /// `host:port` of the sentinel.
        place: String,
        /// The name that was asked for.
        master: String,
    },
    /// Somebody else's value lies under one of our keys.
    #[error("redis at {place} holds a {found} under '{key}', which is not ours; move or delete that key")]
    WrongType {
        /// `host:port`, or several of them.
        place: String,
        /// The key.
        key: String,
        /// The type that it has.
        found: String,
    },
    /// The server may throw away counts when its memory is full.
    #[error(
        "redis at {place} may evict our keys (maxmemory-policy {policy}); set it to noeviction or to a volatile-* policy"
    )]
    Evicts {
        /// `host:port` of the node.
        place: String,
        /// Its policy.
        policy: String,
    },
    /// The answer is not one that Redis gives.
    #[error(
        "redis at {place} gave an answer to {command} that makes no sense; check that it is a redis of version 4 or newer"
    )]
    Nonsense {
        /// `host:port`, or several of them.
        place: String,
        /// What was asked.
        command: &'static str,
    },
}

impl Error {
    /// Whether this is a service that is away (or does not serve us yet) and may come back by itself or by its operator's
    /// hand. The others need a change of what is stored or of how the server is set up, and trying again is in vain.
    pub fn is_transient(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Refused { .. } => true,
            Self::Forbidden { .. } | Self::NotMaster { .. } | Self::NoMaster { .. } => true,
            Self::WrongType { .. } | Self::Evicts { .. } | Self::Nonsense { .. } => false,
        }
    }
}
