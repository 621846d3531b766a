//! Who waits for which play to end.
//!
//! A waiter costs its entry here and nothing else, whatever its play's status; one that goes away
//! takes its entry with it. The entries outlive a registry, and are told on the thread that publishes
//! the commit: between that and who waits there is one wake-up.
//!
//! Must never keep that thread for long: of many who wait for one play, the first are told at once and
//! the others elsewhere.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use protocol::{Play, PlaySid};
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;
use tokio::{runtime::Handle, sync::oneshot, task};

/// How many are told by who publishes.
const AT_ONCE: usize = 32;

/// A play's record. Its JSON text is written once, for all who are answered with it.
#[derive(Debug)]
pub struct Record {
    play: Arc<Play>,
    json: OnceLock<Result<Box<RawValue>, String>>,
}

impl Record {
    /// Of this play, as it stands.
    #[must_use]
    pub fn new(play: Arc<Play>) -> Self {
        Self {
            play,
            json: OnceLock::new(),
        }
    }

    /// The play.
    #[must_use]
    pub fn play(&self) -> &Arc<Play> {
        &self.play
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = self.json.get_or_init(|| {
            serde_json::value::to_raw_value(&*self.play).map_err(|error| error.to_string())
        });
        match written {
            Ok(json) => json.serialize(serializer),
            Err(error) => Err(ser::Error::custom(error)),
        }
    }
}

type Tell = oneshot::Sender<Arc<Record>>;

/// See the module.
#[derive(Default)]
pub struct Waiters(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_play: HashMap<PlaySid, HashMap<u64, Tell>>,
    next: u64,
    closed: bool,
}

impl Waiters {
    /// Adds one. Whether the play has ended before is to be looked at after that.
    pub fn add(self: &Arc<Self>, play: &PlaySid) -> Waiter {
        let (tell, hear) = oneshot::channel();
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        // A sender that is dropped says that there will be no end to hear of.
        if !inner.closed {
            inner
                .by_play
                .entry(play.clone())
                .or_default()
                .insert(id, tell);
        }
        drop(inner);
        Waiter {
            play: play.clone(),
            id,
            hear,
            waiters: self.clone(),
            live: false,
        }
    }

    /// The play has ended: everyone who waits for it hears so. Where these are many, some hear it from
    /// a task in `elsewhere`.
    pub fn wake(&self, play: &Arc<Play>, elsewhere: &Handle) {
        let Some(waiting) = self.lock().by_play.remove(&play.sid) else {
            return;
        };
        let mut waiting = waiting.into_values();
        let record = Arc::new(Record::new(play.clone()));
        waiting
            .by_ref()
            .take(AT_ONCE)
            .for_each(|tell| say(tell, &record));
        if waiting.len() == 0 {
            return;
        }
        elsewhere.spawn(async move {
            while waiting.len() > 0 {
                waiting
                    .by_ref()
                    .take(AT_ONCE)
                    .for_each(|tell| say(tell, &record));
                task::yield_now().await;
            }
        });
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_play.values().map(HashMap::len).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().by_play.is_empty()
    }

    /// No more ends will be told: who waits hears that, and so does whoever comes.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let waiting = std::mem::take(&mut inner.by_play);
        drop(inner);
        drop(waiting);
    }

    fn forget(&self, play: &PlaySid, id: u64) {
        let mut inner = self.lock();
        if let Some(waiters) = inner.by_play.get_mut(play) {
            waiters.remove(&id);
            if waiters.is_empty() {
                inner.by_play.remove(play);
            }
        }
    }

    /// A panic elsewhere leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn say(tell: Tell, record: &Arc<Record>) {
    // An error says that this one has just gone away.
    drop(tell.send(record.clone()));
}

/// Hears of one play's end. Dropped, it is forgotten.
#[derive(Debug)]
pub struct Waiter {
    play: PlaySid,
    id: u64,
    hear: oneshot::Receiver<Arc<Record>>,
    waiters: Arc<Waiters>,
    /// The play has an actor: its end is still to come, the store need not be asked.
    pub live: bool,
}

impl Waiter {
    /// The play as it ended. `None`: there will be no end to hear of, the server stops. Safe to
    /// cancel.
    pub async fn ended(&mut self) -> Option<Arc<Record>> {
        (&mut self.hear).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Who was told has no entry any more.
        if !self.hear.is_terminated() {
            self.waiters.forget(&self.play, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::PlayStatus;

    use super::*;
    use crate::store::conformance::sample::new_play;

    #[tokio::test]
    async fn many_who_wait_are_all_told_and_share_one_text() {
        let waiters = Arc::<Waiters>::default();
        let mut play = new_play().play;
        play.status = PlayStatus::Success;
        let play = Arc::new(play);
        let other = waiters.add(&"other".into());
        let mut waiting: Vec<_> = (0..5 * AT_ONCE).map(|_| waiters.add(&play.sid)).collect();
        drop(waiting.pop());
        assert_eq!(waiters.len(), 5 * AT_ONCE);
        waiters.wake(&play, &Handle::current());
        assert_eq!(waiters.len(), 1);
        let mut texts = Vec::new();
        for waiter in &mut waiting {
            let record = waiter.ended().await.unwrap();
            assert_eq!(
                serde_json::to_value(&*record).unwrap(),
                serde_json::to_value(&*play).unwrap()
            );
            let json = record.json.get().unwrap().as_ref().unwrap();
            texts.push(json.get().as_ptr());
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "it was written once");
        drop(other);
        assert!(waiters.is_empty());
    }

    #[tokio::test]
    async fn when_it_is_closed_nobody_waits_for_ever() {
        let waiters = Arc::<Waiters>::default();
        let mut before = waiters.add(&"p".into());
        waiters.close();
        let mut after = waiters.add(&"p".into());
        assert!(before.ended().await.is_none());
        assert!(after.ended().await.is_none());
    }
}
