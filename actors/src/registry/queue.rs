//! Pending plays: rows, started in the order of their creation as slots become free.

use std::sync::Arc;

use actix::{AsyncContext, Context};
use protocol::{Cause, CauseKind, Play, PlayStatus, WorkflowVersion};

use super::{Registry, actor::then};
use crate::{
    clock::Clock,
    play::{actor::RETRY, state::closed_record},
    store::{Batch, Fence, PlayChange, Store, StoreError, StoredPlay},
};

/// How many pending plays are started in one go.
const PAGE: u32 = 64;

struct Ready {
    stored: StoredPlay,
    version: Arc<WorkflowVersion>,
}

impl Registry {
    /// Starts pending plays while there is room.
    pub(super) fn fill(&mut self, ctx: &mut Context<Self>) {
        if self.filling || self.stopping.is_some() || !self.parts.dispatch || !self.queued {
            return;
        }
        let reserved = self.roster.reserve(PAGE);
        if reserved == 0 {
            return;
        }
        self.filling = true;
        self.queued = false;
        let work = take_pending(self.parts.store.clone(), self.parts.clock, reserved);
        then(ctx, self, work, move |(ready, left), registry, ctx| {
            registry.filling = false;
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
            registry.tell_if_drained();
        });
    }
}

/// Marks the oldest pending plays as running; those that it got, and how many are left.
async fn take_pending(
    store: Arc<dyn Store>,
    clock: Clock,
    limit: u32,
) -> (Vec<Ready>, Result<u64, StoreError>) {
    let mut ready = Vec::new();
    let taken = async {
        for sid in store
            .plays_with_status(PlayStatus::Pending, None, limit)
            .await?
        {
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
            if let Some(why) = outlived(&*store, &stored.play).await? {
                close(&*store, clock, &stored.play, PlayStatus::Cancelled, why).await?;
                continue;
            }
            let Some(version) = store.version(&stored.play.version_sid).await? else {
                let why = Cause::new(CauseKind::Start, "its workflow version is gone");
                close(&*store, clock, &stored.play, PlayStatus::Failed, why).await?;
                continue;
            };
            let fence = Fence {
                play: sid,
                attempt: stored.play.attempt,
            };
            stored.play.status = PlayStatus::Running;
            stored.play.attempt += 1;
            stored.play.started_at.get_or_insert(clock.now());
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

/// Ends a play that has not started.
async fn close(
    store: &dyn Store,
    clock: Clock,
    play: &Play,
    status: PlayStatus,
    cause: Cause,
) -> Result<(), StoreError> {
    let fence = Fence {
        play: play.sid.clone(),
        attempt: play.attempt,
    };
    let record = closed_record(play.clone(), status, cause, clock.now());
    let changes = vec![PlayChange::Play(Arc::new(record))];
    match store.commit(Batch::Play { fence, changes }).await {
        // An error of the fence says that it has ended already.
        Ok(_) | Err(StoreError::Fenced { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
