//! Just enough HTTP and JSON-RPC for a caller that shares no code with the server.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::{Value, json};

use super::PATIENCE;

/// A connection, over TCP or a Unix socket.
pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub(crate) fn unix(socket: &Path) -> Box<dyn Stream> {
    // The path of a socket is limited to 107 bytes: a deep one is reached through its directory.
    let directory = std::fs::File::open(socket.parent().unwrap()).unwrap();
    let short = format!(
        "/proc/self/fd/{}/{}",
        std::os::fd::AsRawFd::as_raw_fd(&directory),
        socket.file_name().unwrap().to_str().unwrap()
    );
    let stream = UnixStream::connect(short).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Box::new(stream)
}

pub(crate) fn tcp(address: &str) -> Box<dyn Stream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Box::new(stream)
}

pub(crate) fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// One call by lines.
pub(crate) fn call_by_line(mut stream: Box<dyn Stream>, request: &Value) -> Value {
    writeln!(stream, "{request}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// One call by HTTP.
pub(crate) fn call_by_post(stream: Box<dyn Stream>, request: &Value) -> Value {
    let body = request.to_string();
    let head = format!(
        "POST /rpc HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (status, answer) = exchange(stream, &(head + &body)).unwrap();
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

/// The status and the body of what is at this path.
pub(crate) fn get(stream: Box<dyn Stream>, path: &str) -> (u16, String) {
    exchange(
        stream,
        &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    )
    .unwrap()
}

/// As [`get`], with the lines of the head between.
pub(crate) fn get_with_head(mut stream: Box<dyn Stream>, path: &str) -> (u16, String, String) {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// The status and the body of the answer to a body that is sent to this path, as anybody would.
pub(crate) fn post(
    stream: Box<dyn Stream>,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    exchange(stream, &(head + body)).unwrap()
}

fn exchange(mut stream: Box<dyn Stream>, request: &str) -> io::Result<(u16, String)> {
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let status = read_head(&mut reader)?;
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    Ok((status, body))
}

/// Reads up to the body; the status.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<u16> {
    let mut status = String::new();
    reader.read_line(&mut status)?;
    let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            return code.ok_or_else(|| io::Error::other(format!("no status: {status:?}")));
        }
    }
}
