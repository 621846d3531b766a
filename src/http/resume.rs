//! `POST /api/resume/{token}`: answers a question of a play. The token is all the authorisation it takes,
//! so it is never logged, and never repeated in an answer.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{Response, StatusCode},
};
use protocol::{Error, rpc::MAX_PAYLOAD};
use serde_json::{Value, json};

use super::{call, reply, shared::Shared};

/// Where the tokens are.
pub(super) const PREFIX: &str = "/api/resume/";

pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    token: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    // What is no text is no token.
    let token = token.map_or_else(|_| String::new(), |Path(token)| token);
    let limit = shared.limits.request_bytes.min(MAX_PAYLOAD);
    let answered = match call::read(request, limit).await {
        Ok(body) => match serde_json::from_slice::<Value>(&body) {
            Ok(payload) => (shared.faces.resume)(token, payload).await,
            Err(error) => Err(Error::invalid_input(format!(
                "the body is to be the answer as JSON, and is none: {error}"
            ))),
        },
        Err(unread) => {
            let (status, error) = unread.told(limit);
            return reply::error(status, &error);
        }
    };
    match answered {
        Ok(()) => reply::json(StatusCode::OK, &json!({"resumed": true})),
        Err(error) => reply::error(reply::status_of(error.kind), &error),
    }
}
