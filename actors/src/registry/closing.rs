//! The end of a play, or of an attempt, that has no actor: one that never started, was interrupted, or whose
//! actor died.

use std::sync::Arc;

use protocol::{
    Cause, CauseKind, EpochMs, OnInterrupt, Play, PlaySid, PlayStatus, Span, SpanStatus,
};

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
    let ended = (SpanStatus::of_outcome(status), &*message, now);
    let open = store.open_spans(sid).await?;
    commit(store, sid, attempt, changes, open, ended).await?;
    Ok(record)
}

/// A play of a server that is gone, as it rests in the store: it goes on in a further attempt (it is pending) unless its
/// flow says otherwise, or that happened too often: then it has failed with this cause.
///
/// # Errors
/// As [`close`].
pub async fn interrupt(
    store: &dyn Store,
    clock: Clock,
    resting: StoredPlay,
    on_interrupt: OnInterrupt,
    mut cause: Cause,
) -> Result<(), StoreError> {
    let StoredPlay { play, past, .. } = resting;
    let (sid, attempt, now) = (play.sid.clone(), play.attempt, clock.now());
    let goes_on = on_interrupt == OnInterrupt::Resume;
    if goes_on && past.recoveries < RECOVERIES {
        tracing::warn!(play = %sid, attempt, "the play was interrupted and goes on in a further attempt");
        let status = PlayStatus::Pending;
        let changes = vec![
            PlayChange::Recoveries(past.recoveries + 1),
            PlayChange::Play(Arc::new(Play { status, ..play })),
        ];
        let ended = (SpanStatus::Cancelled, INTERRUPTED, now);
        return commit(store, &sid, attempt, changes, past.open, ended).await;
    }
    if goes_on {
        cause.kind = CauseKind::RecoveryExhausted;
        cause.message = exhausted(&cause.message);
    }
    let message = cause.message.clone();
    let record = closed_record(play, PlayStatus::Failed, cause, now);
    let changes = vec![PlayChange::Play(Arc::new(record))];
    let ended = (SpanStatus::Failed, &*message, now);
    commit(store, &sid, attempt, changes, past.open, ended).await
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

/// Commits these changes after the ends of the spans that are open.
async fn commit(
    store: &dyn Store,
    sid: &PlaySid,
    attempt: u32,
    changes: Vec<PlayChange>,
    open: Vec<(u64, Span)>,
    (status, message, now): (SpanStatus, &str, EpochMs),
) -> Result<(), StoreError> {
    let ended = open.into_iter().map(|(ord, mut span)| {
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
