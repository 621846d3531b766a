//! Pending plays: rows, started in the order of their creation as slots become free.

use std::sync::Arc;

use actix::{AsyncContext, Context};
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

/// How many pending plays are started in one go.
const PAGE: u32 = 64;

/// A play whose row says `running`, with what its actor needs.
pub(super) struct Ready {
    pub(super) stored: StoredPlay,
    pub(super) version: Arc<WorkflowVersion>,
}

impl Registry {
    /// Starts pending plays while there is room.
    pub(super) fn fill(&mut self, ctx: &mut Context<Self>) {
        if self.filling
            || !self.parts.dispatch
            || !self.queued
            || self.parts.live.stopping().is_some()
        {
            return;
        }
        let reserved = self.roster.reserve(PAGE);
        if reserved == 0 {
            return;
        }
        self.filling = true;
        self.queued = false;
        let work = take_pending(self.parts.clone(), reserved);
        then(ctx, self, work, move |(ready, left), registry, ctx| {
            registry.filling = false;
            if !ready.is_empty() {
                crash_point::reached("queue_taken");
            }
            let used = u32::try_from(ready.len()).unwrap_or(u32::MAX);
            for Ready { stored, version } in ready {
                registry.launch(stored.play, stored.launch, version, stored.spans, ctx);
            }
            registry.roster.release(reserved - used);
            match left {
                Ok(left) => {
                    registry.queued |= left > 0;
                    registry.fill(ctx);
                }
                Err(error) => {
                    tracing::error!(%error, "failed to read the queue; trying again");
                    registry.queued = true;
                    ctx.run_later(RETRY.1, Self::fill);
                }
            }
            registry.hand_out_held(ctx);
            registry.tell_if_drained();
        });
    }

    /// A play that was about to start while the server stops waits for the next server. The slot is
    /// held until that is written.
    pub(super) fn put_back(&mut self, play: Play, ctx: &mut Context<Self>) {
        tracing::info!(play = %play.sid, "not started any more: it is pending again");
        let fence = Fence {
            play: play.sid.clone(),
            attempt: play.attempt,
        };
        let sid = play.sid.clone();
        let pending = Play {
            status: PlayStatus::Pending,
            started_at: None,
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

/// Marks the oldest pending plays as running; those that it got, and how many are left.
async fn take_pending(parts: RegistryParts, limit: u32) -> (Vec<Ready>, Result<u64, StoreError>) {
    let (store, clock) = (&*parts.store, parts.clock);
    let mut ready = Vec::new();
    let taken = async {
        for sid in store
            .plays_with_status(PlayStatus::Pending, None, limit)
            .await?
        {
            if parts.live.stopping().is_some() {
                break;
            }
            let mut stored = match store.stored_play(&sid).await {
                Ok(Some(stored)) => stored,
                Ok(None) => continue,
                Err(error @ StoreError::Backend(_)) => {
                    // A damaged row: those behind it are not to wait for it.
                    tracing::error!(play = %sid, %error, "failed to read a pending play; left out");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(why) = outlived(store, &stored.play).await? {
                let attempt = stored.play.attempt;
                let closed = close(store, clock, &sid, attempt, PlayStatus::Cancelled, why).await;
                unless_ended(closed)?;
                continue;
            }
            let fence = Fence {
                play: sid,
                attempt: stored.play.attempt,
            };
            stored.play.status = PlayStatus::Running;
            stored.play.attempt += 1;
            stored.play.started_at.get_or_insert(clock.now());
            let Some(version) = store.version(&stored.play.version_sid).await? else {
                gone_version(&parts, &stored.play, fence.attempt).await?;
                continue;
            };
            let changes = vec![PlayChange::Play(Arc::new(stored.play.clone()))];
            match store.commit(Batch::Play { fence, changes }).await {
                Ok(_) => ready.push(Ready {
                    stored,
                    version: Arc::new(version),
                }),
                // Cancelled meanwhile.
                Err(StoreError::Fenced { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        store.count_plays(PlayStatus::Pending).await
    }
    .await;
    (ready, taken)
}

/// A play whose row says `running`, with its version. Without one it is closed.
pub(super) async fn ready_to_launch(
    parts: &RegistryParts,
    stored: StoredPlay,
) -> Result<Option<Ready>, StoreError> {
    match parts.store.version(&stored.play.version_sid).await? {
        Some(version) => Ok(Some(Ready {
            stored,
            version: Arc::new(version),
        })),
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
async fn outlived(store: &dyn Store, play: &Play) -> Result<Option<Cause>, StoreError> {
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
