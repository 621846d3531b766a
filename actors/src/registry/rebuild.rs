//! How a registry finds its state: from the store and from the live plays. The first one of a
//! server does the same, and finds nothing but the queue.

use std::collections::HashSet;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use protocol::{Cause, CauseKind, PlaySid, PlayStatus};

use super::{
    Registry,
    actor::RegistryParts,
    closing::close_surely,
    messages::CancelPlay,
    queue::{Ready, ended_badly, ready_to_launch},
    waits::see_to_ended_children,
};
use crate::{
    play::actor::RETRY,
    store::{StoreError, settle},
};

const PAGE: u32 = 256;

/// What the store knows that the live plays don't.
#[derive(Default)]
struct Found {
    /// Committed as running, and never given an actor.
    unlaunched: Vec<Ready>,
    /// Live plays whose parent has ended without success.
    outlived: Vec<(PlaySid, PlaySid)>,
    queued: bool,
}

impl Registry {
    /// Nothing else is answered meanwhile.
    pub(super) fn rebuild(&mut self, ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        let work = async move {
            let mut pause = RETRY.0;
            loop {
                match look(&parts).await {
                    Err(error) if error.may_pass() => {
                        tracing::error!(%error, "failed to read the plays; trying again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RETRY.1);
                    }
                    found => return found,
                }
            }
        };
        ctx.wait(work.into_actor(self).map(|found, registry, ctx| {
            let found = found.unwrap_or_else(|error| {
                tracing::error!(%error, "the plays can't be read; going on with the live ones");
                Found {
                    queued: true,
                    ..Found::default()
                }
            });
            registry.found(found, ctx);
        }));
    }

    fn found(&mut self, found: Found, ctx: &mut Context<Self>) {
        let live = self.parts.live.all();
        if !live.is_empty() || !found.unlaunched.is_empty() {
            tracing::warn!(
                live = live.len(),
                unlaunched = found.unlaunched.len(),
                "the registry is rebuilt"
            );
        }
        for (sid, play) in live {
            self.roster.enter(sid.clone(), play.parent);
            self.roster.set_waiting(&sid, play.waits > 0);
        }
        if found.queued {
            self.queue.look_again();
        }
        for Ready { stored, version } in found.unlaunched {
            // They had their slots from the registry before.
            self.roster.take_one();
            self.launch(stored.play, stored.launch, version, stored.past, ctx);
        }
        for sid in self.parts.live.all_reported() {
            self.take_report(&sid, ctx);
        }
        for (sid, parent) in found.outlived {
            ctx.notify(CancelPlay {
                sid,
                grace: None,
                by: format!("parent {parent}"),
            });
        }
        if let Some(grace) = self.parts.live.stopping() {
            self.order_stop(grace);
        }
        self.hand_out_held(ctx);
        self.fill(ctx);
        self.look_for_wakes(ctx);
        if self.parts.dispatch {
            let parts = self.parts.clone();
            self.parts.io.spawn(see_to_ended_children(parts));
        }
    }
}

async fn look(parts: &RegistryParts) -> Result<Found, StoreError> {
    let (store, live) = (&*parts.store, &parts.live);
    let unlaunched = if parts.dispatch {
        // What an earlier registry handed over last comes before this.
        settle(store).await?;
        unlaunched(parts).await?
    } else {
        Vec::new()
    };
    let mut outlived = Vec::new();
    let mut parents = HashSet::new();
    let plays = live.all();
    for parent in plays.iter().filter_map(|(_, play)| play.parent.as_ref()) {
        if !live.has(parent)
            && !parents.contains(parent)
            && store.play(parent).await?.as_ref().is_some_and(ended_badly)
        {
            parents.insert(parent.clone());
        }
    }
    for (sid, play) in plays {
        if let Some(parent) = play.parent.filter(|parent| parents.contains(parent)) {
            outlived.push((sid, parent));
        }
    }
    Ok(Found {
        unlaunched,
        outlived,
        queued: store.count_plays(PlayStatus::Pending).await? > 0,
    })
}

async fn unlaunched(parts: &RegistryParts) -> Result<Vec<Ready>, StoreError> {
    let (store, live) = (&*parts.store, &parts.live);
    let mut unlaunched = Vec::new();
    let mut after = None;
    loop {
        let page = store
            .plays_with_status(PlayStatus::Running, after, PAGE)
            .await?;
        for sid in page.iter().filter(|sid| !live.has(sid)) {
            match without_actor(parts, sid).await {
                Ok(ready) => unlaunched.extend(ready),
                Err(error) if error.may_pass() || error == StoreError::Closed => return Err(error),
                Err(error) => {
                    // A damaged row: the others are not to suffer for it.
                    tracing::error!(play = %sid, %error, "failed to see to a play; left out");
                }
            }
        }
        match page.last() {
            Some(last) if page.len() >= PAGE as usize => after = Some(last.clone()),
            _ => return Ok(unlaunched),
        }
    }
}

/// A play that is running by its row and has no actor: to be started, unless it had one, whose end
/// could not be recorded. That is made good.
async fn without_actor(parts: &RegistryParts, sid: &PlaySid) -> Result<Option<Ready>, StoreError> {
    let Some(stored) = parts.store.stored_play(sid).await? else {
        return Ok(None);
    };
    // Spans can be an earlier attempt's; only the first one may have no process of its own.
    let said = stored.play.attempt == 1 && stored.past.spans > 0;
    let began = stored.process.is_some() || said || parts.live.is_unrecorded(sid);
    if !began {
        return ready_to_launch(parts, stored).await;
    }
    let cause = Cause::new(
        CauseKind::Internal,
        "the play's actor died, and its end could not be recorded then",
    );
    let (store, attempt) = (&*parts.store, stored.play.attempt);
    close_surely(store, parts.clock, sid, attempt, PlayStatus::Failed, cause).await?;
    Ok(None)
}
