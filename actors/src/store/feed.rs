//! The change feed: what was committed, to whoever listens.
//!
//! Published by the store after each commit, so nobody ever sees what a crash can take back. A
//! listener of one play has a queue bounded by commits and by bytes; one that is too slow is told how
//! much it missed and re-reads from the store. No listener can hold up a commit. What a face makes of a
//! commit for its readers is made once, however many they are ([`Feed::encoded`]).

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering},
};

use protocol::{Log, Play, PlaySid, Span};
use tokio::sync::{Notify, watch};

use super::{
    Seq,
    figures::{Figures, Totals},
};
use crate::figures::Family;

/// How many commits a listener can be behind before it is told that it lagged …
const QUEUE: usize = 1_024;
/// … and how many bytes, about, without what was made of them. One commit larger than this is heard by
/// who waits for it.
const QUEUE_BYTES: usize = 4 << 20;

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

/// What one commit has changed of a play, shared by all who listen: its changes, at least one, in the
/// order of their numbers.
pub struct Commit {
    changes: Vec<Change>,
    encoded: OnceLock<Arc<[u8]>>,
}

impl Deref for Commit {
    type Target = [Change];

    fn deref(&self) -> &[Change] {
        &self.changes
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.changes).finish()
    }
}

/// Hears of plays as they change status, on the store's thread: must not block.
pub type PlayListener = Box<dyn Fn(&Arc<Play>) + Send + Sync>;

/// Hears that the library has changed, on the store's thread: must not block.
pub type LibraryListener = Box<dyn Fn() + Send + Sync>;

/// Where commits are published and listened to.
#[derive(Default)]
pub struct Feed {
    plays: Mutex<HashMap<PlaySid, Vec<Arc<Queue>>>>,
    listeners: Mutex<Vec<PlayListener>>,
    of_library: Mutex<Vec<LibraryListener>>,
    /// Counts commits that lists show, while somebody follows them.
    of_lists: watch::Sender<u64>,
    pub(super) figures: Figures,
}

impl Feed {
    /// Listens to one play, from the next commit on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, play: &PlaySid) -> Subscription {
        let queue = Arc::new(Queue::default());
        lock(&self.plays)
            .entry(play.clone())
            .or_default()
            .push(queue.clone());
        self.figures.subscriptions.fetch_add(1, Ordering::Relaxed);
        Subscription {
            feed: self.clone(),
            play: play.clone(),
            queue,
        }
    }

    /// Hears of every change of a play's record.
    pub fn on_play(&self, listener: PlayListener) {
        lock(&self.listeners).push(listener);
    }

    /// Hears of every change of the library, before it is answered.
    pub fn on_library(&self, listener: LibraryListener) {
        lock(&self.of_library).push(listener);
    }

    /// Hears that a play or the library has changed, from the next commit on.
    #[must_use]
    pub fn follow_lists(self: &Arc<Self>) -> ListSubscription {
        self.figures.subscriptions.fetch_add(1, Ordering::Relaxed);
        let commits = self.of_lists.subscribe();
        let heard = *commits.borrow();
        ListSubscription {
            heard,
            feed: self.clone(),
            commits,
        }
    }

    /// Where nobody listens, it costs a look.
    fn lists_changed(&self) {
        if self.of_lists.receiver_count() > 0 {
            self.of_lists.send_modify(|commits| *commits += 1);
        }
    }

    /// The library was changed, and that is committed. For the store only.
    pub fn publish_library(&self) {
        self.lists_changed();
        for listener in lock(&self.of_library).iter() {
            listener();
        }
    }

    /// Whether anybody listens to this play.
    #[must_use]
    pub fn is_watched(&self, play: &PlaySid) -> bool {
        lock(&self.plays).contains_key(play)
    }

    /// Publishes what was committed for one play, in the order of its numbers. For the store only.
    pub fn publish(&self, play: &PlaySid, changes: Vec<Change>) {
        if (changes.iter()).any(|change| matches!(change.body, ChangeBody::Play(_))) {
            self.lists_changed();
        }
        for change in &changes {
            if let ChangeBody::Play(record) = &change.body {
                for listener in lock(&self.listeners).iter() {
                    listener(record);
                }
            }
        }
        let plays = lock(&self.plays);
        let Some(queues) = plays.get(play) else {
            return;
        };
        let bytes = changes.iter().map(|change| weight(&change.body)).sum();
        let commit = Arc::new(Commit {
            changes,
            encoded: OnceLock::new(),
        });
        for queue in queues {
            queue.push(&commit, bytes);
        }
    }

    /// What whoever comes first makes of this commit; the others get the same. So all have to come with
    /// the same `encode`.
    pub fn encoded(&self, commit: &Commit, encode: impl FnOnce(&[Change]) -> Vec<u8>) -> Arc<[u8]> {
        let encoded = commit.encoded.get_or_init(|| {
            self.figures.encoded.add(1);
            encode(commit).into()
        });
        encoded.clone()
    }

    /// How far the slowest listener is behind, commits.
    #[must_use]
    pub fn backlog(&self) -> usize {
        let plays = lock(&self.plays);
        let behind = |queue: &Arc<Queue>| {
            let waiting = lock(&queue.waiting);
            waiting.commits.len() + usize::try_from(waiting.missed).unwrap_or(usize::MAX)
        };
        plays.values().flatten().map(behind).max().unwrap_or(0)
    }

    /// Some of what was committed, counted since the store was opened.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.figures.totals()
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

