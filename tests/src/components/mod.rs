//! Owns getting the real programs that the lab starts: it finds each one, or installs it with progress on the terminal.
//! It never starts a service, and never writes into the checkout.

mod apt;
mod cache;
pub mod containers;
mod go;
pub mod helm;
pub mod jaeger;
pub mod java;
pub mod kafka;
pub mod kubernetes;
pub mod openmetrics;
pub mod openssl;
pub mod promtool;
pub mod redis;
pub mod valgrind;

use anyhow::Result;

/// Gets every component that the tests need, one after the other, so that no test waits for an installation.
pub fn install_all() -> Result<()> {
    openssl::openssl()?;
    redis::redis_server()?;
    kafka::libraries()?;
    jaeger::jaeger()?;
    openmetrics::parser()?;
    valgrind::valgrind()?;
    promtool::promtool()?;
    containers::containerd()?;
    containers::network_plugins()?;
    containers::pause()?;
    kubernetes::programs()?;
    kubernetes::etcd()?;
    kubernetes::coredns()?;
    helm::helm()?;
    Ok(())
}

/// Says on standard error what the lab is about to do.
fn progress(message: &str) {
    eprintln!("lab: {message}");
}
