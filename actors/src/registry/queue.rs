//! Pending plays: rows, started in the order of their creation as slots become free.

use std::sync::Arc;

use actix::Context;
use protocol::{PlayStatus, WorkflowVersion};

use super::{Registry, actor::then};
use crate::{
    clock::Clock,
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
        if self.filling || self.stopping.is_some() || !self.parts.dispatch || self.pending == 0 {
            return;
        }
        let reserved = self.roster.reserve(PAGE);
        if reserved == 0 {
            return;
        }
        self.filling = true;
        let changes = self.pending_changes;
        let work = take_pending(self.parts.store.clone(), self.parts.clock, reserved);
        then(ctx, self, work, move |(ready, left), registry, ctx| {
            registry.filling = false;
            let used = u32::try_from(ready.len()).unwrap_or(u32::MAX);
            for Ready { stored, version } in ready {
                registry.launch(stored.play, stored.launch, version, stored.spans, ctx);
            }
            registry.roster.release(reserved - used);
            match left {
                Ok(left) => registry.counted(left, changes, ctx),
                Err(error) => {
                    tracing::error!(%error, "failed to read the queue; it is tried again at the next end of a play")
                }
            }
            if used > 0 {
                registry.fill(ctx);
            }
            registry.tell_if_drained();
        });
    }

    /// Asks the store how many plays are pending.
    pub(super) fn count_pending(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.counting, true) {
            return;
        }
        let changes = self.pending_changes;
        let count = self.parts.store.count_plays(PlayStatus::Pending);
        then(ctx, self, count, move |left, registry, ctx| {
            registry.counting = false;
            match left {
                Ok(left) => registry.counted(left, changes, ctx),
                Err(error) => tracing::error!(%error, "failed to count the queue"),
            }
        });
    }

    /// The number is right only if nothing was heard of since it was asked for: what came in between
    /// may be in it or not. A number that is too small would leave a play waiting for ever.
    fn counted(&mut self, left: u64, changes: u64, ctx: &mut Context<Self>) {
        if self.pending_changes == changes {
            self.pending = left;
        } else {
            self.pending = self.pending.max(left);
            self.count_pending(ctx);
        }
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
            let Some(mut stored) = store.stored_play(&sid).await? else {
                continue;
            };
            let Some(version) = store.version(&stored.play.version_sid).await? else {
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
