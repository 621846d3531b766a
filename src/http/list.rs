//! Follows the lists of plays and workflows as Server-Sent Events: what changed, as it now stands.
//!
//! A stream is pulled by its reader and keeps nothing for it: it is told that something was committed, and reads from the
//! store what changed since the last event. So a play that changes several times before it is sent comes once, nothing is
//! sent that was not committed, and who comes back with an id goes the same way as who was slow. Where nobody follows, a
//! commit costs no more than a look whether somebody does.

use std::{collections::VecDeque, time::Duration};

use actors::store::{ListBody, ListChange, Seq, StoreError, feed::ListSubscription};
use bytes::Bytes;
use futures_util::{Stream, stream};
use protocol::{Error, Workflow};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::sse::{Beginning, CHUNK, KEEP_ALIVE, Phase, Source, event, write_event};
use crate::rpc::answer::error_object;

/// How many changes are read from the store at a time.
const PAGE: u32 = 256;
/// Between two looks into the store: what is committed meanwhile is read together.
const PACE: Duration = Duration::from_millis(20);

impl Source {
    /// Opens the stream of the lists.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn open_lists(
        self,
        from: Beginning,
    ) -> Result<impl Stream<Item = Bytes> + Send + 'static, Error> {
        // Listening first: what is committed from here on is heard, what was before is read.
        let heard = self.store.feed().follow_lists();
        let (last, phase) = match from {
            Beginning::After(seq) if self.store.knows(seq).await? => (seq, Phase::CatchingUp),
            // A number of another store, or of what a restore has lost: the reader sees it by the one it is greeted with.
            _ => (self.store.last_seq().await?, Phase::Live),
        };
        let greeting = event("hello", Some(last), &json!({"seq": last}));
        let follower = Follower {
            source: self,
            heard,
            last,
            phase,
            next_read: Instant::now(),
            waiting: VecDeque::from([greeting]),
        };
        Ok(stream::unfold(follower, |mut follower| async move {
            follower.chunk().await.map(|chunk| (chunk, follower))
        }))
    }
}

/// One reader's place in the changes.
#[derive(Debug)]
struct Follower {
    source: Source,
    heard: ListSubscription,
    /// The number of the last change that was sent.
    last: Seq,
    phase: Phase,
    /// Not before this it is read again.
    next_read: Instant,
    /// To be sent next; at most one page.
    waiting: VecDeque<Bytes>,
}

impl Follower {
    /// The next bytes to send; `None` when the stream is over.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                return Some(chunk);
            }
            match self.phase {
                Phase::Over => return None,
                Phase::CatchingUp => self.catch_up().await,
                Phase::Live => self.listen().await,
            }
        }
    }

    async fn catch_up(&mut self) {
        tokio::time::sleep_until(self.next_read).await;
        self.next_read = Instant::now() + PACE;
        match self.source.store.list_changes(self.last, PAGE).await {
            Ok(changes) => {
                if changes.len() < PAGE as usize {
                    // Whatever comes later is heard.
                    self.phase = Phase::Live;
                }
                self.queue(&changes);
            }
            Err(error) => self.fail(error),
        }
    }

    async fn listen(&mut self) {
        let heard = tokio::select! {
            biased;
            () = self.source.stopping.wait() => None,
            heard = tokio::time::timeout(self.source.keep_alive, self.heard.next()) => Some(heard),
        };
        match heard {
            Some(Ok(lagged)) => {
                if let Some(missed) = lagged {
                    let told = event("lagged", None, &json!({"missed_commits": missed}));
                    self.waiting.push_back(told);
                }
                self.phase = Phase::CatchingUp;
            }
            Some(Err(_)) => self.waiting.push_back(Bytes::from_static(KEEP_ALIVE)),
            None => self.finish(event("stopping", None, &json!({}))),
        }
    }

    fn queue(&mut self, changes: &[ListChange]) {
        let mut chunk = Vec::new();
        for change in changes {
            self.last = change.seq;
            write_change(&mut chunk, change);
            if chunk.len() >= CHUNK {
                self.waiting.push_back(std::mem::take(&mut chunk).into());
            }
        }
        if !chunk.is_empty() {
            self.waiting.push_back(chunk.into());
        }
    }

    fn finish(&mut self, last: Bytes) {
        self.waiting.push_back(last);
        self.phase = Phase::Over;
    }

    /// The stream can't go on; the reader comes back with its last id and loses nothing.
    fn fail(&mut self, error: StoreError) {
        if error == StoreError::Closed {
            return self.finish(event("stopping", None, &json!({})));
        }
        let error = Error::from(error);
        tracing::warn!(%error, "a stream of the lists broke off");
        self.finish(event("error", None, &error_object(&error)));
    }
}

fn write_change(out: &mut Vec<u8>, change: &ListChange) {
    #[derive(Serialize)]
    struct Changed<'w> {
        #[serde(flatten)]
        workflow: &'w Workflow,
        /// Only where it is so.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
    }
    match &change.body {
        ListBody::Play(play) => write_event(out, "play", Some(change.seq), play),
        ListBody::Workflow { workflow, deleted } => {
            let deleted = *deleted;
            write_event(
                out,
                "workflow",
                Some(change.seq),
                &Changed { workflow, deleted },
            );
        }
    }
}
