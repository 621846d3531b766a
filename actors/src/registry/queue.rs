//! Pending plays: rows, started in the order of their creation as slots become free.
//!
//! The first of them are also kept here, so that a slot that becomes free is used after one commit and no
//! reading. They may have been cancelled meanwhile: the store refuses to start them then.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use actix::{AsyncContext, Context};
use futures_util::future::join_all;
use protocol::{Cause, CauseKind, Play, PlayStatus, WorkflowVersion};

use super::{
    Registry,
    actor::{RegistryParts, then},
    closing::close,
};
use crate::{
    crash_point,
    play::actor::RETRY,
    store::{Batch, Fence, PlayChange, Store, StoreError, StoredPlay},
};

/// How many pending plays are started in one go, and read.
const PAGE: u32 = 64;
/// How many are kept …
const KEPT: usize = 256;
/// … and how many bytes of inputs, about.
const KEPT_BYTES: usize = 1 << 20;

/// A play with what its actor needs.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) stored: StoredPlay,
    pub(super) version: Arc<WorkflowVersion>,
}

/// The plays that are pending, as far as they are known.
#[derive(Default)]
pub(super) struct Queue {
    /// The oldest, in their order.
    kept: VecDeque<Ready>,
    bytes: usize,
    /// There may be more of them in the store. Only a look that began after the last of them came takes
    /// this back.
    more: bool,
    /// Plays are being read or started …
    filling: bool,
    /// … read.
    reading: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("kept", &self.kept.len())
            .field("more", &self.more)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// Whether nobody is in it, for certain.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && !self.more
    }

    /// Whether somebody may be in it, or is just being taken from it.
    pub(super) fn is_busy(&self) -> bool {
        !self.is_empty() || self.filling
    }

    /// There may be pending plays that are not kept.
    pub(super) fn look_again(&mut self) {
        self.more = true;
    }

    /// A play was stored as pending.
    pub(super) fn add(&mut self, ready: Ready) {
        // Behind those in the store that nobody has read.
        if self.more || self.reading || !self.keeps(&ready) {
            self.more = true;
        } else {
            self.keep(ready);
        }
    }

    fn keeps(&self, ready: &Ready) -> bool {
        self.kept.len() < KEPT && self.bytes + weight(ready) <= KEPT_BYTES
    }

    fn keep(&mut self, ready: Ready) {
        self.bytes += weight(&ready);
        self.kept.push_back(ready);
    }

    fn take(&mut self, most: u32) -> Vec<Ready> {
        let most = self.kept.len().min(most as usize);
        let taken: Vec<_> = self.kept.drain(..most).collect();
        self.bytes -= taken.iter().map(weight).sum::<usize>();
        taken
    }

    /// Something went wrong: the store is asked again, in its order.
    fn forget(&mut self) {
        self.kept.clear();
        self.bytes = 0;
        self.more = true;
    }
}

fn weight(ready: &Ready) -> usize {
    ready.stored.play.input_data.len()
}

impl Registry {
    /// Starts pending plays while there is room.
    pub(super) fn fill(&mut self, ctx: &mut Context<Self>) {
        if self.queue.filling
            || !self.parts.dispatch
            || self.queue.is_empty()
            || self.parts.live.stopping().is_some()
            || self.roster.room() == 0
        {
            return;
        }
        self.queue.filling = true;
        if self.queue.kept.is_empty() {
            self.read_queue(ctx);
            return;
        }
        let most = u32::try_from(self.queue.kept.len()).unwrap_or(u32::MAX);
        let reserved = self.roster.reserve(most.min(PAGE));
        let taken = self.queue.take(reserved);
        let starting = taken
            .into_iter()
            .map(|ready| start(self.parts.clone(), ready));
        then(
            ctx,
            self,
            join_all(starting),
            move |started, registry, ctx| {
                registry.queue.filling = false;
                let mut used = 0;
                let mut failed = None;
                for started in started {
                    match started {
                        Ok(Some(Ready { stored, version })) => {
                            used += 1;
                            if used == 1 {
                                crash_point::reached("queue_taken");
                            }
                            registry.launch(stored.play, stored.launch, version, stored.past, ctx);
                        }
                        Ok(None) => {}
                        Err(error) => failed = Some(error),
                    }
                }
                registry.roster.release(reserved - used);
                registry.filled(failed, ctx);
            },
        );
    }

