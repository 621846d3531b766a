//! What a server does first: plays that an earlier one left `running` have no process any more.

use std::sync::Arc;

use protocol::{Cause, CauseKind, PlayStatus};

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
