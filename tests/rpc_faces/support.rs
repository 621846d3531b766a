//! A table of methods to be called, a server around it, and clients.

use std::{sync::Arc, time::Duration};

use actors::{figures::Family, outlines::Outlines, store::Store};
use bytes::Bytes;
use hero_logic::{
    http::{Faces, ListenConfig, Serving, serve_faces},
    rpc::{Methods, Rpc},
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, header::HOST};
use hyper_util::rt::TokioIo;
use protocol::{Error, ErrorKind, server::ServerHealth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    sync::watch,
};

use crate::store::SmallStore;

/// No test takes nearly as long; whatever does is stuck.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("stuck")
}

/// What the methods of the test share.
#[derive(Clone)]
pub(crate) struct State {
    /// How many calls of `hold` are waiting.
    pub(crate) held: watch::Sender<usize>,
    /// Lets `hold` go on.
    pub(crate) gate: watch::Sender<bool>,
    /// What `note` was given.
    pub(crate) notes: watch::Sender<Vec<String>>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            held: watch::Sender::new(0),
            gate: watch::Sender::new(false),
            notes: watch::Sender::new(Vec::new()),
        }
    }

    pub(crate) async fn held(&self, count: usize) {
        let mut held = self.held.subscribe();
        within(held.wait_for(|now| *now == count)).await.unwrap();
    }

    pub(crate) async fn noted(&self, count: usize) -> Vec<String> {
        let mut notes = self.notes.subscribe();
        within(notes.wait_for(|now| now.len() >= count))
            .await
            .unwrap()
            .clone()
    }
}

/// Counts a waiting call, also when it is dropped.
struct Held(watch::Sender<usize>);

impl Held {
    fn new(held: &watch::Sender<usize>) -> Self {
        held.send_modify(|now| *now += 1);
        Self(held.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|now| *now -= 1);
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Echo {
    value: Value,
    #[serde(default)]
    times: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
struct Blob {
    bytes: usize,
}

pub(crate) fn table(state: &State) -> Rpc {
    Methods::new()
        .add::<Echo, Value, _, _>("echo", "Gives the value back.", |_: State, p| async move {
            Ok(p.value)
        })
        .add::<Text, (), _, _>("note", "Takes a note.", |state, p| async move {
            state.notes.send_modify(|notes| notes.push(p.text));
            Ok(())
        })
        .add::<Nothing, String, _, _>("hold", "Waits for the gate.", |state, _| async move {
            let _held = Held::new(&state.held);
            let mut gate = state.gate.subscribe();
            gate.wait_for(|open| *open)
                .await
                .map_err(|e| Error::internal(e.to_string()))?;
            Ok("released".to_owned())
        })
        .add::<Nothing, (), _, _>(
            "boom",
            "Panics.",
            |_, _| async move { panic!("on purpose") },
        )
        .add::<Text, (), _, _>("fail", "Fails with this kind.", |_, p| async move {
            let kind: ErrorKind = serde_json::from_value(p.text.into()).unwrap();
            Err(Error::new(kind, "failed on purpose").with("line", 3))
        })
        .add::<Blob, String, _, _>(
            "blob",
            "Much.",
            |_, p| async move { Ok("x".repeat(p.bytes)) },
        )
        .finish(state)
}

/// A server on a free TCP port and on a socket.
pub(crate) struct Server {
    pub(crate) state: State,
    pub(crate) rpc: Rpc,
    pub(crate) store: Arc<SmallStore>,
    pub(crate) serving: Serving,
    pub(crate) directory: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ListenConfig)) -> Self {
        let store = Arc::new(SmallStore::default());
        Self::over(store.clone(), store, change).await
    }

    /// A server that reads `read`; `small` is only there to be written to by the test.
    pub(crate) async fn over(
        read: Arc<dyn Store>,
        small: Arc<SmallStore>,
        change: impl FnOnce(&mut ListenConfig),
    ) -> Self {
        let state = State::new();
        let faces = faces(&state, read);
        Self::of(state, faces, small, change).await
    }

    /// A server of these faces.
    pub(crate) async fn of(
        state: State,
        faces: Faces,
        store: Arc<SmallStore>,
        change: impl FnOnce(&mut ListenConfig),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = ListenConfig {
            tcp: Some("127.0.0.1:0".into()),
            socket: Some(directory.path().join("s.sock")),
            ..ListenConfig::default()
        };
        change(&mut config);
        let rpc = faces.rpc.clone();
        let serving = serve_faces(faces, config).await.unwrap();
        Self {
            state,
            rpc,
            store,
            serving,
            directory,
        }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.serving.tcp().unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn unix(&self) -> UnixStream {
        hero_logic::http::connect(self.serving.socket().unwrap())
            .await
            .unwrap()
    }

    /// A connection that speaks lines.
    pub(crate) async fn lines(&self) -> Lines {
        let (reader, writer) = self.unix().await.into_split();
        Lines {
            reader: BufReader::new(reader),
            writer,
        }
    }

    /// `POST /rpc` over TCP.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Answer {
        let request = rpc_request().body(Full::new(body.into())).unwrap();
        send(self.tcp().await, request).await.whole().await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.tcp().await, get(path)).await.whole().await
    }
}