    /// Keeps the oldest of those that are in the store only, then goes on.
    fn read_queue(&mut self, ctx: &mut Context<Self>) {
        self.queue.more = false;
        self.queue.reading = true;
        let work = read_pending(self.parts.clone());
        then(ctx, self, work, move |read, registry, ctx| {
            registry.queue.filling = false;
            registry.queue.reading = false;
            let mut failed = None;
            match read {
                Ok((ready, more)) => {
                    registry.queue.more |= more;
                    ready
                        .into_iter()
                        .for_each(|ready| registry.queue.keep(ready));
                }
                Err(error) => failed = Some(error),
            }
            registry.filled(failed, ctx);
        });
    }

    fn filled(&mut self, failed: Option<StoreError>, ctx: &mut Context<Self>) {
        match failed {
            None => self.fill(ctx),
            Some(error) => {
                tracing::error!(%error, "failed to start what is in the queue; trying again");
                self.queue.forget();
                ctx.run_later(RETRY.1, Self::fill);
            }
        }
        self.hand_out_held(ctx);
        self.tell_if_drained();
    }

    /// A play that was about to start while the server stops waits for the next server. The attempt is spent, since the store takes
    /// back no number of one. The slot is held until that is written.
    pub(super) fn put_back(&mut self, play: Play, ctx: &mut Context<Self>) {
        tracing::info!(play = %play.sid, "not started any more: it is pending again");
        let fence = Fence {
            play: play.sid.clone(),
            attempt: play.attempt,
        };
        let sid = play.sid.clone();
        let pending = Play {
            status: PlayStatus::Pending,
            // Of one that goes on it tells when that began.
            started_at: play.started_at.filter(|_| play.attempt > 1),
            ..play
        };
        let changes = vec![PlayChange::Play(Arc::new(pending))];
        let commit = self.parts.store.commit(Batch::Play { fence, changes });
        then(ctx, self, commit, move |committed, registry, ctx| {
            if let Err(error) = committed {
                // It is left to the next server, which says that it was interrupted.
                tracing::error!(play = %sid, %error, "failed to make a play pending again");
            }
            registry.roster.release(1);
            registry.hand_out_held(ctx);
            registry.tell_if_drained();
        });
    }
}

/// The oldest pending plays, and whether there are more.
async fn read_pending(parts: RegistryParts) -> Result<(Vec<Ready>, bool), StoreError> {
    let store = &*parts.store;
    let mut versions = HashMap::new();
    let (mut ready, mut bytes) = (Vec::<Ready>::new(), 0);
    let mut page = VecDeque::new();
    let (mut last, mut ends) = (None, false);
    loop {
        if page.is_empty() && !ends {
            let read = store
                .plays_with_status(PlayStatus::Pending, last.take(), PAGE)
                .await?;
            ends = read.len() < PAGE as usize;
            page.extend(read);
        }
        let Some(sid) = page.pop_front() else {
            return Ok((ready, false));
        };
        last = Some(sid.clone());
        if parts.live.stopping().is_some() || bytes > KEPT_BYTES || ready.len() >= PAGE as usize {
            return Ok((ready, true));
        }
        let stored = match store.stored_play(&sid).await {
            Ok(Some(stored)) => stored,
            Ok(None) => continue,
            Err(error @ StoreError::Backend(_)) => {
                // A damaged row: those behind it are not to wait for it.
                tracing::error!(play = %sid, %error, "failed to read a pending play; left out");
                continue;
            }
            Err(error) => return Err(error),
        };
        let wanted = &stored.play.version_sid;
        let version = match versions.get(wanted) {
            Some(version) => Arc::clone(version),
            None => match store.version(wanted).await? {
                Some(version) => versions
                    .entry(wanted.clone())
                    .or_insert(Arc::new(version))
                    .clone(),
                None => {
                    gone_version(&parts, &stored.play, stored.play.attempt).await?;
                    continue;
                }
            },
        };
        bytes += stored.play.input_data.len();
        ready.push(Ready { stored, version });
    }
}

