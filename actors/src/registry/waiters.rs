//! Who waits for which play to end.
//!
//! A waiter costs its entry here and nothing else, whatever its play's status; one that goes away
//! takes its entry with it.

use std::{collections::HashMap, sync::Arc};

use protocol::{Play, PlaySid};
use tokio::sync::oneshot;

/// See the module.
#[derive(Debug, Default)]
pub struct Waiters {
    by_play: HashMap<PlaySid, HashMap<u64, oneshot::Sender<Arc<Play>>>>,
    next: u64,
}

impl Waiters {
    /// Adds one: its number, and where it hears of the end.
    pub fn add(&mut self, play: PlaySid) -> (u64, oneshot::Receiver<Arc<Play>>) {
        let (tell, hear) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        self.by_play.entry(play).or_default().insert(id, tell);
        (id, hear)
    }

    /// A waiter went away.
    pub fn forget(&mut self, play: &PlaySid, id: u64) {
        if let Some(waiters) = self.by_play.get_mut(play) {
            waiters.remove(&id);
            if waiters.is_empty() {
                self.by_play.remove(play);
            }
        }
    }

    /// The play has ended: everyone who waited hears of it.
    pub fn wake(&mut self, play: &Arc<Play>) {
        for (_, tell) in self.by_play.remove(&play.sid).into_iter().flatten() {
            // An error says that this one has just gone away.
            drop(tell.send(play.clone()));
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_play.values().map(HashMap::len).sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_play.is_empty()
    }
}
