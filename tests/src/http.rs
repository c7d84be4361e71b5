//! Owns asking a service over HTTP, as simply as it goes: one request a connection, answered to its end.
//! It never follows a redirect and knows no TLS.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
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
    ask(address, "GET", path, &[], "")
}

/// Asks with headers of one's own.
pub fn get_with(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    ask(address, "GET", path, headers, "")
}

/// Asks for `path`, and reads the answer as it comes.
pub fn follow(address: &str, path: &str) -> Result<Following> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")
        .with_context(|| format!("failed to ask {address}"))?;
    Ok(Following(BufReader::new(stream)))
}

/// An answer that goes on.
#[derive(Debug)]
pub struct Following(BufReader<TcpStream>);

impl Following {
    /// The rest of the next line that begins so, be it of the head or of the body; none at the answer's end.
    pub fn next(&mut self, beginning: &str) -> Result<Option<String>> {
        let mut line = String::new();
        while self.0.read_line(&mut line).context("nothing came in time")? > 0 {
            if let Some(rest) = line.strip_prefix(beginning) {
                return Ok(Some(rest.trim_end().to_owned()));
            }
            line.clear();
        }
        Ok(None)
    }
}

/// Sends a body to `path`.
pub fn put(address: &str, path: &str, body: &str) -> Result<Answer> {
    ask(address, "PUT", path, &[], body)
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("failed to connect to {address}"))?;
    stream.set_read_timeout(Some(DEADLINE)).context("failed to set a time-out")?;
    Ok(stream)
}

fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    let mut stream = connect(address)?;
    let headers =
        headers.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
    // HTTP 1.0: the answer ends with the connection, and never comes in chunks.
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
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