/// Marks a pending play as running. `None`: it is not to be started any more.
async fn start(parts: RegistryParts, ready: Ready) -> Result<Option<Ready>, StoreError> {
    let (store, clock) = (&*parts.store, parts.clock);
    let Ready {
        mut stored,
        version,
    } = ready;
    if parts.live.has(&stored.play.sid) {
        // Its earlier attempt is just being left behind; then the queue is looked through again.
        return Ok(None);
    }
    let fence = Fence {
        play: stored.play.sid.clone(),
        attempt: stored.play.attempt,
    };
    if let Some(why) = outlived(store, &stored.play).await? {
        let (sid, attempt) = (&fence.play, fence.attempt);
        let closed = close(store, clock, sid, attempt, PlayStatus::Cancelled, why).await;
        unless_ended(closed)?;
        return Ok(None);
    }
    stored.play.status = PlayStatus::Running;
    stored.play.attempt += 1;
    stored.play.started_at.get_or_insert(clock.now());
    let changes = vec![PlayChange::Play(Arc::new(stored.play.clone()))];
    match store.commit(Batch::Play { fence, changes }).await {
        Ok(_) => {
            open_of(store, &mut stored).await;
            Ok(Some(Ready { stored, version }))
        }
        // Cancelled meanwhile.
        Err(StoreError::Fenced { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a play waits for, and what it left open. Read when its row says that it runs: from then on only
/// its actor changes that.
pub(super) async fn open_of(store: &dyn Store, stored: &mut StoredPlay) {
    let StoredPlay { play, past, .. } = stored;
    loop {
        match store.resting_play(&play.sid).await {
            Ok(read) => {
                let read = read.map(|read| read.past).unwrap_or_default();
                (past.waiting, past.open) = (read.waiting, read.open);
                return;
            }
            Err(error) if error.may_pass() => tokio::time::sleep(RETRY.0).await,
            Err(error) => {
                tracing::error!(play = %play.sid, %error, "failed to read what a play waits for; it is started without");
                return;
            }
        }
    }
}

/// A play whose row says `running`, with its version. Without one it is closed.
pub(super) async fn ready_to_launch(
    parts: &RegistryParts,
    stored: StoredPlay,
) -> Result<Option<Ready>, StoreError> {
    match parts.store.version(&stored.play.version_sid).await? {
        Some(version) => {
            let mut stored = stored;
            open_of(&*parts.store, &mut stored).await;
            let version = Arc::new(version);
            Ok(Some(Ready { stored, version }))
        }
        None => gone_version(parts, &stored.play, stored.play.attempt)
            .await
            .map(|()| None),
    }
}

async fn gone_version(parts: &RegistryParts, play: &Play, attempt: u32) -> Result<(), StoreError> {
    let why = Cause::new(CauseKind::Start, "its workflow version is gone");
    let closed = close(
        &*parts.store,
        parts.clock,
        &play.sid,
        attempt,
        PlayStatus::Failed,
        why,
    );
    unless_ended(closed.await)
}

/// One that has ended by itself meanwhile is closed.
fn unless_ended(closed: Result<Play, StoreError>) -> Result<(), StoreError> {
    match closed {
        Ok(_) | Err(StoreError::Fenced { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Why this play is not to be started any more: its parent ended without success.
pub(super) async fn outlived(store: &dyn Store, play: &Play) -> Result<Option<Cause>, StoreError> {
    let Some(parent) = &play.parent_play_sid else {
        return Ok(None);
    };
    let parent = store.play(parent).await?;
    Ok(parent.filter(ended_badly).map(|parent| {
        let by = format!("parent {}", parent.sid);
        let mut cause = Cause::new(
            CauseKind::Cancelled,
            format!("cancelled by {by} before it had started"),
        );
        cause.by = Some(by);
        cause
    }))
}

/// Whether the plays that this one started are to end with it.
pub(super) fn ended_badly(play: &Play) -> bool {
    play.status.is_terminal() && play.status != PlayStatus::Success
}
