//! An actor that died: its play ends with it, everything else goes on.

use std::sync::Arc;

use actix::{Context, Handler};
use protocol::{Cause, CauseKind, Play, PlaySid, PlayStatus, SpanStatus};

use super::{Registry, actor::then};
use crate::{
    clock::Clock,
    play::{actor::RETRY, messages::PlayDown, state::closed_record},
    store::{Batch, Fence, PlayChange, Store, StoreError},
};

impl Handler<PlayDown> for Registry {
    type Result = ();

    fn handle(&mut self, down: PlayDown, ctx: &mut Self::Context) {
        tracing::error!(play = %down.sid, why = down.why, "a play's actor died");
        let PlayDown {
            sid,
            attempt,
            why,
            gone,
        } = down;
        let (store, clock) = (self.parts.store.clone(), self.parts.clock);
        let work = async move {
            if let Some(mut gone) = gone {
                // An error says that the watch over the process has ended, and so has the process.
                drop(gone.wait_for(|gone| *gone).await);
            }
            let why = format!("the play's actor died: {why}");
            let cause = Cause::new(CauseKind::Internal, why);
            let mut pause = RETRY.0;
            loop {
                match close(&*store, clock, &sid, attempt, cause.clone()).await {
                    Ok(play) => return Ok(Arc::new(play)),
                    Err(error) if error.may_pass() => {
                        tracing::error!(play = %sid, %error, "failed to record the end of a play; trying again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RETRY.1);
                    }
                    Err(error) => {
                        // It may just have ended: then that is its end.
                        let play = store.play(&sid).await.ok().flatten();
                        return play
                            .filter(|play| play.status.is_terminal())
                            .map(Arc::new)
                            .ok_or((sid, error));
                    }
                }
            }
        };
        then(
            ctx,
            self,
            work,
            |closed, registry, ctx: &mut Context<Self>| match closed {
                Ok(play) => registry.left(&play, ctx),
                Err((sid, error)) => {
                    tracing::error!(play = %sid, %error, "failed to record the end of a play whose actor died");
                    registry.plays.remove(&sid);
                    registry.roster.leave(&sid);
                    registry.fill(ctx);
                    registry.tell_if_drained();
                }
            },
        );
    }
}

/// Records the end of a play that nobody looks after any more; its process is known to be gone.
///
/// # Errors
/// What the store says; `Fenced` where the play has ended or has a newer attempt.
pub async fn close(
    store: &dyn Store,
    clock: Clock,
    sid: &PlaySid,
    attempt: u32,
    cause: Cause,
) -> Result<Play, StoreError> {
    let fence = Fence {
        play: sid.clone(),
        attempt,
    };
    // What its actor had handed over last may still be on its way: it comes before this.
    let nothing = Vec::new();
    store
        .commit(Batch::Play {
            fence: fence.clone(),
            changes: nothing,
        })
        .await?;
    let play = store.play(sid).await?.ok_or_else(|| StoreError::NotFound {
        what: "play",
        sid: sid.to_string(),
    })?;
    let now = clock.now();
    let message = cause.message.clone();
    let record = closed_record(play, PlayStatus::Failed, cause, now);
    let mut changes = Vec::new();
    for (ord, mut span) in store.open_spans(sid).await? {
        span.status = SpanStatus::Failed;
        span.error = Some(message.clone());
        span.end_ms = Some(now.max(span.start_ms));
        changes.push(PlayChange::Span {
            ord,
            span: Arc::new(span),
        });
    }
    changes.push(PlayChange::Play(Arc::new(record.clone())));
    store.commit(Batch::Play { fence, changes }).await?;
    Ok(record)
}
