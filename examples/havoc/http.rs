//! Just enough HTTP over the server's Unix socket.

use std::{io, path::Path};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// What is answered to a `GET`.
pub(crate) async fn get(socket: &Path, path: &str) -> io::Result<String> {
    let (_, body) = exchange(socket, &format!("GET {path} HTTP/1.0\r\n"), "").await?;
    Ok(body)
}

/// The status, and what is answered to JSON.
pub(crate) async fn post(socket: &Path, path: &str, body: &Value) -> io::Result<(u16, Value)> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let (status, answer) = exchange(socket, &head, &body).await?;
    Ok((status, serde_json::from_str(&answer)?))
}

async fn exchange(socket: &Path, head: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("{head}Host: localhost\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let found = name.eq_ignore_ascii_case("content-length");
        found.then(|| value.trim().parse().ok())?
    });
    if length.is_some_and(|length: usize| body.len() < length) {
        return Err(cut());
    }
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(cut)?, body.to_owned()))
}
