//! Owns a way into a cluster's network: a loopback port of this machine whose connections go on inside.
//! It never lets anything out: connections are only made inwards.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::namespace::Namespace;

/// A port that ends with this value; connections that are open go on until one side closes.
#[derive(Debug)]
pub struct Forward {
    port: u16,
    is_over: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Forward {
    /// A port of the namespace that the calling thread is in.
    pub(super) fn new(namespace: &Arc<Namespace>, inside: String) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to bind a port")?;
        let port = listener.local_addr().context("a listener has no address")?.port();
        let is_over = Arc::new(AtomicBool::new(false));
        let (stop, namespace) = (Arc::clone(&is_over), Arc::downgrade(namespace));
        let listener = thread::Builder::new()
            .name("lab-forward".to_owned())
            .spawn(move || {
                for outer in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    if let Err(error) = outer
                        .context("failed to accept")
                        .and_then(|outer| join(outer, connect(&namespace, &inside)?))
                    {
                        eprintln!("lab: {inside}: {error:#}");
                    }
                }
            })
            .context("failed to start a thread")?;
        Ok(Self { port, is_over, listener: Some(listener) })
    }

    /// `host:port` outside.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // A last connection wakes the listener.
        let woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        if let Some(listener) = self.listener.take().filter(|_| woken)
            && listener.join().is_err()
        {
            eprintln!("lab: a thread that forwards connections panicked");
        }
    }
}

fn connect(namespace: &Weak<Namespace>, address: &str) -> Result<TcpStream> {
    let namespace = namespace.upgrade().context("the cluster is gone")?;
    namespace.inside(|| TcpStream::connect(address).context("nobody listens inside"))
}

fn join(outer: TcpStream, inner: TcpStream) -> Result<()> {
    let (outer_reader, inner_reader) = (outer.try_clone()?, inner.try_clone()?);
    thread::Builder::new().name("lab-inwards".to_owned()).spawn(move || pass(outer_reader, inner))?;
    thread::Builder::new().name("lab-outwards".to_owned()).spawn(move || pass(inner_reader, outer))?;
    Ok(())
}

/// Until `from` ends; a broken connection is an end too, which the other side gets to know.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let ended = io::copy(&mut from, &mut to).is_ok();
    let way = if ended { Shutdown::Write } else { Shutdown::Both };
    // The other side may be gone already.
    drop(to.shutdown(way));
}
