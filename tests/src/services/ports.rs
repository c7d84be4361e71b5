//! Owns choosing free loopback ports for services.
//! It never gives the same port twice, nor one that the system may lend to an outgoing connection.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Result, bail};

/// A port on 127.0.0.1 that nobody listens on, and that stays this process' own while services restart.
pub(super) fn free() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ATTEMPTS_MAX {
        let port = rand::random_range(PORT_MIN..PORT_MAX);
        if given.contains(&port) || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            continue;
        }
        given.insert(port);
        return Ok(port);
    }
    bail!("no free loopback port between {PORT_MIN} and {PORT_MAX}: stop what listens there")
}

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// Below Linux' ephemeral ports, which begin at 32768: a stopped service finds its port free when it comes back.
const PORT_MIN: u16 = 10_000;
const PORT_MAX: u16 = 32_000;
const ATTEMPTS_MAX: usize = 1_000;
