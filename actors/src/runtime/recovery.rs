//! What a server does first: plays that an earlier one left `running` have no process any more.

use std::{collections::HashMap, path::Path, sync::Arc};

use futures_util::future::join_all;
use protocol::{Cause, CauseKind, OnInterrupt, PlaySid, PlayStatus, VersionSid};

use crate::{
    clock::Clock,
    crash_point,
    play::attempt::Attempts,
    registry::closing::interrupt,
    store::{Store, StoreError, StoredPlay},
};

/// How many are seen to at once: their processes are looked for together, and their commits written together.
const PAGE: u32 = 256;

type Read = Result<StoredPlay, StoreError>;

/// Ends what is left of the processes of interrupted plays, and records those plays as pending, for a further
/// attempt, or as failed with the cause `interrupted` where their flow says so. Where these rows are a copy of another
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
        let reading = interrupted.into_iter().map(async |sid| {
            let read = read(store, &sid).await;
            (sid, read)
        });
        let read: Vec<(PlaySid, Read)> = join_all(reading).await;
        if own {
            let process = |read: &Read| read.as_ref().ok().and_then(|stored| stored.process);
            let left = read.iter().map(|(sid, read)| (sid.clone(), process(read)));
            attempts.end_remembered(left.collect()).await;
        }
        let policies = policies(store, &read).await?;
        let ending = read.into_iter().map(async |(sid, read)| {
            let ended = end(store, attempts, clock, read, &policies).await;
            (sid, ended)
        });
        for (sid, ended) in join_all(ending).await {
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

/// What their versions want.
async fn policies(
    store: &dyn Store,
    read: &[(PlaySid, Read)],
) -> Result<HashMap<VersionSid, OnInterrupt>, StoreError> {
    let mut policies = HashMap::new();
    for (_, read) in read {
        let Ok(stored) = read else { continue };
        let wanted = &stored.play.version_sid;
        if policies.contains_key(wanted) {
            continue;
        }
        match store.version(wanted).await {
            Ok(Some(version)) => drop(policies.insert(wanted.clone(), version.on_interrupt)),
            Ok(None) => {}
            Err(error @ StoreError::Backend(_)) => {
                tracing::error!(version = %wanted, %error, "failed to read a version; its plays don't go on");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(policies)
}

async fn read(store: &dyn Store, sid: &PlaySid) -> Read {
    let stored = store.resting_play(sid).await?;
    stored.ok_or_else(|| StoreError::NotFound {
        what: "play",
        sid: sid.to_string(),
    })
}

async fn end(
    store: &dyn Store,
    attempts: &Arc<dyn Attempts>,
    clock: Clock,
    read: Read,
    policies: &HashMap<VersionSid, OnInterrupt>,
) -> Result<(), StoreError> {
    let stored = read?;
    let sid = stored.play.sid.clone();
    // A version that is gone can't be played further.
    let policy = policies.get(&stored.play.version_sid).copied();
    let policy = policy.unwrap_or(OnInterrupt::Fail);
    let cause = Cause::new(
        CauseKind::Interrupted,
        "the server or the machine went down while it ran; retry it",
    );
    interrupt(store, clock, stored, policy, cause).await?;
    attempts.tidy(&sid).await;
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
