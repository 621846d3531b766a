//! The change feed: what was committed, to whoever listens.
//!
//! Published by the store after each commit, so nobody ever sees what a crash can take back. A
//! listener of one play has a bounded queue; one that is too slow is told how much it missed and
//! re-reads from the store. No listener can hold up a commit.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use protocol::{Log, Play, PlaySid, Span};
use tokio::sync::broadcast;

use super::{Seq, figures::Figures};
use crate::figures::Family;

/// How many commits a listener can be behind before it is told that it lagged.
const QUEUE: usize = 1_024;

/// One committed row of a play, as it stood after the change.
#[derive(Clone, Debug)]
pub struct Change {
    pub seq: Seq,
    pub body: ChangeBody,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum ChangeBody {
    Play(Arc<Play>),
    Span(Arc<Span>),
    Log(Arc<Log>),
}

/// Hears of plays as they change status, on the store's thread: must not block.
pub type PlayListener = Box<dyn Fn(&Arc<Play>) + Send + Sync>;

/// Where commits are published and listened to.
#[derive(Default)]
pub struct Feed {
    plays: Mutex<HashMap<PlaySid, broadcast::Sender<Arc<[Change]>>>>,
    listeners: Mutex<Vec<PlayListener>>,
    pub(super) figures: Figures,
}

impl Feed {
    /// Listens to one play, from the next commit on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, play: &PlaySid) -> Subscription {
        let receiver = lock(&self.plays)
            .entry(play.clone())
            .or_insert_with(|| broadcast::Sender::new(QUEUE))
            .subscribe();
        self.figures.subscriptions.fetch_add(1, Ordering::Relaxed);
        Subscription {
            feed: self.clone(),
            play: play.clone(),
            receiver: Some(receiver),
        }
    }

    /// Hears of every change of a play's record.
    pub fn on_play(&self, listener: PlayListener) {
        lock(&self.listeners).push(listener);
    }

    /// Publishes what was committed for one play, in the order of its numbers. For the store only.
    pub fn publish(&self, play: &PlaySid, changes: Vec<Change>) {
        for change in &changes {
            if let ChangeBody::Play(record) = &change.body {
                for listener in lock(&self.listeners).iter() {
                    listener(record);
                }
            }
        }
        let sender = lock(&self.plays).get(play).cloned();
        if let Some(sender) = sender {
            // An error only says that the last listener has just left.
            drop(sender.send(changes.into()));
        }
    }

    /// How far the slowest listener is behind, commits.
    #[must_use]
    pub fn backlog(&self) -> usize {
        let plays = lock(&self.plays);
        plays
            .values()
            .map(broadcast::Sender::len)
            .max()
            .unwrap_or(0)
    }

    /// What was committed, counted since the store was opened, and who listens.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.figures.families();
        families.push(
            Family::gauge(
                "feed_backlog_commits",
                "How far the slowest follower is behind.",
            )
            .of(self.backlog()),
        );
        families
    }

    /// How many plays are listened to.
    #[must_use]
    pub fn watched_plays(&self) -> usize {
        lock(&self.plays).len()
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("watched_plays", &self.watched_plays())
            .finish_non_exhaustive()
    }
}

/// One listener of one play. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    play: PlaySid,
    receiver: Option<broadcast::Receiver<Arc<[Change]>>>,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The changes of one commit.
    Changes(Arc<[Change]>),
    /// It was too slow: this many commits are gone from the queue. Re-read from the store.
    Lagged(u64),
}

impl Subscription {
    /// Waits for the next commit. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.receiver.as_mut()?.recv().await {
            Ok(changes) => Some(Heard::Changes(changes)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                self.feed.figures.lagged.add(1);
                self.feed.figures.missed.add(missed);
                Some(Heard::Lagged(missed))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.receiver = None;
        self.feed
            .figures
            .subscriptions
            .fetch_sub(1, Ordering::Relaxed);
        let mut plays = lock(&self.feed.plays);
        if plays
            .get(&self.play)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            plays.remove(&self.play);
        }
    }
}

/// A panic elsewhere leaves these maps whole, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
