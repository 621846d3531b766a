//! `POST /rpc`: JSON-RPC over HTTP.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use protocol::{Error, ErrorKind};

use super::{
    reply,
    shared::{Shared, too_large},
};

/// How long a body may stand still.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// How long the rest of a body that is too large is read and dropped, so that its sender gets to
/// read the answer.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no body.
pub(super) enum Unread {
    TooLarge,
    Stalled,
    /// The sender has left.
    Broken,
}

impl Unread {
    /// What its sender is told.
    pub(super) fn told(&self, limit: usize) -> (StatusCode, Error) {
        let invalid = |what| Error::new(ErrorKind::InvalidRequest, what);
        match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, too_large(limit)),
            Self::Stalled => (
                StatusCode::REQUEST_TIMEOUT,
                invalid("the body stopped coming"),
            ),
            Self::Broken => (StatusCode::BAD_REQUEST, invalid("the body can't be read")),
        }
    }
}

pub(super) async fn post(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    if !is_json(request.headers()) {
        let error = Error::new(
            ErrorKind::InvalidRequest,
            "the content type must be application/json",
        );
        return reply::rpc_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
    }
    let limit = shared.limits.request_bytes;
    let request = match read(request, limit).await {
        Ok(body) => body,
        Err(unread) => {
            let (status, error) = unread.told(limit);
            return reply::rpc_error(status, &error);
        }
    };
    match shared.faces.rpc.accept(request).await {
        Some(answer) => reply::bytes(StatusCode::OK, answer),
        None => {
            let mut nothing = Response::new(Body::empty());
            *nothing.status_mut() = StatusCode::NO_CONTENT;
            nothing
        }
    }
}

/// A page can send other types without asking; this one it can't.
fn is_json(headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    given.is_some_and(|given| given.trim().eq_ignore_ascii_case("application/json"))
}

/// The whole body.
pub(super) async fn read(request: Request, limit: usize) -> Result<Bytes, Unread> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut body = request.into_body();
    let mut whole = BytesMut::new();
    if announced.is_none_or(|length| length <= limit) {
        whole.reserve(announced.unwrap_or(0).min(1 << 20));
        loop {
            match next(&mut body, STALL_LIMIT).await? {
                None => return Ok(whole.freeze()),
                Some(data) if data.len() > limit - whole.len() => break,
                Some(data) => whole.extend_from_slice(&data),
            }
        }
    }
    drop(whole);
    let rest = async { while let Ok(Some(_)) = next(&mut body, DRAIN_LIMIT).await {} };
    // Whether it came to its end does not matter: the answer is the same.
    drop(tokio::time::timeout(DRAIN_LIMIT, rest).await);
    Err(Unread::TooLarge)
}

async fn next(body: &mut Body, patience: Duration) -> Result<Option<Bytes>, Unread> {
    loop {
        let frame = tokio::time::timeout(patience, body.frame()).await;
        match frame.map_err(|_| Unread::Stalled)? {
            None => return Ok(None),
            Some(Err(_)) => return Err(Unread::Broken),
            Some(Ok(frame)) => {
                // Trailers say nothing here.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
