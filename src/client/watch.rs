//! Follows plays through their event streams, across lost connections.
//!
//! One task a play reads its stream and hands on records; all of a [`Watch`] arrive in one queue,
//! which is bounded: a reader that is slow makes the server wait, and the server says `lagged`.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use protocol::{Error, Log, Play, PlaySid, Span};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};

use super::{
    rpc::read_error,
    sse::{Event, Parser},
};
use crate::http::connect;

/// How many records wait for a slow reader before the stream's reading stops.
const QUEUE: usize = 1_024;
/// How long a lost stream is asked for again before the server counts as gone.
const PATIENCE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A play as it stood when the stream began.
#[derive(Clone, Debug, Deserialize)]
pub struct Snapshot {
    pub play: Play,
    pub spans: Vec<Span>,
    #[serde(default)]
    pub logs: Vec<Log>,
}

/// One thing that a stream tells.
#[derive(Clone, Debug)]
pub enum Record {
    /// Everything so far, at the start and after a gap.
    Snapshot(Box<Snapshot>),
    Span(Box<Span>),
    Log(Box<Log>),
    Play(Box<Play>),
    /// This reader was too slow; the server brings it up to date.
    Lagged,
    /// The play is terminal and all of it was told.
    End,
}

/// Why a stream can't be followed (any further).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Refused(Error),
    #[error("the server went away: {0}")]
    Gone(String),
}

/// What arrives: which play, and what of it.
pub type Update = (PlaySid, Result<Record, WatchError>);

/// Any number of plays, followed together.
#[derive(Debug)]
pub struct Watch {
    socket: PathBuf,
    sender: mpsc::Sender<Update>,
    receiver: mpsc::Receiver<Update>,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Follows nothing yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            socket: socket.to_owned(),
            sender,
            receiver,
            tasks: JoinSet::new(),
        }
    }

    /// Follows one more play, to its end, or to where the handle is aborted.
    pub fn follow(&mut self, play: &PlaySid) -> AbortHandle {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(follow(
            self.socket.clone(),
            play.clone(),
            self.sender.clone(),
        ))
    }

    /// The next record of any of them; waits for ever where none is followed. Safe to cancel.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(update) = self.receiver.recv().await {
                return update;
            }
        }
    }
}

/// Where a stream stands: what a new connection goes on from.
#[derive(Default)]
struct Place {
    last_id: Option<String>,
    ended: bool,
}

/// Why one connection ended before the stream did.
enum Cut {
    Refused(Error),
    Lost(String),
    /// Nobody reads any more.
    Unwanted,
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<hyper::Error> for Cut {
    fn from(error: hyper::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn follow(socket: PathBuf, play: PlaySid, sender: mpsc::Sender<Update>) {
    let mut place = Place::default();
    let mut lost_since: Option<Instant> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let before = place.last_id.clone();
        let cut = match read_stream(&socket, &play, &mut place, &sender).await {
            Ok(()) if place.ended => return,
            Ok(()) => Cut::Lost("the stream was closed before its end".to_owned()),
            Err(cut) => cut,
        };
        let error = match cut {
            Cut::Unwanted => return,
            Cut::Refused(error) => WatchError::Refused(error),
            Cut::Lost(why) => {
                if place.last_id != before {
                    (lost_since, pause) = (None, FIRST_PAUSE);
                }
                if lost_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                    tracing::debug!(%play, why, "the stream was lost, trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                    continue;
                }
                WatchError::Gone(why)
            }
        };
        // An error only says that nobody reads any more.
        drop(sender.send((play, Err(error))).await);
        return;
    }
}

/// Reads one connection's worth of the stream.
async fn read_stream(
    socket: &Path,
    play: &PlaySid,
    place: &mut Place,
    sender: &mpsc::Sender<Update>,
) -> Result<(), Cut> {
    let stream = connect(socket).await?;
    let (mut http, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new(); // dropped with this function, and the connection with it
    driver.spawn(connection);
    let mut request = Request::get(format!("/api/plays/{}/spans", path_segment(play.as_str())))
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "text/event-stream");
    if let Some(id) = &place.last_id {
        request = request.header("Last-Event-ID", id);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|e| Cut::Lost(e.to_string()))?;
    let response = http.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(refusal(response.status(), response.into_body()).await);
    }
    let mut body = response.into_body();
    let mut parser = Parser::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        for event in parser.feed(&data) {
            if let Some(record) = decode(&event).map_err(Cut::Refused)? {
                place.ended |= matches!(record, Record::End);
                if sender.send((play.clone(), Ok(record))).await.is_err() {
                    return Err(Cut::Unwanted);
                }
            }
            place.last_id = event.id;
            if place.ended {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What another answer than 200 means: the server's error, or, while it starts or stops, a loss.
async fn refusal(status: StatusCode, body: Incoming) -> Cut {
    let text = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return error.into(),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Cut::Lost("the server is stopping".to_owned());
    }
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    Cut::Refused(match value.get("error").unwrap_or(&value) {
        error if error.get("message").is_some() => read_error(error),
        _ => Error::internal(format!("the server answered the stream with {status}")),
    })
}

/// The record of an event; `None` for a kind that this version does not know.
fn decode(event: &Event) -> Result<Option<Record>, Error> {
    Ok(Some(match event.name.as_str() {
        "snapshot" => Record::Snapshot(parse(event)?),
        "span" => Record::Span(parse(event)?),
        "log" => Record::Log(parse(event)?),
        "play" => Record::Play(parse(event)?),
        "lagged" => Record::Lagged,
        "end" => Record::End,
        _ => return Ok(None),
    }))
}

fn parse<T: DeserializeOwned>(event: &Event) -> Result<Box<T>, Error> {
    serde_json::from_str(&event.data)
        .map(Box::new)
        .map_err(|error| {
            Error::internal(format!(
                "the server sent a `{}` event that can't be read ({error}); \
                 is it of another version?",
                event.name
            ))
        })
}

/// A sid from outside is any string at all: what means something in a URL is percent-encoded.
fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_become_one_segment() {
        assert_eq!(path_segment("0193-aB"), "0193-aB");
        assert_eq!(path_segment("../é?"), "..%2F%C3%A9%3F");
    }
}
