//! Follows one play as Server-Sent Events: a snapshot, then every committed change, then the end.
//!
//! A stream is pulled by its reader and holds no queue of its own: a slow reader falls behind in the
//! feed, is told so (`lagged`), and re-reads from the store what it missed. Ids are the change
//! numbers and rise strictly, so a client that comes back with the last one it saw loses nothing and
//! sees nothing twice. Nothing is sent that was not read from the committed feed or the store.
//!
//! A commit is written out once, whatever the number of its readers; they share the bytes. Only what a
//! reader has to itself (its snapshot, what it re-reads, a commit of which it has seen a part) is written
//! for it alone.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use actors::store::{
    Change, ChangeBody, Commit, Seq, Snapshot, Store, StoreError, Subscription, feed::Heard,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use protocol::{Error, Play, PlaySid};
use serde::Serialize;
use serde_json::json;

use super::stopping::Stopping;
use crate::rpc::answer::error_object;

/// How many changes are read from the store at a time.
const PAGE: u32 = 256;
/// Small events are sent together, up to about this many bytes.
pub(super) const CHUNK: usize = 32 << 10;

/// The comment that says that a stream lives.
pub(super) const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// With a snapshot.
    Snapshot,
    /// After this change, which the reader has seen.
    After(Seq),
}

/// What a stream needs to know.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) store: Arc<dyn Store>,
    pub(super) keep_alive: Duration,
    pub(super) stopping: Stopping,
}

impl Source {
    /// Opens the stream of a play.
    ///
    /// # Errors
    /// `not_found` where there is no such play; what the store says.
    pub(super) async fn open(
        self,
        sid: PlaySid,
        from: Beginning,
    ) -> Result<impl Stream<Item = Bytes> + Send + 'static, Error> {
        // Listening first: what is committed from here on is heard, what was before is read.
        let heard = self.store.feed().subscribe(&sid);
        let mut follower = Follower {
            source: self,
            sid,
            heard,
            last: 0,
            phase: Phase::Live,
            waiting: VecDeque::new(),
            ended: None,
        };
        follower.begin(from).await?;
        Ok(stream::unfold(follower, |mut follower| async move {
            follower.chunk().await.map(|chunk| (chunk, follower))
        }))
    }
}

/// What a stream does, whatever it tells of.
#[derive(Debug)]
pub(super) enum Phase {
    /// Reading from the store what changed after the last event.
    CatchingUp,
    /// Listening.
    Live,
    /// Everything was said.
    Over,
}

/// What is to be sent next.
#[derive(Debug)]
enum Item {
    Snapshot(Box<Snapshot>),
    Change(Change),
    Text(Bytes),
}

/// One reader's place in a play's changes.
#[derive(Debug)]
struct Follower {
    source: Source,
    sid: PlaySid,
    heard: Subscription,
    /// The number of the last change that was queued; nothing up to it is sent again.
    last: Seq,
    phase: Phase,
    /// Queued in order; at most one commit or one page.
    waiting: VecDeque<Item>,
    /// The play, once it is known to be terminal.
    ended: Option<Arc<Play>>,
}

impl Follower {
    async fn begin(&mut self, from: Beginning) -> Result<(), Error> {
        let store = self.source.store.clone();
        if let Beginning::After(seq) = from {
            let play = store.play(&self.sid).await?;
            let play = play.ok_or_else(|| Error::not_found("play", &self.sid))?;
            // A number of another store, or of what a restore has lost: only a snapshot helps.
            if store.knows(seq).await? {
                self.last = seq;
                self.phase = Phase::CatchingUp;
                self.see(&Arc::new(play));
                return Ok(());
            }
        }
        let snapshot = store.snapshot(&self.sid).await?;
        let snapshot = snapshot.ok_or_else(|| Error::not_found("play", &self.sid))?;
        self.last = snapshot.seq;
        self.see(&Arc::new(snapshot.play.clone()));
        self.waiting.push_back(Item::Snapshot(Box::new(snapshot)));
        Ok(())
    }

