//! What a server does first: plays that an earlier one left `running` have no process any more.

use std::{path::Path, pin::pin, sync::Arc};

use futures_util::{StreamExt, stream};
use protocol::{Cause, CauseKind, PlaySid, PlayStatus};

use crate::{
    clock::Clock,
    crash_point,
    play::attempt::Attempts,
    registry::closing::interrupt,
    store::{Store, StoreError},
};

/// How many are read at once …
const PAGE: u32 = 256;
/// … and ended: a thread each looks for their processes.
const AT_ONCE: usize = 32;

/// Ends what is left of the processes of interrupted plays, and records those plays as failed with
/// the cause `interrupted`, or as pending where they are durable. Where these rows are a copy of another
/// directory's (not `own`), the processes that they name are left alone: a server may be running them.
/// Returns how many there were. One whose row can't be read is left as it is.
///
/// # Errors
/// What the store says.
pub async fn tidy_up(
    store: &dyn Store,
    attempts: &Arc<dyn Attempts>,
    clock: Clock,
    own: bool,
) -> Result<u64, StoreError> {
    let mut tidied = 0;
    let mut after = None;
    loop {
        let interrupted = store
            .plays_with_status(PlayStatus::Running, after, PAGE)
            .await?;
        let Some(last) = interrupted.last().cloned() else {
            if tidied > 0 {
                crash_point::reached("recovery_done");
            }
            return Ok(tidied);
        };
        after = Some(last);
        crash_point::reached("recovery_begun");
        // Many at once: their commits are written together.
        let ending = stream::iter(interrupted).map(async |sid| {
            let ended = end(store, attempts, clock, &sid, own).await;
            (sid, ended)
        });
        let mut ending = pin!(ending.buffer_unordered(AT_ONCE));
        while let Some((sid, ended)) = ending.next().await {
            match ended {
                Ok(()) => {
                    crash_point::reached("recovery_recorded");
                    tidied += 1;
                }
                // A damaged row: the others, and the whole server, are not to wait for it.
                Err(error @ (StoreError::Backend(_) | StoreError::NotFound { .. })) => {
                    tracing::error!(play = %sid, %error, "failed to record that a play was interrupted; left as it is");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

async fn end(
    store: &dyn Store,
    attempts: &Arc<dyn Attempts>,
    clock: Clock,
    sid: &PlaySid,
    own: bool,
) -> Result<(), StoreError> {
    let stored = store.stored_play(sid).await;
    // Whatever can be read of it: what it had started is ended.
    let process = stored.as_ref().ok().and_then(|s| s.as_ref()?.process);
    if own {
        attempts.end_remembered(sid, process).await;
    }
    let stored = stored?.ok_or_else(|| StoreError::NotFound {
        what: "play",
        sid: sid.to_string(),
    })?;
    let cause = Cause::new(
        CauseKind::Interrupted,
        "the server or the machine went down while it ran; retry it",
    );
    interrupt(store, clock, &stored, cause).await?;
    attempts.tidy(sid).await;
    Ok(())
}

/// No play is live yet: what is in the directory of spools was left by plays that a crash caught
/// between their end and its tidying.
pub async fn tidy_spools(spools: &Path, attempts: &Arc<dyn Attempts>) {
    let left = std::fs::read_dir(spools).into_iter().flatten().flatten();
    let names = left.filter_map(|entry| entry.file_name().into_string().ok());
    for play in names.collect::<Vec<_>>() {
        attempts.tidy(&PlaySid::from(play)).await;
    }
}
