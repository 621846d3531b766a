//! Takes a request's bytes, gives the answer's: single calls, batches, notifications.
//!
//! [`Rpc::accept`] reads the request and sets notifications going at once; the calls run when its
//! future is awaited, those of a batch concurrently, and are given up when it is dropped (so that a
//! waiter whose client has left is forgotten). A panic in a method is an answer, never the end of
//! the connection.

use std::{panic::AssertUnwindSafe, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};
use protocol::{Error, ErrorKind};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    answer::{NULL_ID, error_answer, error_without_id, open_result},
    table::Rpc,
};

/// The most entries that a batch can have.
pub const MAX_BATCH: usize = 1_000;
/// How long a notification may take: nobody waits for it.
const NOTIFICATION_LIMIT: Duration = Duration::from_secs(60);
/// How much of a foreign name a message repeats, characters.
const NAME_SHOWN: usize = 100;

/// The answer in the making; `None` where there is nothing to answer (only notifications).
pub type Answering = BoxFuture<'static, Option<Vec<u8>>>;

impl Rpc {
    /// Takes a request: one call, or a batch. To be called within a tokio runtime.
    #[must_use]
    pub fn accept(&self, request: Bytes) -> Answering {
        let raw: &RawValue = match serde_json::from_slice(&request) {
            Ok(raw) => raw,
            Err(error) => {
                let error = Error::new(
                    ErrorKind::ParseError,
                    format!("the request is no JSON: {error}"),
                );
                return ready(error_without_id(&error));
            }
        };
        if raw.get().starts_with('[') {
            self.accept_batch(&request, raw)
        } else {
            self.accept_entry(&request, raw)
        }
    }

    fn accept_batch(&self, request: &Bytes, raw: &RawValue) -> Answering {
        let entries: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
            Ok(entries) => entries,
            Err(error) => return ready(error_without_id(&invalid(error.to_string()))),
        };
        if entries.is_empty() {
            return ready(error_without_id(&invalid("the batch is empty")));
        }
        if entries.len() > MAX_BATCH {
            let error = Error::too_large(format!(
                "the batch has {} entries, the limit is {MAX_BATCH}: send several",
                entries.len()
            ));
            return ready(error_without_id(&error));
        }
        let all: Vec<_> = entries
            .into_iter()
            .map(|entry| self.accept_entry(request, entry))
            .collect();
        future::join_all(all)
            .map(|answers| join(answers.into_iter().flatten()))
            .boxed()
    }

    fn accept_entry(&self, request: &Bytes, raw: &RawValue) -> Answering {
        let (id, call) = Call::read(request, raw);
        let call = match call {
            Ok(call) => call,
            Err(error) => {
                return ready(error_answer(id.as_deref().unwrap_or(NULL_ID), &error));
            }
        };
        match id {
            Some(id) => self
                .clone()
                .run(call, id.clone())
                .map(move |outcome| Some(outcome.unwrap_or_else(|error| error_answer(&id, &error))))
                .boxed(),
            None => self.notify(call),
        }
    }

    /// Sets a notification going, whatever becomes of the connection; ends when it has ended.
    fn notify(&self, call: Call) -> Answering {
        let method = call.method.clone();
        let run = self.clone().run(call, Bytes::from_static(NULL_ID));
        let task = tokio::spawn(async move {
            match tokio::time::timeout(NOTIFICATION_LIMIT, run).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(method, kind = error.kind.as_str(), "a notification failed");
                }
                Err(_) => tracing::warn!(method, "a notification was given up: it took too long"),
            }
        });
        task.map(|_| None).boxed()
    }

    async fn run(self, call: Call, id: Bytes) -> Result<Vec<u8>, Error> {
        let Some(method) = self.0.get(&call.method) else {
            let shown = call.method;
            return Err(Error::new(
                ErrorKind::MethodNotFound,
                format!("there is no method {shown:?}; rpc.discover lists them all"),
            )
            .with("method", shown));
        };
        let work = async { (method.handler)(call.params, open_result(&id)).await };
        let outcome = AssertUnwindSafe(work).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Error::internal(format!(
                "{} broke off: a fault of hero_logic; its log tells where",
                method.name
            )))
        });
        match &outcome {
            Ok(_) => method.calls.ok.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                if error.kind == ErrorKind::Internal {
                    tracing::error!(method = method.name, %error, "a call failed inside");
                }
                method.calls.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
        outcome
    }
}

/// One call, its parameters still unread.
struct Call {
    method: String,
    params: Option<Bytes>,
}

impl Call {
    /// Reads one entry: its id (none: a notification, or one that can't be read), and the call.
    fn read(request: &Bytes, raw: &RawValue) -> (Option<Bytes>, Result<Self, Error>) {
        if !raw.get().starts_with('{') {
            return (None, Err(invalid("a call is a JSON object")));
        }
        let entry: Entry<'_> = match serde_json::from_str(raw.get()) {
            Ok(entry) => entry,
            Err(error) => return (None, Err(invalid(error.to_string()))),
        };
        let slice = |raw: &RawValue| request.slice_ref(raw.get().as_bytes());
        if let Some(id) = entry.id
            && id.get().starts_with(['{', '[', 't', 'f'])
        {
            let error = invalid("`id` must be a string, a number or null");
            return (None, Err(error));
        }
        (entry.id.map(slice), Self::of(&entry, slice))
    }

    fn of(entry: &Entry<'_>, slice: impl Fn(&RawValue) -> Bytes) -> Result<Self, Error> {
        let text = |raw: Option<&RawValue>| {
            raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
        };
        if text(entry.jsonrpc).as_deref() != Some("2.0") {
            return Err(invalid("`jsonrpc` must be \"2.0\""));
        }
        let Some(mut method) = text(entry.method) else {
            return Err(invalid("`method` must be a string: the method's name"));
        };
        if let Some((at, _)) = method.char_indices().nth(NAME_SHOWN) {
            // No method has such a name: what is left of it is only for the message.
            method.truncate(at);
        }
        let params = entry.params.map(slice);
        Ok(Self { method, params })
    }
}

/// The members of a call, unread. `null` is told from absent: an id can be `null`.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, what)
}

fn ready(answer: Vec<u8>) -> Answering {
    future::ready(Some(answer)).boxed()
}

/// The answers of a batch, in the order of its entries; `None` if there is none.
fn join(answers: impl Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for answer in answers {
        out.push(if out.is_empty() { b'[' } else { b',' });
        out.extend_from_slice(&answer);
    }
    if out.is_empty() {
        return None;
    }
    out.push(b']');
    Some(out)
}
