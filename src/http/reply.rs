//! How answers become HTTP responses.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use protocol::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::rpc::answer::{error_object, error_without_id};

/// A body of JSON bytes.
pub(super) fn bytes(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    typed(status, "application/json", body)
}

/// A body of this type.
pub(super) fn typed(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    bytes(status, value.to_string())
}

/// An error of anything but `/rpc`.
pub(super) fn error(status: StatusCode, error: &Error) -> Response<Body> {
    json(status, &json!({"error": error_object(error)}))
}

/// An error of `/rpc` itself, before any call was read.
pub(super) fn rpc_error(status: StatusCode, error: &Error) -> Response<Body> {
    bytes(status, error_without_id(error))
}

/// The status that says the same as the kind.
pub(super) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound | ErrorKind::MethodNotFound => StatusCode::NOT_FOUND,
        ErrorKind::ParseError
        | ErrorKind::InvalidRequest
        | ErrorKind::InvalidParams
        | ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