pub(crate) fn faces(state: &State, store: Arc<dyn Store>) -> Faces {
    Faces {
        rpc: table(state),
        outlines: Outlines::new(store.clone()),
        store,
        artifact: Arc::new(|play, _| Box::pin(async move { Err(Error::not_found("play", &play)) })),
        resume: Arc::new(|token, payload| {
            Box::pin(async move {
                match (token.as_str(), payload) {
                    ("good", serde_json::Value::Null) => Ok(()),
                    ("good", _) => Err(protocol::Error::invalid_input("it does not fit")),
                    _ => Err(protocol::Error::new(
                        protocol::ErrorKind::NotFound,
                        "no open question has this address",
                    )),
                }
            })
        }),
        health: Arc::new(|| {
            Box::pin(async {
                ServerHealth {
                    ok: true,
                    version: "1.2.3".into(),
                    parts: Vec::new(),
                }
            })
        }),
        figures: Arc::new(|| {
            let plays = Family::gauge("plays", "Plays.").and(&[("status", "running")], 3_u32);
            Box::pin(async { Ok(vec![plays]) })
        }),
    }
}

pub(crate) fn rpc_request() -> hyper::http::request::Builder {
    Request::post("/rpc")
        .header(HOST, "localhost")
        .header("content-type", "application/json")
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header(HOST, "localhost")
        .body(Full::default())
        .unwrap()
}

/// A response whose body is still to come; keeps its connection alive.
pub(crate) struct Pending {
    pub(crate) response: Response<Incoming>,
    _sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl Pending {
    pub(crate) async fn whole(self) -> Answer {
        let (parts, body) = self.response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: within(body.collect()).await.unwrap().to_bytes(),
        }
    }
}

pub(crate) async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Pending
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        within(hyper::client::conn::http1::handshake(TokioIo::new(stream)))
            .await
            .unwrap();
    tokio::spawn(connection);
    let response = within(sender.send_request(request)).await.unwrap();
    Pending {
        response,
        _sender: sender,
    }
}

/// Newline-framed JSON-RPC.
pub(crate) struct Lines {
    pub(crate) reader: BufReader<tokio::net::unix::OwnedReadHalf>,
    pub(crate) writer: tokio::net::unix::OwnedWriteHalf,
}

impl Lines {
    pub(crate) async fn send(&mut self, text: &str) {
        within(self.writer.write_all(format!("{text}\n").as_bytes()))
            .await
            .unwrap();
    }

    /// The next answer; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        within(self.reader.read_line(&mut line)).await.unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }
}

pub(crate) fn call(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}
