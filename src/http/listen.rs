//! Opens the doors, serves whoever comes, closes them in order.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use actors::Runtime;
use protocol::{Error, server::Check};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    task::JoinHandle,
};

use super::{
    connection::{self, Doors},
    guard::{Guard, Token},
    routes::router,
    shared::{Faces, Limits, Shared},
    stopping::{self, Stop},
    unix::{self, SocketFile},
};

/// Where to listen, and for whom.
#[derive(Clone, Debug, Default)]
pub struct ListenConfig {
    /// `HOST:PORT`; port 0: any free one.
    pub tcp: Option<String>,
    /// The path of the Unix socket.
    pub socket: Option<PathBuf>,
    /// What callers on TCP have to show; required beyond loopback.
    pub token: Option<Token>,
    /// Further host names that the server goes by (behind a proxy, say), without port.
    pub hosts: Vec<String>,
    pub limits: Limits,
}

/// Open doors. [`Serving::stop`] closes them in order; dropping it closes them at once.
#[derive(Debug)]
pub struct Serving {
    tcp: Option<SocketAddr>,
    socket: Option<PathBuf>,
    stop: Stop,
    doors: JoinHandle<()>,
}

/// Serves a runtime.
///
/// # Errors
/// `invalid_input` where the configuration is not safe, `conflict` where another server has the
/// socket, `unavailable` where the system refuses the address.
pub async fn serve(runtime: &Runtime, config: ListenConfig) -> Result<Serving, Error> {
    let token = config.token.is_some();
    let serving = serve_faces(Faces::of(runtime), config).await?;
    runtime.note(listening(&serving, token));
    Ok(serving)
}

/// Where callers come in, for `doctor`.
fn listening(serving: &Serving, token: bool) -> Check {
    let socket = serving.socket().map(|path| path.display().to_string());
    let tcp = serving.tcp().map(|address| address.to_string());
    let who = match (&tcp, token) {
        (None, _) => String::new(),
        (Some(address), true) => format!("http://{address} with a token"),
        (Some(address), false) => {
            format!("http://{address} without a token: everybody on this machine can call")
        }
    };
    let places: Vec<_> = [who]
        .into_iter()
        .filter(|t| !t.is_empty())
        .chain(socket.clone())
        .collect();
    Check::ok("listening", places.join("; "))
        .fact("tcp", tcp)
        .fact("socket", socket)
        .fact("token", token)
}

/// Serves these faces.
///
/// # Errors
/// As [`serve`].
pub async fn serve_faces(faces: Faces, config: ListenConfig) -> Result<Serving, Error> {
    let tcp = match &config.tcp {
        Some(address) => Some(bind_tcp(address, config.token.is_some()).await?),
        None => None,
    };
    let socket = match &config.socket {
        Some(path) => Some(unix::bind(path).await?),
        None => None,
    };
    let (stop, stopping) = stopping::stop();
    let guard = Guard {
        token: config.token,
        hosts: config
            .hosts
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
    };
    let shared = Shared {
        faces,
        limits: config.limits,
        stopping,
        connections: Arc::new(AtomicUsize::new(0)),
    };
    let address = match &tcp {
        Some(listener) => Some(listener.local_addr().map_err(|error| {
            Error::unavailable(format!("the address listened on is not known: {error}"))
        })?),
        None => None,
    };
    let path = socket.as_ref().map(|(_, file)| file.path().to_owned());
    let doors = Doors {
        router: router(shared.clone(), Arc::new(guard)),
        permits: Arc::new(Semaphore::new(
            config.limits.connections.clamp(1, Semaphore::MAX_PERMITS),
        )),
        shared,
    };
    Ok(Serving {
        tcp: address,
        socket: path,
        stop,
        doors: tokio::spawn(open(doors, tcp, socket)),
    })
}

impl Serving {
    /// The address listened on, with the port that was chosen.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// The path of the Unix socket.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Accepts nobody any more, removes the socket file, ends live streams, lets calls in flight be
    /// answered until `deadline` has passed, then cuts what is left. Whether all were answered.
    pub async fn stop(mut self, deadline: Duration) -> bool {
        self.stop.now();
        let in_time = tokio::time::timeout(deadline, &mut self.doors).await;
        if in_time.is_err() {
            self.doors.abort();
            // Aborted or ended meanwhile: it is over either way.
            drop((&mut self.doors).await);
        }
        in_time.is_ok()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.doors.abort();
    }
}

/// Runs until the doors are closed and every connection is over.
async fn open(doors: Doors, tcp: Option<TcpListener>, socket: Option<(UnixListener, SocketFile)>) {
    let on_tcp = async {
        if let Some(listener) = tcp {
            connection::accept_tcp(&doors, listener).await;
        }
    };
    let on_socket = async {
        if let Some((listener, file)) = socket {
            connection::accept_unix(&doors, listener, file).await;
        }
    };
    tokio::join!(on_tcp, on_socket);
}

async fn bind_tcp(address: &str, has_token: bool) -> Result<TcpListener, Error> {
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host(address)
        .await
        .map_err(|error| {
            Error::invalid_input(format!(
                "{address:?} is no address to listen on: {error}; give HOST:PORT"
            ))
        })?
        .collect();
    if !has_token && let Some(beyond) = resolved.iter().find(|a| !is_loopback(a.ip())) {
        return Err(Error::invalid_input(format!(
            "listening on {beyond} lets other machines in, and needs a token: give one with \
             --token-file, or listen on 127.0.0.1"
        )));
    }
    TcpListener::bind(resolved.as_slice())
        .await
        .map_err(|error| Error::unavailable(format!("can't listen on {address}: {error}")))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
