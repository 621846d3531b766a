//! The end of a play that has no actor: one that never started, was interrupted, or whose actor died.

use std::sync::Arc;

use protocol::{Cause, Play, PlaySid, PlayStatus, SpanStatus};

use crate::{
    clock::Clock,
    play::{actor::RETRY, state::closed_record},
    store::{Batch, Fence, PlayChange, Store, StoreError},
};

/// Records the end of a play that nobody looks after; it has no process, or that is known to be
/// gone. Spans that are open end with it.
///
/// # Errors
/// What the store says; `Fenced` where the play has ended or has a newer attempt: nothing is
/// changed then.
pub async fn close(
    store: &dyn Store,
    clock: Clock,
    sid: &PlaySid,
    attempt: u32,
    status: PlayStatus,
    cause: Cause,
) -> Result<Play, StoreError> {
    let fence = Fence {
        play: sid.clone(),
        attempt,
    };
    if attempt > 0 {
        // What its actor had handed over last may still be on its way: it comes before this.
        let (fence, changes) = (fence.clone(), Vec::new());
        store.commit(Batch::Play { fence, changes }).await?;
    }
    let play = store.play(sid).await?.ok_or_else(|| StoreError::NotFound {
        what: "play",
        sid: sid.to_string(),
    })?;
    let now = clock.now();
    let message = cause.message.clone();
    let record = closed_record(play, status, cause, now);
    let mut changes = Vec::new();
    for (ord, mut span) in store.open_spans(sid).await? {
        span.status = SpanStatus::of_outcome(status);
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

/// As [`close`], and tries again while the store says that this may help. A play that has ended
/// meanwhile is told as it ended.
///
/// # Errors
/// What the store says and does not take back.
pub async fn close_surely(
    store: &dyn Store,
    clock: Clock,
    sid: &PlaySid,
    attempt: u32,
    status: PlayStatus,
    cause: Cause,
) -> Result<Play, StoreError> {
    let mut pause = RETRY.0;
    loop {
        match close(store, clock, sid, attempt, status, cause.clone()).await {
            Err(error) if error.may_pass() => {
                tracing::error!(play = %sid, %error, "failed to record the end of a play; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
            Err(fenced @ StoreError::Fenced { .. }) => {
                let play = store.play(sid).await?;
                return play.filter(|play| play.status.is_terminal()).ok_or(fenced);
            }
            closed => return closed,
        }
    }
}
