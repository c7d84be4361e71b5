//! Owns a relay between clients and one service that breaks on demand: connections are cut, traffic is held back, a request
//! or its reply is lost. It never changes a byte, and never reorders any.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ports;

/// A relay that ends with this value, and all its connections with it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What is lost of an exchange, before its connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The request: the service never sees it.
    Request,
    /// The reply: the service has done what was asked, and the client does not know.
    Reply,
}

impl Proxy {
    /// Relays to the service at `service` on 127.0.0.1, which need not be there yet.
    pub fn start(service: u16) -> Result<Self> {
        let port = ports::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("failed to open a proxy")?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let acceptor = spawn(move || accepting.accept(&listener, service))?;
        Ok(Self { port, shared, acceptor: Some(acceptor) })
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections, and says how many there were. New ones are welcome.
    pub fn cut(&self) -> usize {
        let count = self.shared.lock().cut_all();
        self.shared.changed.notify_all();
        count
    }

    /// Holds all traffic back: connections stay open, and nothing passes.
    pub fn hold(&self) {
        self.shared.lock().is_held = true;
    }

    /// Lets traffic pass again after [`Proxy::hold`].
    pub fn release(&self) {
        self.shared.lock().is_held = false;
        self.shared.changed.notify_all();
    }

    /// Loses the next exchange whose request is `wanted`, judged by what is read at once, and cuts its connection. Returns
    /// whether bytes were swallowed before `deadline`.
    pub fn lose(
        &self,
        loss: Loss,
        wanted: impl Fn(&[u8]) -> bool + Send + 'static,
        deadline: Duration,
    ) -> bool {
        let mut state = self.shared.lock();
        let before = state.swallowed;
        state.armed = Some(Armed { loss, wanted: Box::new(wanted), awaited: None });
        let woken =
            self.shared.changed.wait_timeout_while(state, deadline, |state| state.swallowed == before);
        let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        state.armed = None;
        state.swallowed > before
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.cut();
        // Wakes the acceptor, which then sees that it is over.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    is_held: bool,
    armed: Option<Armed>,
    /// Exchanges that were lost so far.
    swallowed: u64,
    connections: BTreeMap<u64, [TcpStream; 2]>,
    accepted: u64,
}

type Wanted = Box<dyn Fn(&[u8]) -> bool + Send>;

struct Armed {
    loss: Loss,
    wanted: Wanted,
    /// The connection whose request has passed, and whose reply will not.
    awaited: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToService,
    ToClient,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener, service: u16) {
        let mut relays: Vec<JoinHandle<()>> = Vec::new();
        for client in listener.incoming() {
            relays.retain(|relay| !relay.is_finished());
            // Without the service, or without a thread, the client finds its connection closed.
            if let Ok(client) = client
                && let Ok(service) = TcpStream::connect((Ipv4Addr::LOCALHOST, service))
                && let Ok(pair) = self.connect(client, service)
            {
                relays.extend(pair);
            }
            if self.lock().is_over {
                break;
            }
        }
        for relay in relays {
            drop(relay.join());
        }
    }

    /// Relays both ways, on two threads.
    fn connect(self: &Arc<Self>, client: TcpStream, service: TcpStream) -> Result<[JoinHandle<()>; 2]> {
        client.set_nodelay(true)?;
        service.set_nodelay(true)?;
        let (to_service, to_client) = ((client.try_clone()?, service.try_clone()?), (service, client));
        let id = {
            let mut state = self.lock();
            ensure!(!state.is_over, "the proxy has ended");
            state.accepted += 1;
            let id = state.accepted;
            state.connections.insert(id, [to_client.0.try_clone()?, to_client.1.try_clone()?]);
            id
        };
        let relay = |direction, (from, to)| {
            let shared = Arc::clone(self);
            spawn(move || {
                shared.relay(id, direction, from, to);
                shared.lock().cut(id);
                shared.changed.notify_all();
            })
        };
        Ok([relay(Direction::ToService, to_service)?, relay(Direction::ToClient, to_client)?])
    }

    fn relay(&self, id: u64, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let Ok(count @ 1..) = from.read(&mut buffer) else { return };
            let bytes = buffer.get(..count).unwrap_or_default();
            let is_held = |state: &mut State| state.is_held && state.connections.contains_key(&id);
            let passing = self.changed.wait_while(self.lock(), is_held);
            let mut state = passing.unwrap_or_else(PoisonError::into_inner);
            if state.swallows(id, direction, bytes) {
                state.swallowed += 1;
                state.armed = None;
                return;
            }
            // With the lock where its reply is to be lost: that must not come and pass meanwhile.
            let locked = state.armed.as_ref().is_some_and(|armed| armed.awaited == Some(id)).then_some(state);
            if to.write_all(bytes).is_err() {
                return;
            }
            drop(locked);
        }
    }
}

impl State {
    /// Whether these bytes are what is to be lost. A request whose reply is to be lost passes, and is remembered.
    fn swallows(&mut self, id: u64, direction: Direction, bytes: &[u8]) -> bool {
        let Some(armed) = &mut self.armed else { return false };
        match (direction, armed.loss) {
            (Direction::ToClient, _) => armed.awaited == Some(id),
            (Direction::ToService, Loss::Request) => (armed.wanted)(bytes),
            (Direction::ToService, Loss::Reply) => {
                if armed.awaited.is_none() && (armed.wanted)(bytes) {
                    armed.awaited = Some(id);
                }
                false
            }
        }
    }

    fn cut(&mut self, id: u64) {
        if let Some(armed) = &mut self.armed
            && armed.awaited == Some(id)
        {
            // It ended by itself before the reply came: the next one will do.
            armed.awaited = None;
        }
        for stream in self.connections.remove(&id).into_iter().flatten() {
            // It may be closed already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn cut_all(&mut self) -> usize {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for &id in &ids {
            self.cut(id);
        }
        ids.len()
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new().name("lab-proxy".to_owned()).spawn(work).context("failed to start a thread")
}

const BUFFER_BYTES: usize = 64 * 1024;
