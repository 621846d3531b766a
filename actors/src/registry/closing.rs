//! The end of a play, or of an attempt, that has no actor: one that never started, was interrupted, or whose
//! actor died.

use std::sync::Arc;

use protocol::{Cause, CauseKind, EpochMs, OnInterrupt, Play, PlaySid, PlayStatus, SpanStatus};

use crate::{
    clock::Clock,
    play::{
        actor::RETRY,
        limits::RECOVERIES,
        state::{INTERRUPTED, closed_record, exhausted},
    },
    store::{Batch, Fence, PlayChange, Store, StoreError, StoredPlay},
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
    let play = settled(store, sid, attempt).await?;
    let now = clock.now();
    let message = cause.message.clone();
    let record = closed_record(play, status, cause, now);
    let changes = vec![PlayChange::Play(Arc::new(record.clone()))];
    let status = SpanStatus::of_outcome(status);
    commit(store, sid, attempt, changes, (status, &message, now)).await?;
    Ok(record)
}

/// A play whose server died, or whose start was never brought to its end: it goes on in a further attempt (it is
/// pending) unless its flow says otherwise, or that happened too often: then it has failed with this cause.
///
/// # Errors
/// As [`close`].
pub async fn interrupt(
    store: &dyn Store,
    clock: Clock,
    stored: &StoredPlay,
    mut cause: Cause,
) -> Result<Play, StoreError> {
    let (sid, attempt) = (&stored.play.sid, stored.play.attempt);
    let version = store.version(&stored.play.version_sid).await?;
    let goes_on = version.is_some_and(|version| version.on_interrupt == OnInterrupt::Resume);
    if goes_on && stored.past.recoveries < RECOVERIES {
        let mut play = settled(store, sid, attempt).await?;
        if play.status.is_terminal() {
            return Ok(play);
        }
        let now = clock.now();
        play.status = PlayStatus::Pending;
        let changes = vec![
            PlayChange::Recoveries(stored.past.recoveries + 1),
            PlayChange::Play(Arc::new(play.clone())),
        ];
        let ended = (SpanStatus::Cancelled, INTERRUPTED, now);
        commit(store, sid, attempt, changes, ended).await?;
        tracing::warn!(play = %sid, attempt, "the play was interrupted and goes on in a further attempt");
        return Ok(play);
    }
    if goes_on {
        cause.kind = CauseKind::RecoveryExhausted;
        cause.message = exhausted(&cause.message);
    }
    close(store, clock, sid, attempt, PlayStatus::Failed, cause).await
}

/// The record, with all that its actor had handed over.
async fn settled(store: &dyn Store, sid: &PlaySid, attempt: u32) -> Result<Play, StoreError> {
    if attempt > 0 {
        // What its actor had handed over last may still be on its way: it comes before this.
        let fence = Fence {
            play: sid.clone(),
            attempt,
        };
        let changes = Vec::new();
        store.commit(Batch::Play { fence, changes }).await?;
    }
    store.play(sid).await?.ok_or_else(|| StoreError::NotFound {
        what: "play",
        sid: sid.to_string(),
    })
}

/// Commits these changes after the ends of all open spans.
async fn commit(
    store: &dyn Store,
    sid: &PlaySid,
    attempt: u32,
    changes: Vec<PlayChange>,
    (status, message, now): (SpanStatus, &str, EpochMs),
) -> Result<(), StoreError> {
    let open = store.open_spans(sid).await?.into_iter();
    let ended = open.map(|(ord, mut span)| {
        span.status = status;
        span.error = Some(message.to_owned());
        span.end_ms = Some(now.max(span.start_ms));
        let span = Arc::new(span);
        PlayChange::Span { ord, span }
    });
    let changes = ended.chain(changes).collect();
    let fence = Fence {
        play: sid.clone(),
        attempt,
    };
    store.commit(Batch::Play { fence, changes }).await?;
    Ok(())
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
