//! The live plays, kept where they outlive a registry.
//!
//! A registry that dies takes its mailbox with it. What its successor can't read from the store is
//! here: the addresses of the plays' actors, who of them waits for a child, whether a stop is under way,
//! who is to be cancelled as soon as it has an actor, and what plays have reported of their end and no
//! registry has dealt with yet. An entry goes only when that is done.
//!
//! Locks are held for these few lines only, never while anything is waited for or sent.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::Addr;
use protocol::{Play, PlaySid};
use tokio::sync::watch;

use super::{messages::CancelPlay, waiters::Waiters};
use crate::play::{PlayActor, messages::PlayDown};

/// How a play's actor has come to its end.
#[derive(Clone, Debug)]
pub enum Report {
    /// In order: the play has ended, and that is committed.
    Ended(Arc<Play>),
    /// Before its play had ended.
    Down(PlayDown),
}

/// One live play.
#[derive(Clone, Debug)]
pub struct LivePlay {
    pub actor: Addr<PlayActor>,
    pub parent: Option<PlaySid>,
    /// How many of its requests wait for a child play.
    pub waits: u32,
    /// The cancel that was handed to its actor.
    pub cancel: Option<CancelPlay>,
}

/// See the module.
#[derive(Debug)]
pub struct LivePlays {
    inner: Mutex<Inner>,
    waiters: Arc<Waiters>,
    /// Who waits for a child until that has ended, or itself awaits something.
    rests: Arc<Waiters>,
    /// How many live plays have not reported their end; counted while a stop is under way.
    open: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    plays: HashMap<PlaySid, LivePlay>,
    /// Can come before its play is entered, from another thread.
    reports: HashMap<PlaySid, Report>,
    /// Cancels of plays that are being started and have no actor yet: answered, not yet carried out.
    held: Vec<CancelPlay>,
    /// Plays that had an actor and whose end could not be recorded: their rows still say running.
    unrecorded: HashSet<PlaySid>,
    stopping: Option<Duration>,
}

impl Inner {
    fn open(&self) -> usize {
        let reported = |sid: &&PlaySid| !self.reports.contains_key(*sid);
        self.plays.keys().filter(reported).count()
    }
}

impl Default for LivePlays {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            waiters: Arc::default(),
            rests: Arc::default(),
            open: watch::Sender::new(0),
        }
    }
}

impl LivePlays {
    /// Who waits for the end of plays, live or not.
    #[must_use]
    pub fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    /// Who waits for a child until that has ended, or itself awaits something: told when it does the latter.
    #[must_use]
    pub fn rests(&self) -> &Arc<Waiters> {
        &self.rests
    }

    /// A play's actor was started. Whether it has reported its end already.
    pub fn enter(&self, sid: PlaySid, actor: Addr<PlayActor>, parent: Option<PlaySid>) -> bool {
        self.change(|inner| {
            let reported = inner.reports.contains_key(&sid);
            let play = LivePlay {
                actor,
                parent,
                waits: 0,
                cancel: None,
            };
            inner.plays.insert(sid, play);
            reported
        })
    }

    /// Its end is dealt with. Whether it was live until now.
    pub fn remove(&self, sid: &PlaySid) -> bool {
        self.change(|inner| {
            inner.reports.remove(sid);
            inner.plays.remove(sid).is_some()
        })
    }

    /// A play's actor tells its end.
    pub fn report(&self, sid: PlaySid, report: Report) {
        self.change(|inner| inner.reports.insert(sid, report));
    }

    /// What it has reported and nobody has dealt with.
    #[must_use]
    pub fn reported(&self, sid: &PlaySid) -> Option<Report> {
        self.lock().reports.get(sid).cloned()
    }

    /// Whose reports nobody has dealt with.
    #[must_use]
    pub fn all_reported(&self) -> Vec<PlaySid> {
        self.lock().reports.keys().cloned().collect()
    }

    /// Its actor.
    #[must_use]
    pub fn actor(&self, sid: &PlaySid) -> Option<Addr<PlayActor>> {
        self.lock().plays.get(sid).map(|play| play.actor.clone())
    }

    /// Whether it is live.
    #[must_use]
    pub fn has(&self, sid: &PlaySid) -> bool {
        self.lock().plays.contains_key(sid)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<(PlaySid, LivePlay)> {
        let inner = self.lock();
        let all = inner.plays.iter();
        all.map(|(sid, play)| (sid.clone(), play.clone())).collect()
    }

    /// Keeps a cancel until [`LivePlays::carried_out`].
    pub fn hold(&self, cancel: CancelPlay) {
        let mut inner = self.lock();
        if !inner.held.contains(&cancel) {
            inner.held.push(cancel);
        }
    }

    /// Its actor is handed this cancel.
    pub fn cancels(&self, cancel: &CancelPlay) {
        if let Some(play) = self.lock().plays.get_mut(&cancel.sid) {
            play.cancel.get_or_insert_with(|| cancel.clone());
        }
    }

    /// The cancel that its actor was handed.
    #[must_use]
    pub fn cancel_of(&self, sid: &PlaySid) -> Option<CancelPlay> {
        self.lock().plays.get(sid)?.cancel.clone()
    }

    /// Whether this cancel is kept.
    #[must_use]
    pub fn holds(&self, cancel: &CancelPlay) -> bool {
        self.lock().held.contains(cancel)
    }

    /// The cancels that are kept.
    #[must_use]
    pub fn held(&self) -> Vec<CancelPlay> {
        self.lock().held.clone()
    }

    /// This cancel need not be kept any more, if it was.
    pub fn carried_out(&self, cancel: &CancelPlay) {
        self.lock().held.retain(|held| held != cancel);
    }

    /// The play had an actor, and its end can't be recorded now.
    pub fn leave_unrecorded(&self, sid: PlaySid) {
        self.lock().unrecorded.insert(sid);
    }

    /// Whether the play had an actor that is gone, its end not being recorded.
    #[must_use]
    pub fn is_unrecorded(&self, sid: &PlaySid) -> bool {
        self.lock().unrecorded.contains(sid)
    }

    /// The play's end is committed, by whomever.
    pub fn recorded(&self, sid: &PlaySid) {
        self.lock().unrecorded.remove(sid);
    }

    /// One more request of it waits for a child play, or (`false`) one less.
    pub fn waits(&self, sid: &PlaySid, more: bool) {
        if let Some(play) = self.lock().plays.get_mut(sid) {
            play.waits = if more {
                play.waits + 1
            } else {
                play.waits.saturating_sub(1)
            };
        }
    }

    /// Whether it waits for a child play.
    #[must_use]
    pub fn is_waiting(&self, sid: &PlaySid) -> bool {
        self.lock()
            .plays
            .get(sid)
            .is_some_and(|play| play.waits > 0)
    }

    /// The grace of the stop that is under way.
    #[must_use]
    pub fn stopping(&self) -> Option<Duration> {
        self.lock().stopping
    }

    /// From now on nothing is started. An earlier, shorter grace stays.
    pub fn stop(&self, grace: Duration) {
        self.change(|inner| {
            let grace = inner.stopping.map_or(grace, |before| before.min(grace));
            inner.stopping = Some(grace);
        });
    }

    /// Waits until every live play has reported its end.
    pub async fn all_ended(&self) {
        let mut open = self.open.subscribe();
        // The sender lives as long as `self`.
        drop(open.wait_for(|open| *open == 0).await);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = change(&mut inner);
        if inner.stopping.is_some() {
            self.open.send_replace(inner.open());
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
