//! Which paths there are, and what stands behind them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use actors::figures::Family;
use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri},
    middleware,
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::{Error, ErrorKind};
use serde_json::json;

use super::{
    artifact, call,
    guard::{self, Guard},
    metrics, outline, page, reply, resume,
    shared::Shared,
    sse::{Beginning, Source},
};
use crate::rpc::Rpc;

/// How long `/metrics` waits for the runtime.
const FIGURES_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn router(shared: Shared, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/rpc", post(call::post))
        .route("/api/plays", get(lists))
        .route("/api/plays/{sid}/spans", get(spans))
        .route("/api/plays/{sid}/outline", get(outline::get))
        .route("/api/plays/{sid}/artifacts/{*path}", get(artifact::get))
        .route("/api/resume/{token}", post(resume::post))
        .route("/healthz", get(health))
        .route("/metrics", get(figures))
        .fallback(elsewhere)
        .method_not_allowed_fallback(async |uri: Uri| wrong_method(&uri))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .with_state(Arc::new(shared))
}

/// What is no route is the page's, or nothing.
async fn elsewhere(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    if !page::has(uri.path()) {
        let error = Error::new(ErrorKind::NotFound, "there is nothing at this path");
        return reply::error(StatusCode::NOT_FOUND, &error);
    }
    match method {
        Method::GET | Method::HEAD => page::get(uri.path(), &headers).await,
        _ => wrong_method(&uri),
    }
}

fn wrong_method(uri: &Uri) -> Response<Body> {
    let error = Error::new(
        ErrorKind::InvalidRequest,
        "this path does not take this method; /rpc and /api/resume/… take POST, everything else GET",
    );
    match uri.path() {
        "/rpc" => reply::rpc_error(StatusCode::METHOD_NOT_ALLOWED, &error),
        _ => reply::error(StatusCode::METHOD_NOT_ALLOWED, &error),
    }
}

async fn spans(
    State(shared): State<Arc<Shared>>,
    sid: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let Ok(Path(sid)) = sid else {
        return reply::error(StatusCode::NOT_FOUND, &no_text());
    };
    let beginning = match beginning(&headers, query.as_deref()) {
        Ok(beginning) => beginning,
        Err(error) => return reply::error(StatusCode::BAD_REQUEST, &error),
    };
    streamed(source(&shared).open(sid.into(), beginning).await)
}

/// What changes of the lists of plays and workflows.
async fn lists(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    match beginning(&headers, query.as_deref()) {
        Ok(beginning) => streamed(source(&shared).open_lists(beginning).await),
        Err(error) => reply::error(StatusCode::BAD_REQUEST, &error),
    }
}

fn source(shared: &Shared) -> Source {
    Source {
        store: shared.faces.store.clone(),
        keep_alive: shared.limits.keep_alive,
        stopping: shared.stopping.clone(),
    }
}

fn streamed(events: Result<impl Stream<Item = Bytes> + Send + 'static, Error>) -> Response<Body> {
    match events {
        Ok(events) => {
            let body = Body::from_stream(events.map(Ok::<Bytes, std::convert::Infallible>));
            let mut response = reply::typed(StatusCode::OK, "text/event-stream", body);
            // Proxies must pass events on as they come.
            let plain = HeaderValue::from_static("no");
            response.headers_mut().insert("x-accel-buffering", plain);
            response
        }
        Err(error) => reply::error(reply::status_of(error.kind), &error),
    }
}

/// What is no text names nothing.
pub(super) fn no_text() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "there is no play whose sid is no UTF-8 text",
    )
}

/// Where a live stream begins. The header goes before the query: a browser that comes back sends
/// its last id as the header, to the address it was first given.
fn beginning(headers: &HeaderMap, query: Option<&str>) -> Result<Beginning, Error> {
    let header = headers.get("last-event-id").map(HeaderValue::as_bytes);
    let in_query = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("last_event_id="))
        .map(str::as_bytes);
    let Some(id) = header.or(in_query).filter(|id| !id.is_empty()) else {
        return Ok(Beginning::Snapshot);
    };
    std::str::from_utf8(id)
        .ok()
        .filter(|id| id.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|id| id.parse().ok())
        .map(Beginning::After)
        .ok_or_else(|| {
            Error::invalid_input(
                "Last-Event-ID must be the id of an event of this stream: a whole number",
            )
        })
}

async fn health(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let health = (shared.faces.health)().await;
    let status = if health.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    reply::json(status, &json!(health))
}

async fn figures(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let counted = tokio::time::timeout(FIGURES_LIMIT, (shared.faces.figures)()).await;
    match counted.unwrap_or_else(|_| Err(Error::unavailable("the runtime does not answer"))) {
        Ok(mut families) => {
            families.push(
                Family::gauge("connections", "Open connections, on TCP and on the socket.")
                    .of(shared.connections.load(Ordering::Relaxed)),
            );
            families.push(calls(&shared.faces.rpc));
            reply::typed(
                StatusCode::OK,
                metrics::CONTENT_TYPE,
                metrics::text(&families),
            )
        }
        Err(error) => reply::error(StatusCode::SERVICE_UNAVAILABLE, &error),
    }
}

fn calls(rpc: &Rpc) -> Family {
    let family = Family::counter("rpc_calls_total", "JSON-RPC calls that were answered.");
    rpc.calls().fold(family, |family, (method, ok, failed)| {
        family
            .and(&[("method", method), ("outcome", "ok")], ok)
            .and(&[("method", method), ("outcome", "error")], failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_id_is_read_strictly() {
        let read = |header: Option<&str>, query: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("last-event-id", header.parse().unwrap());
            }
            beginning(&headers, query)
        };
        assert_eq!(read(None, None), Ok(Beginning::Snapshot));
        assert_eq!(read(Some(""), Some("x=1")), Ok(Beginning::Snapshot));
        assert_eq!(read(Some("0"), None), Ok(Beginning::After(0)));
        assert_eq!(
            read(None, Some("a=b&last_event_id=12")),
            Ok(Beginning::After(12))
        );
        assert_eq!(
            read(Some("13"), Some("last_event_id=12")),
            Ok(Beginning::After(13))
        );
        for bad in ["-1", "+1", "1.5", "x", "18446744073709551616", "1 2"] {
            assert!(read(Some(bad), None).is_err(), "{bad}");
            assert!(
                read(None, Some(&format!("last_event_id={bad}"))).is_err(),
                "{bad}"
            );
        }
    }
}
