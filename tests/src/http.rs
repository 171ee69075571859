//! The smallest HTTP client that serves: one request per connection, with a limit on everything.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Like 200.
    pub status: u16,
    /// Everything after the head.
    pub body: String,
}

/// Asks for `path` with GET.
///
/// # Errors
/// When nobody listens, the answer takes longer than `limit` per read, or is not HTTP.
pub fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<Response> {
    request(address, "GET", path, limit)
        .with_context(|| format!("failed to get http://{address}{path}"))
}

/// Makes one request without a body.
///
/// # Errors
/// As [`get`].
pub fn request(address: SocketAddr, method: &str, path: &str, limit: Duration) -> Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // Version 1.0, so that the answer ends with the connection and is not sent in chunks.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> Result<Response> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        bail!(
            "the answer has no end of head; it is {} bytes",
            answer.len()
        );
    };
    let status = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|code| code.parse().ok())
        .context("the answer's first line has no status")?;
    Ok(Response {
        status,
        body: body.to_owned(),
    })
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// When the loopback interface has none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("failed to find a free port on the loopback interface")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_body_are_told_apart() {
        let response = parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\none\r\n\r\ntwo").unwrap();
        assert_eq!(response.status, 404);
        assert_eq!(response.body, "one\r\n\r\ntwo");
    }

    #[test]
    fn half_an_answer_is_an_error() {
        parse(b"HTTP/1.1 200 OK\r\nA: b\r\n").unwrap_err();
        parse(b"").unwrap_err();
        parse(b"SSH-2.0\r\n\r\n").unwrap_err();
    }
}