/// About how many bytes a change takes in memory.
fn weight(body: &ChangeBody) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match body {
        ChangeBody::Play(play) => 1_024 + play.input_data.len() + text(&play.output_data),
        ChangeBody::Span(span) => {
            512 + span.name.len() + text(&span.error) + span.tags.as_str().len()
        }
        ChangeBody::Log(log) => 128 + log.text.len(),
    }
}

/// What one listener has not heard yet.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Each with its bytes.
    commits: VecDeque<(Arc<Commit>, usize)>,
    bytes: usize,
    /// Commits that were dropped and not told of.
    missed: u64,
}

impl Queue {
    /// The oldest go where there is no room: the listener has to read the store in any case.
    fn push(&self, commit: &Arc<Commit>, bytes: usize) {
        let mut waiting = lock(&self.waiting);
        while waiting.commits.len() == QUEUE || waiting.bytes + bytes > QUEUE_BYTES {
            let Some((_, gone)) = waiting.commits.pop_front() else {
                break;
            };
            waiting.bytes -= gone;
            waiting.missed += 1;
        }
        waiting.commits.push_back((commit.clone(), bytes));
        waiting.bytes += bytes;
        drop(waiting);
        self.more.notify_one();
    }

    fn pop(&self) -> Option<Heard> {
        let mut waiting = lock(&self.waiting);
        if waiting.missed > 0 {
            return Some(Heard::Lagged(std::mem::take(&mut waiting.missed)));
        }
        let (commit, bytes) = waiting.commits.pop_front()?;
        waiting.bytes -= bytes;
        Some(Heard::Changes(commit))
    }
}

/// One listener of one play. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    play: PlaySid,
    queue: Arc<Queue>,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The changes of one commit.
    Changes(Arc<Commit>),
    /// It was too slow: this many commits are gone from the queue. Re-read from the store.
    Lagged(u64),
}

impl Subscription {
    /// Waits for the next commit. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.queue.pop() {
                if let Heard::Lagged(missed) = heard {
                    self.feed.figures.lagged.add(1);
                    self.feed.figures.missed.add(missed);
                }
                return heard;
            }
            // A commit that came in between has left its permit.
            self.queue.more.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed
            .figures
            .subscriptions
            .fetch_sub(1, Ordering::Relaxed);
        let mut plays = lock(&self.feed.plays);
        if let Some(queues) = plays.get_mut(&self.play) {
            queues.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
            if queues.is_empty() {
                plays.remove(&self.play);
            }
        }
    }
}

/// Who follows the lists of plays and workflows. It is told that there is something to be read from the store, not what:
/// so it keeps nothing, and one that is slow finds what changed meanwhile once, as it then stands. Dropping it ends it.
#[derive(Debug)]
pub struct ListSubscription {
    feed: Arc<Feed>,
    commits: watch::Receiver<u64>,
    /// Up to which commit it has been told.
    heard: u64,
}

impl ListSubscription {
    /// Waits for the next commit. Safe to cancel: nothing is lost.
    ///
    /// `Some`: it is far behind, so many commits.
    pub async fn next(&mut self) -> Option<u64> {
        // The sender is in the feed, which this holds.
        drop(self.commits.wait_for(|commits| *commits > self.heard).await);
        let commits = *self.commits.borrow_and_update();
        let missed = commits - std::mem::replace(&mut self.heard, commits);
        let lagged = missed > QUEUE as u64;
        if lagged {
            self.feed.figures.lagged.add(1);
            self.feed.figures.missed.add(missed);
        }
        lagged.then_some(missed)
    }
}

impl Drop for ListSubscription {
    fn drop(&mut self) {
        let subscriptions = &self.feed.figures.subscriptions;
        subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic elsewhere leaves these maps whole, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
