//! Outlines of plays that somebody looks at, kept in memory and brought up to date when they are asked for.
//!
//! The first question about a play reads all of its spans, some thousands at a time, so that other readers
//! get their turns; later ones only what has changed. Those that were used least recently go where
//! the others need the room. It must never answer with an outline that is not whole, and never compute on
//! a thread that serves others.

pub mod text;
pub mod tree;
pub mod window;

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::{Error, PlaySid, Result};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use self::tree::Tree;
use crate::store::{Outline, Progress, Store};

/// How many spans are read at a time.
const READ_AT_ONCE: u32 = 20_000;
/// How much memory outlines may take while nobody uses them, bytes.
const ROOM: usize = 256 << 20;
/// How many are kept, whatever they take.
const PLAYS: usize = 64;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Outlines {
    store: Arc<dyn Store>,
    kept: Arc<Mutex<VecDeque<Entry>>>,
}

/// The one used last is the last.
struct Entry {
    play: PlaySid,
    held: Arc<AsyncMutex<Held>>,
    bytes: usize,
}

/// What is kept of a play.
#[derive(Debug, Default)]
pub struct Held {
    pub outline: Outline,
    tree: Tree,
}

impl Held {
    /// The outline, and its tree.
    pub fn with_tree(&mut self) -> (&Outline, &Tree) {
        self.tree.follow(&self.outline);
        (&self.outline, &self.tree)
    }
}

/// An outline that is whole, for as long as this is held.
pub type Whole = OwnedMutexGuard<Held>;

impl Outlines {
    /// Outlines of the plays of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kept: Arc::default(),
        }
    }

    /// A play's outline as it now stands. Nobody else uses it meanwhile.
    ///
    /// # Errors
    /// `not_found`; `too_large` where it has more than `most` spans; what the store says.
    pub async fn get(&self, play: &PlaySid, most: u64) -> Result<Whole> {
        let mut held = self.entry(play).lock_owned().await;
        loop {
            // Where this is given up or fails, an empty one stays behind, which is read anew.
            let before = std::mem::take(&mut held.outline);
            let read = self.store.outline(play, before, READ_AT_ONCE).await?;
            let Some(read) = read else {
                self.forget(play);
                return Err(Error::not_found("play", play));
            };
            held.outline = read;
            let outline = &held.outline;
            let spans = outline.expected.max(outline.len() as u64);
            if spans > most {
                return Err(Error::too_large(format!(
                    "play {play} has {spans} spans, and {most} is the most that are told at once; \
                     ask for windows of it (play_window)"
                ))
                .with("sid", play.as_str())
                .with("spans", spans)
                .with("limit", most));
            }
            if matches!(outline.progress, Progress::Current(_)) {
                self.note(play, outline.bytes() + held.tree.bytes());
                return Ok(held);
            }
        }
    }

    /// As [`Self::get`], and makes something of it on a thread for such work.
    ///
    /// # Errors
    /// As there.
    pub async fn with<T: Send + 'static>(
        &self,
        play: &PlaySid,
        most: u64,
        make: impl FnOnce(&mut Held) -> T + Send + 'static,
    ) -> Result<T> {
        let mut held = self.get(play, most).await?;
        let made = tokio::task::spawn_blocking(move || make(&mut held)).await;
        made.map_err(|error| Error::internal(format!("the play's outline can't be used: {error}")))
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        // A panic elsewhere leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, play: &PlaySid) -> Arc<AsyncMutex<Held>> {
        let mut kept = self.kept();
        let known = kept.iter().position(|entry| entry.play == *play);
        let entry = known
            .and_then(|at| kept.remove(at))
            .unwrap_or_else(|| Entry {
                play: play.clone(),
                held: Arc::default(),
                bytes: 0,
            });
        let held = entry.held.clone();
        kept.push_back(entry);
        while kept.len() > PLAYS {
            kept.pop_front();
        }
        held
    }

    /// How much memory it takes now; others go where that is too much.
    fn note(&self, play: &PlaySid, bytes: usize) {
        let mut kept = self.kept();
        if let Some(entry) = kept.iter_mut().find(|entry| entry.play == *play) {
            entry.bytes = bytes;
        }
        let mut all: usize = kept.iter().map(|entry| entry.bytes).sum();
        while all > ROOM && kept.len() > 1 {
            all -= kept.pop_front().map_or(0, |entry| entry.bytes);
        }
    }

    fn forget(&self, play: &PlaySid) {
        self.kept().retain(|entry| entry.play != *play);
    }
}

impl fmt::Debug for Outlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        let plays = kept.iter().map(|entry| &entry.play);
        f.debug_list().entries(plays).finish()
    }
}

#[cfg(test)]
mod tests {
    use protocol::ErrorKind;

    use super::*;
    use crate::store::{
        conformance::sample::{running, span, spanned, write},
        memory::MemoryStore,
    };

    #[tokio::test]
    async fn it_is_as_the_store_is_each_time() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let outlines = Outlines::new(store.clone());
        let play = running(&*store).await;
        for ord in 0..3 {
            write(&*store, &play, vec![spanned(ord, span(ord))]).await;
            let mut held = outlines.get(&play.sid, 3).await.unwrap();
            assert_eq!(held.outline.len() as u64, ord + 1);
            let (_, tree) = held.with_tree();
            assert_eq!(tree.roots().len() as u64, ord + 1);
        }
        let refused = outlines.get(&play.sid, 2).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::TooLarge);
        let details = refused.details.unwrap();
        assert_eq!(details["sid"], play.sid.as_str());
        assert_eq!(outlines.get(&play.sid, 3).await.unwrap().outline.len(), 3);
        let unknown = outlines.get(&PlaySid::fresh(), 9).await.unwrap_err();
        assert_eq!(unknown.kind, ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn few_are_kept() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let outlines = Outlines::new(store.clone());
        let first = running(&*store).await.sid;
        drop(outlines.get(&first, 9).await.unwrap());
        for _ in 0..PLAYS {
            let play = running(&*store).await.sid;
            drop(outlines.get(&play, 9).await.unwrap());
        }
        let kept = |play: &PlaySid| outlines.kept().iter().any(|entry| entry.play == *play);
        assert!(!kept(&first));
        assert_eq!(outlines.kept().len(), PLAYS);
        drop(outlines.get(&first, 9).await.unwrap());
        assert!(kept(&first));
        // What takes too much makes the others go.
        outlines.note(&first, ROOM + 1);
        assert_eq!(outlines.kept().len(), 1);
        assert!(kept(&first));
    }
}
