//! JSON-RPC over the Unix socket: one connection, any number of calls at once, matched by id.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{Error, ErrorKind};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::http::connect;

const CLOSED: &str = "it was closed by the server";
/// How many calls wait to be written before the next caller waits.
const QUEUE: usize = 64;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The server's own answer.
    #[error(transparent)]
    Refused(Error),
    /// The connection ended first: whether the call was carried out is not known.
    #[error("the connection to the server was lost: {0}")]
    Lost(String),
}

type Answer = Result<Value, CallError>;

/// Who waits for which id; `None` once the connection is gone.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    lines: mpsc::Sender<String>,
    waiting: Waiting,
    next_id: AtomicU64,
    /// Reads and writes until this is dropped. A task writes, so that a caller who gives up never
    /// leaves half a line behind.
    _tasks: JoinSet<()>,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        let (read, write) = connect(path).await?.into_split();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (lines, queue) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_answers(read, waiting.clone()));
        tasks.spawn(write_lines(write, queue, waiting.clone()));
        Ok(Self {
            lines,
            waiting,
            next_id: AtomicU64::new(1),
            _tasks: tasks,
        })
    }

    /// Calls a method and waits for its result. Safe to drop: a late answer is thrown away.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, method: &str, params: Value) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut line =
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        line.push('\n');
        let (answer, answered) = oneshot::channel();
        match &mut *lock(&self.waiting) {
            Some(waiting) => waiting.insert(id, answer),
            None => return Err(CallError::Lost(CLOSED.to_owned())),
        };
        let _registered = Registered {
            id,
            waiting: &self.waiting,
        };
        if self.lines.send(line).await.is_err() {
            return Err(CallError::Lost(CLOSED.to_owned()));
        }
        answered
            .await
            .unwrap_or_else(|_| Err(CallError::Lost(CLOSED.to_owned())))
    }
}

/// Forgets a call when nobody waits for it any more.
struct Registered<'a> {
    id: u64,
    waiting: &'a Waiting,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut *lock(self.waiting) {
            waiting.remove(&self.id);
        }
    }
}

async fn write_lines(
    mut write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<String>,
    waiting: Waiting,
) {
    while let Some(line) = queue.recv().await {
        if let Err(error) = write.write_all(line.as_bytes()).await {
            return give_up(&waiting, &error.to_string());
        }
    }
}

/// Tells everybody who waits, and all who come later.
fn give_up(waiting: &Waiting, why: &str) {
    let left = lock(waiting).take();
    for (_, answer) in left.into_iter().flatten() {
        // An error only says that the caller no longer waits.
        drop(answer.send(Err(CallError::Lost(why.to_owned()))));
    }
}

async fn read_answers(read: OwnedReadHalf, waiting: Waiting) {
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    let why = loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) => break CLOSED.to_owned(),
            Err(error) => break error.to_string(),
            Ok(_) => {}
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(response) => deliver(response, &waiting),
            Err(error) => break format!("its answer is no JSON ({error})"),
        }
    };
    give_up(&waiting, &why);
}

fn deliver(mut response: Value, waiting: &Waiting) {
    let Some(id) = response.get("id").and_then(Value::as_u64) else {
        tracing::debug!("an answer without an id was thrown away");
        return;
    };
    let Some(answer) = lock(waiting).as_mut().and_then(|w| w.remove(&id)) else {
        return;
    };
    let result = match response.get_mut("error") {
        Some(error) => Err(CallError::Refused(read_error(error))),
        None => Ok(response
            .get_mut("result")
            .map(Value::take)
            .unwrap_or_default()),
    };
    drop(answer.send(result));
}

/// The error that a JSON-RPC error object tells of.
#[must_use]
pub fn read_error(error: &Value) -> Error {
    let code = error.get("code").and_then(Value::as_i64);
    let data = error.get("data").and_then(Value::as_object);
    let word = data.and_then(|d| d.get("kind")).and_then(Value::as_str);
    let kind = ErrorKind::ALL
        .into_iter()
        .find(|k| word == Some(k.as_str()))
        .or_else(|| ErrorKind::ALL.into_iter().find(|k| code == Some(k.code())));
    let message = error.get("message").and_then(Value::as_str);
    let details: serde_json::Map<_, _> = data
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "kind")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Error {
        kind: kind.unwrap_or(ErrorKind::Internal),
        message: message.unwrap_or("an error without a message").to_owned(),
        details: (!details.is_empty()).then_some(details),
    }
}

/// A panic elsewhere leaves the map whole, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_what_they_write() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "no").with("line", 3);
            assert_eq!(read_error(&crate::rpc::answer::error_object(&error)), error);
        }
    }

    #[test]
    fn a_strange_error_object_is_still_an_error() {
        assert_eq!(
            read_error(&json!({"code": -32001, "message": "gone"})),
            Error::new(ErrorKind::NotFound, "gone")
        );
        assert_eq!(read_error(&json!("odd")).kind, ErrorKind::Internal);
    }
}
