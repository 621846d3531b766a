//! What every connection shares: the faces behind it, and the bounds of what it may take up.

use std::{
    fmt,
    fs::File,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use actors::{Runtime, figures::Family, outlines::Outlines, store::Store};
use futures_util::future::BoxFuture;
use protocol::{Error, PlaySid, server::ServerHealth};
use serde_json::Value;

use super::stopping::Stopping;
use crate::rpc::{self, Rpc};

type Health = Arc<dyn Fn() -> BoxFuture<'static, ServerHealth> + Send + Sync>;
type Resume = Arc<dyn Fn(String, Value) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;
type OpenArtifact =
    Arc<dyn Fn(PlaySid, String) -> BoxFuture<'static, Result<(File, u64), Error>> + Send + Sync>;
type Figures = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<Family>, Error>> + Send + Sync>;

/// What is served: the methods, the store for live streams, how the server is, its figures.
#[derive(Clone)]
pub struct Faces {
    pub rpc: Rpc,
    pub store: Arc<dyn Store>,
    pub outlines: Outlines,
    /// Opens a file that a play left, with its size.
    pub artifact: OpenArtifact,
    /// Answers the question of a play that has this token.
    pub resume: Resume,
    pub health: Health,
    pub figures: Figures,
}

impl Faces {
    /// The faces of a runtime.
    #[must_use]
    pub fn of(runtime: &Runtime) -> Self {
        let (asked, counted, resumed) = (runtime.clone(), runtime.clone(), runtime.clone());
        let opened = runtime.clone();
        Self {
            rpc: rpc::methods(runtime),
            store: runtime.store().clone(),
            outlines: runtime.outlines().clone(),
            artifact: Arc::new(move |play, path| {
                let runtime = opened.clone();
                Box::pin(async move { runtime.artifact(&play, &path).await })
            }),
            resume: Arc::new(move |token, payload| {
                let runtime = resumed.clone();
                Box::pin(async move { runtime.resume_by_token(&token, &payload).await })
            }),
            health: Arc::new(move || {
                let runtime = asked.clone();
                Box::pin(async move { runtime.health().await })
            }),
            figures: Arc::new(move || {
                let runtime = counted.clone();
                Box::pin(async move { runtime.figures().await })
            }),
        }
    }
}

impl fmt::Debug for Faces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faces")
            .field("rpc", &self.rpc)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// What every connection shares.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) faces: Faces,
    pub(super) limits: Limits,
    pub(super) stopping: Stopping,
    pub(super) connections: Arc<AtomicUsize>,
}

/// The bounds of what callers can take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request. An input of 64 MiB can be nearly three times that as a JSON string.
    pub request_bytes: usize,
    /// The most connections at once; further ones wait.
    pub connections: usize,
    /// How long a request's head may take, and a connection may be idle between two.
    pub head: Duration,
    /// After how long without an event a live stream sends a comment.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 200 << 20,
            connections: 20_000,
            head: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// What a request over the limit is told, over HTTP and over lines.
pub(super) fn too_large(limit: usize) -> Error {
    Error::too_large(format!(
        "the request is larger than the limit of {limit} bytes: send less at once"
    ))
    .with("limit", limit)
}
