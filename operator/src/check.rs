//! `rollcall-operator check`: whether an installation works, for `helm test`.
//!
//! Only asks: the API server for the custom resource, the operator for its readiness.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use kube::{Client, Resource as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::resource::Rollcall;

/// What `check` is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The operator's metrics port, `http://host:port`.
    #[arg(long, env = "ROLLCALL_OPERATOR", value_name = "URL")]
    operator: String,
}

/// Asks both. Errors: the first that does not answer as it should.
pub async fn run(arguments: &Arguments) -> Result<(), anyhow::Error> {
    let client = Client::try_default().await.context("failed to find the API server")?;
    let group = Rollcall::api_version(&());
    let served = client.list_api_group_resources(&group).await.with_context(|| {
        format!("the API server does not serve {group}: install the definition (`rollcall-operator crd`)")
    })?;
    ensure!(
        served.resources.iter().any(|resource| resource.name == Rollcall::plural(&())),
        "{group} has no rollcalls"
    );
    let answer = tokio::time::timeout(LIMIT, readyz(&arguments.operator))
        .await
        .context("no answer in time")
        .flatten()
        .with_context(|| format!("failed to ask {} whether it is ready", arguments.operator))?;
    let status = answer.lines().next().unwrap_or_default();
    ensure!(status.split(' ').nth(1) == Some("200"), "{} is not ready: {status}", arguments.operator);
    println!("{group} is served, and the operator is ready");
    Ok(())
}

async fn readyz(url: &str) -> Result<String, anyhow::Error> {
    let host = url.strip_prefix("http://").context("give an address like http://host:9090")?;
    let host = host.trim_end_matches('/');
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const LIMIT: Duration = Duration::from_secs(10);
const ANSWER_MAX: u64 = 64 * 1024;
