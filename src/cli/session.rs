//! How a verb reaches a runtime.
//!
//! A server that answers on the socket is asked there. Without one, this process takes the data
//! directory itself: as a host, which runs plays and serves the socket to others, or only to read
//! and write records. Either way the calls go through the same table of methods, so the answers are
//! the same. Where another process is just starting or stopping, it is waited for a little.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::{Error, ErrorKind, rpc::ServerInfo};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{
    caller::Caller,
    context::Context,
    exit::Failure,
    host::{Host, Hosting, Local},
    style::{DIM, Line},
};
use crate::client::{CallError, Client};

/// How long another process may take to start answering, or to give the data directory back.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take for its first answer.
const GREETING: Duration = Duration::from_secs(10);

/// What a verb needs where no server answers.
#[derive(Clone, Debug)]
pub(crate) enum Need {
    /// Read and write records, run nothing.
    Read,
    /// Run plays, and serve the socket to others meanwhile.
    Host(Hosting),
}

/// A runtime that can be called.
#[derive(Debug)]
pub(crate) struct Session {
    reach: Reach,
    socket: PathBuf,
}

#[derive(Debug)]
enum Reach {
    Server(Client, ServerInfo),
    Host(Host),
    Local(Local),
}

impl Session {
    /// Reaches the server, or starts what the verb needs.
    pub(crate) async fn open(context: &Context, need: Need) -> Result<Self, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(5);
        let reach = loop {
            if let Some((client, info)) = greet(&context.socket, deadline).await? {
                break Reach::Server(client, info);
            }
            let started = match &need {
                Need::Host(hosting) => Host::start(context, hosting).await.map(Reach::Host),
                Need::Read => local(context).await.map(Reach::Local),
            };
            match started {
                Ok(reach) => break reach,
                // Somebody has it: about to answer, or about to leave.
                Err(error) if error.kind == ErrorKind::Conflict && Instant::now() < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
                Err(error) => {
                    let directory = context.data_dir.display();
                    return Err(Failure::of(format!("open {directory}"), error));
                }
            }
        };
        Ok(Self {
            reach,
            socket: context.socket.clone(),
        })
    }

    /// The server that answers, where it is another process.
    pub(crate) fn server(&self) -> Option<&ServerInfo> {
        match &self.reach {
            Reach::Server(_, info) => Some(info),
            _ => None,
        }
    }

    /// Where plays can be followed.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    fn caller(&self) -> &dyn Caller {
        match &self.reach {
            Reach::Server(client, _) => client,
            Reach::Host(host) => host.local(),
            Reach::Local(local) => local,
        }
    }

    /// Calls a method; the result as it came.
    pub(crate) async fn raw(&self, method: &str, params: Value) -> Result<Value, Failure> {
        self.caller()
            .call(method, params)
            .await
            .map_err(|error| refused(&format!("call {method}"), error))
    }

    /// Calls a method in order to do `what`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        what: &str,
        method: &str,
        params: &impl Serialize,
    ) -> Result<T, Failure> {
        let unreadable = |error: serde_json::Error| {
            Failure::failed(format!("failed to {what}: {method}: {error}"))
        };
        let params = serde_json::to_value(params).map_err(unreadable)?;
        let answer = self.caller().call(method, params).await;
        let result = answer.map_err(|error| refused(what, error))?;
        serde_json::from_value(result).map_err(unreadable)
    }

    /// The runtime that this process runs for itself and its guests.
    pub(crate) fn hosts(&self) -> bool {
        matches!(self.reach, Reach::Host(_))
    }

    /// As the host: resolves when the runtime can't go on, with the reason.
    pub(crate) async fn failed(&self) -> protocol::Error {
        match &self.reach {
            Reach::Host(host) => host.local().runtime().failed().await,
            Reach::Server(..) | Reach::Local(_) => std::future::pending().await,
        }
    }

    /// As the host: stops the runtime if nobody has a play in it any more, so that none can come in
    /// between. Whether it did.
    pub(crate) async fn stop_if_idle(&self) -> Result<bool, Failure> {
        match &self.reach {
            Reach::Host(host) => host
                .stop_if_idle()
                .await
                .map_err(|error| Failure::of("stop in order", error)),
            Reach::Server(..) | Reach::Local(_) => Ok(true),
        }
    }

    /// Lets go of the runtime: one of our own is stopped in order.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        let stopped = match self.reach {
            Reach::Server(..) => Ok(()),
            Reach::Host(host) => host.stop().await,
            Reach::Local(local) => local.stop().await,
        };
        stopped.map_err(|error| Failure::of("stop in order", error))
    }
}

/// Takes the data directory; one that can't be written is opened only to be read.
async fn local(context: &Context) -> Result<Local, Error> {
    let error = match Local::start(context).await {
        Err(error) if error.kind == ErrorKind::Unavailable => error,
        started => return started,
    };
    match Local::start_to_read(context, &error.message).await {
        Ok(local) => {
            let text = format!(
                "reading only, since the data directory can't be written: {}",
                error.message
            );
            context.say(&Line::new().with(DIM, text));
            Ok(local)
        }
        // Somebody has taken it meanwhile.
        Err(conflict) if conflict.kind == ErrorKind::Conflict => Err(conflict),
        Err(_) => Err(error),
    }
}

fn refused(what: &str, error: CallError) -> Failure {
    match error {
        CallError::Refused(error) => Failure::of(what, error),
        lost @ CallError::Lost(_) => Failure::lost(what, lost),
    }
}

/// Opens a session, does something in it, and closes it whatever came of that.
pub(crate) async fn within<T>(
    context: &Context,
    need: Need,
    work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let session = Session::open(context, need).await?;
    let result = work(&session).await;
    let closed = session.close().await;
    let result = result?;
    closed?;
    Ok(result)
}

/// Whether an error of connecting says that no server listens there.
pub(crate) fn nobody_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

/// The server on this socket, once it has said who it is; `None` where nobody answers.
async fn greet(socket: &Path, deadline: Instant) -> Result<Option<(Client, ServerInfo)>, Failure> {
    let client = match Client::connect(socket).await {
        Ok(client) => client,
        Err(error) if nobody_there(&error) => return Ok(None),
        Err(error) => {
            let socket = socket.display();
            return Err(Failure::failed(format!(
                "failed to reach the server on {socket}: {error}"
            )));
        }
    };
    let what = || format!("reach the server on {}", socket.display());
    match timeout(GREETING, client.call("server_info", json!({}))).await {
        Ok(Ok(info)) => match serde_json::from_value(info) {
            Ok(info) => Ok(Some((client, info))),
            Err(error) => Err(Failure::failed(format!(
                "failed to {}: it is of another version ({error}); use the same version of hero_logic",
                what()
            ))),
        },
        // It was just leaving.
        Ok(Err(CallError::Lost(_))) => Ok(None),
        Ok(Err(CallError::Refused(error)))
            if error.kind == ErrorKind::Unavailable && Instant::now() < deadline =>
        {
            Ok(None)
        }
        Ok(Err(CallError::Refused(error))) => Err(Failure::of(what(), error)),
        Err(_) => Err(Failure::failed(format!(
            "failed to {}: it accepts the connection but does not answer",
            what()
        ))),
    }
}
