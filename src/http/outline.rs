//! `GET /api/plays/{sid}/outline`: the shape of all spans of a play, in columns.
//!
//! Who has read it follows with `GET /api/plays/{sid}/spans?last_event_id={seq}`.

use std::sync::Arc;

use actors::outlines::text;
use axum::{
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{Response, StatusCode},
};
use protocol::{Error, PlaySid};

use super::{reply, routes, shared::Shared};

/// A play of more spans has no outline: it would be tens of megabytes.
const MOST: u64 = 200_000;

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    sid: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    let written = match sid {
        Ok(Path(sid)) => write(&shared, sid.into()).await,
        Err(_) => Err(routes::no_text()),
    };
    match written {
        Ok(text) => reply::bytes(StatusCode::OK, text),
        Err(error) => reply::error(reply::status_of(error.kind), &error),
    }
}

async fn write(shared: &Shared, sid: PlaySid) -> Result<Vec<u8>, Error> {
    let outlines = &shared.faces.outlines;
    let written = outlines
        .with(&sid, MOST, |held| text::write(&held.outline))
        .await?;
    written.map_err(|error| Error::internal(format!("the outline can't be written: {error}")))
}
