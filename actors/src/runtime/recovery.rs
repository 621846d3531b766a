//! What a server does first: plays that an earlier one left `running` have no process any more.

use std::{path::Path, sync::Arc};

use protocol::{Cause, CauseKind, PlaySid, PlayStatus};

use crate::{
    clock::Clock,
    play::attempt::Attempts,
    registry::closing::close,
    store::{Store, StoreError},
};

const PAGE: u32 = 256;

/// Ends what is left of the processes of interrupted plays, and records those plays as failed with
/// the cause `interrupted`. Returns how many there were.
///
/// # Errors
/// What the store says.
pub async fn tidy_up(
    store: &dyn Store,
    attempts: &Arc<dyn Attempts>,
    clock: Clock,
) -> Result<u64, StoreError> {
    let mut tidied = 0;
    loop {
        let interrupted = store
            .plays_with_status(PlayStatus::Running, None, PAGE)
            .await?;
        if interrupted.is_empty() {
            return Ok(tidied);
        }
        for sid in interrupted {
            let Some(stored) = store.stored_play(&sid).await? else {
                continue;
            };
            attempts.end_remembered(&sid, stored.process).await;
            let cause = Cause::new(
                CauseKind::Interrupted,
                "the server or the machine went down while it ran; retry it",
            );
            let attempt = stored.play.attempt;
            close(store, clock, &sid, attempt, PlayStatus::Failed, cause).await?;
            attempts.tidy(&sid).await;
            tidied += 1;
        }
    }
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
