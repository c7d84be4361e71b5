//! Owns asking a service over HTTP, as simply as it goes: one request a connection, answered to its end.
//! It never follows a redirect and knows no TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers as they came, a line each.
    pub headers: String,
    /// The body.
    pub body: String,
}

/// Asks `address` (`host:port`) for `path`.
pub fn get(address: &str, path: &str) -> Result<Answer> {
    ask(address, "GET", path, "")
}

/// Sends a body to `path`.
pub fn put(address: &str, path: &str, body: &str) -> Result<Answer> {
    ask(address, "PUT", path, body)
}

fn ask(address: &str, method: &str, path: &str, body: &str) -> Result<Answer> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(DEADLINE)).context("failed to set a time-out")?;
    // HTTP 1.0: the answer ends with the connection, and never comes in chunks.
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).with_context(|| format!("failed to ask {address}"))?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).with_context(|| format!("no answer from {address}{path}"))?;
    let text = String::from_utf8(text).context("an answer is no text")?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        bail!("no answer to {method} {address}{path}: {text:?}");
    };
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok(Answer { status, headers: headers.to_owned(), body: body.to_owned() })
}

const DEADLINE: Duration = Duration::from_secs(20);