    /// The next bytes to send; `None` when the stream is over.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.encode_waiting() {
                return Some(chunk);
            }
            match self.phase {
                Phase::Over => return None,
                Phase::CatchingUp => self.catch_up().await,
                Phase::Live => match self.ended.take() {
                    Some(play) => self.finish(event("end", None, &*play)),
                    None => self.listen().await,
                },
            }
        }
    }

    fn encode_waiting(&mut self) -> Option<Bytes> {
        let first = self.encode_next()?;
        if first.len() >= CHUNK || self.waiting.is_empty() {
            return Some(first);
        }
        let mut chunk = Vec::from(first);
        while chunk.len() < CHUNK
            && let Some(next) = self.encode_next()
        {
            chunk.extend_from_slice(&next);
        }
        Some(chunk.into())
    }

    fn encode_next(&mut self) -> Option<Bytes> {
        Some(match self.waiting.pop_front()? {
            Item::Change(change) => encode(&change),
            Item::Snapshot(snapshot) => encode_snapshot(&snapshot),
            Item::Text(text) => text,
        })
    }

    async fn catch_up(&mut self) {
        match self.source.store.changes(&self.sid, self.last, PAGE).await {
            Ok(changes) => {
                // Nothing left to read: whatever comes later is heard.
                if changes.is_empty() {
                    self.phase = Phase::Live;
                }
                for change in changes {
                    self.queue(&change);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    async fn listen(&mut self) {
        let heard = tokio::select! {
            biased;
            heard = tokio::time::timeout(self.source.keep_alive, self.heard.next()) => heard.map(Some),
            () = self.source.stopping.wait() => Ok(None),
        };
        match heard {
            Ok(Some(Heard::Changes(commit))) => self.hear(&commit),
            Ok(Some(Heard::Lagged(missed))) => {
                let told = event("lagged", None, &json!({"missed_commits": missed}));
                self.waiting.push_back(Item::Text(told));
                self.phase = Phase::CatchingUp;
            }
            Ok(None) => self.finish(event("stopping", None, &json!({}))),
            Err(_) => self
                .waiting
                .push_back(Item::Text(Bytes::from_static(KEEP_ALIVE))),
        }
    }

    fn hear(&mut self, commit: &Commit) {
        let new = commit.first().is_some_and(|first| first.seq > self.last);
        let (true, Some(last)) = (new, commit.last()) else {
            return commit.iter().for_each(|change| self.queue(change));
        };
        self.last = last.seq;
        let text = self.source.store.feed().encoded(commit, encode_commit);
        let text = Item::Text(Bytes::from_owner(text));
        self.waiting.push_back(text);
        if ended(commit).is_some() {
            // Its event is in the text.
            self.phase = Phase::Over;
        }
    }

    fn queue(&mut self, change: &Change) {
        if change.seq <= self.last {
            return;
        }
        self.last = change.seq;
        if let ChangeBody::Play(play) = &change.body {
            self.see(play);
        }
        self.waiting.push_back(Item::Change(change.clone()));
    }

    fn see(&mut self, play: &Arc<Play>) {
        if play.status.is_terminal() {
            self.ended = Some(play.clone());
        }
    }

    fn finish(&mut self, last: Bytes) {
        self.waiting.push_back(Item::Text(last));
        self.phase = Phase::Over;
    }

    /// The stream can't go on; the reader comes back with its last id and loses nothing.
    fn fail(&mut self, error: StoreError) {
        if error == StoreError::Closed {
            return self.finish(event("stopping", None, &json!({})));
        }
        let error = Error::from(error);
        tracing::warn!(play = %self.sid, %error, "a stream of a play broke off");
        self.finish(event("error", None, &error_object(&error)));
    }
}

/// The play, where this commit ended it.
fn ended(commit: &[Change]) -> Option<&Play> {
    commit.iter().find_map(|change| match &change.body {
        ChangeBody::Play(play) if play.status.is_terminal() => Some(&**play),
        _ => None,
    })
}

/// One commit as it goes over the wire; with the end of the stream, where it ended the play.
fn encode_commit(commit: &[Change]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 * commit.len());
    for change in commit {
        write_change(&mut out, change);
    }
    if let Some(play) = ended(commit) {
        write_event(&mut out, "end", None, play);
    }
    out
}

/// One change as it goes over the wire.
fn encode(change: &Change) -> Bytes {
    let mut out = Vec::with_capacity(512);
    write_change(&mut out, change);
    out.into()
}

fn write_change(out: &mut Vec<u8>, change: &Change) {
    match &change.body {
        ChangeBody::Play(play) => write_event(out, "play", Some(change.seq), &**play),
        ChangeBody::Span(span) => write_event(out, "span", Some(change.seq), &**span),
        ChangeBody::Log(log) => write_event(out, "log", Some(change.seq), &**log),
    }
}

fn encode_snapshot(snapshot: &Snapshot) -> Bytes {
    #[derive(Serialize)]
    struct Whole<'a> {
        play: &'a Play,
        spans: &'a [protocol::Span],
        logs: &'a [protocol::Log],
        seq: Seq,
    }
    let whole = Whole {
        play: &snapshot.play,
        spans: &snapshot.spans,
        logs: &snapshot.logs,
        seq: snapshot.seq,
    };
    event("snapshot", Some(snapshot.seq), &whole)
}

/// An event: its name, its id where it has one, its data as one line of JSON.
pub(super) fn event(name: &str, id: Option<Seq>, data: &impl Serialize) -> Bytes {
    let mut out = Vec::with_capacity(512);
    write_event(&mut out, name, id, data);
    out.into()
}

pub(super) fn write_event(out: &mut Vec<u8>, name: &str, id: Option<Seq>, data: &impl Serialize) {
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, data) {
        // The records are plain data; should one not be writable after all, it is not hidden.
        tracing::error!(%error, name, "an event can't be written");
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
    out.extend_from_slice(b"\n\n");
}
