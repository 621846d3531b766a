//! Accepts connections and serves each: HTTP, or lines of JSON-RPC where the first byte says so.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bytes::BytesMut;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    guard::Came, lines, prefixed::Prefixed, shared::Shared, stopping::Stopping, unix::SocketFile,
};

/// How long accepting rests when the system has no room (no descriptors left, say).
const REST: Duration = Duration::from_millis(50);
/// How much white space may come before a connection says what it speaks.
const MAX_BLANK: usize = 4 << 10;

/// What every connection needs.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    pub(super) router: Router,
    pub(super) permits: Arc<Semaphore>,
    pub(super) shared: Shared,
}

/// A connection's place; gives it back when dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    count: Arc<AtomicUsize>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self {
            _permit: permit,
            count: count.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Doors {
    /// Accepts and serves one connection after the other until the server stops; those that are
    /// still open are returned. One that finds no free place waits for it, and nobody is accepted
    /// meanwhile.
    async fn each<C, A, S>(
        &self,
        mut accept: impl FnMut() -> A,
        serve: impl Fn(Self, C) -> S,
        stopping: &Stopping,
    ) -> JoinSet<()>
    where
        A: Future<Output = std::io::Result<C>>,
        S: Future<Output = ()> + Send + 'static,
    {
        let mut open = JoinSet::new();
        let mut waiting = None;
        let stopped = stopping.wait();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return open,
                Some(_) = open.join_next(), if !open.is_empty() => {}
                accepted = accept(), if waiting.is_none() => match accepted {
                    Ok(connection) => waiting = Some(connection),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(REST).await;
                    }
                },
                Ok(permit) = self.permits.clone().acquire_owned(), if waiting.is_some() => {
                    if let Some(connection) = waiting.take() {
                        let place = Place::new(permit, &self.shared.connections);
                        let served = serve(self.clone(), connection);
                        open.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                }
            }
        }
    }
}

pub(super) async fn accept_tcp(doors: &Doors, listener: TcpListener) {
    let accept = async || Ok(listener.accept().await?.0);
    let serve = |doors: Doors, stream: TcpStream| async move {
        // An answer is written at once; waiting to fill a packet only delays it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection is slower than it could be");
        }
        let local = stream.local_addr().map(|address| address.ip());
        let local = local.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        serve_http(&doors, Came::Tcp(local), stream).await;
    };
    let mut open = doors.each(accept, serve, &doors.shared.stopping).await;
    drop(listener);
    while open.join_next().await.is_some() {}
}

pub(super) async fn accept_unix(doors: &Doors, listener: UnixListener, file: SocketFile) {
    let accept = async || Ok(listener.accept().await?.0);
    let serve = |doors: Doors, stream| async move { serve_unix(&doors, stream).await };
    let mut open = doors.each(accept, serve, &doors.shared.stopping).await;
    drop((listener, file));
    while open.join_next().await.is_some() {}
}

async fn serve_unix(doors: &Doors, mut stream: UnixStream) {
    let shared = &doors.shared;
    let mut first = BytesMut::new();
    let byte = loop {
        if let Some(byte) = first.trim_ascii_start().first() {
            break *byte;
        }
        if first.len() > MAX_BLANK {
            return;
        }
        let read = tokio::select! {
            read = stream.read_buf(&mut first) => read,
            () = shared.stopping.wait() => return,
        };
        if !read.is_ok_and(|n| n > 0) {
            return;
        }
    };
    if !matches!(byte, b'{' | b'[') {
        return serve_http(doors, Came::Unix, Prefixed::new(first.freeze(), stream)).await;
    }
    let limit = shared.limits.request_bytes;
    let served = lines::serve(stream, &first, &shared.faces.rpc, limit, &shared.stopping);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection broke off");
    }
}

async fn serve_http<S>(doors: &Doors, came: Came, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(doors.router.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(came);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(doors.shared.limits.head)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = doors.shared.stopping.wait() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // A peer that left, or no HTTP: nothing that the server could mend.
        tracing::debug!(%error, "a connection broke off");
    }
}
