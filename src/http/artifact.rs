//! `GET /api/plays/{sid}/artifacts/{path}`: a file that a play left, to be saved. Flows write what they
//! like, so it is never shown as a page of this server: always an attachment, of no type that a
//! browser would look into.

use std::{fmt::Write, fs::File, io::Read, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use futures_util::stream;

use super::{reply, routes, shared::Shared};

/// How much is read at a time.
const PIECE: u64 = 256 << 10;

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    named: Result<Path<(String, String)>, PathRejection>,
) -> Response<Body> {
    let found = match named {
        Ok(Path((sid, path))) => {
            let found = (shared.faces.artifact)(sid.into(), path.clone()).await;
            found.map(|(file, bytes)| (path, file, bytes))
        }
        Err(_) => Err(routes::no_text()),
    };
    match found {
        Ok((path, file, bytes)) => attachment(&path, file, bytes),
        Err(error) => reply::error(reply::status_of(error.kind), &error),
    }
}

fn attachment(path: &str, file: File, bytes: u64) -> Response<Body> {
    let body = Body::from_stream(pieces(file, bytes));
    let mut response = reply::typed(StatusCode::OK, "application/octet-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    let name = path.rsplit('/').next().unwrap_or_default();
    if let Ok(value) =
        HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{}", escaped(name)))
    {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// As much of the file as it had when it was opened. Where it is shorter by now, the answer breaks off,
/// and its reader sees that it is not whole.
fn pieces(
    file: File,
    bytes: u64,
) -> impl stream::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, bytes), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            (&mut file).take(left.min(PIECE)).read_to_end(&mut piece)?;
            Ok::<_, std::io::Error>((file, piece))
        });
        let (file, piece) = read.await.map_err(std::io::Error::other)??;
        if piece.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - piece.len() as u64;
        Ok(Some((Bytes::from(piece), (file, left))))
    })
}

/// As RFC 8187 wants it.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            out.push(char::from(byte));
        } else if write!(out, "%{byte:02X}").is_err() {
            return out; // a string takes what is written to it
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_header() {
        assert_eq!(escaped("report-1.txt"), "report-1.txt");
        assert_eq!(escaped("a \"b\";\r\né"), "a%20%22b%22%3B%0D%0A%C3%A9");
    }
}
