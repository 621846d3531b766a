//! What every backend does alike: what is refused, decided on plain values before anything is
//! written and told in the same sentences, and what is published.

use std::sync::Arc;

use protocol::{PlaySid, PlayStatus, VersionSid, Workflow, WorkflowSid, WorkflowVersion};

use super::{Batch, Change, ChangeBody, Committed, Feed, Fence, PlayChange, Seq, StoreError};

/// Whether these changes may be made to a play that has this attempt and this status.
pub(super) fn check_play(
    fence: &Fence,
    attempt: u32,
    status: PlayStatus,
    changes: &[PlayChange],
) -> Result<(), StoreError> {
    let fenced = || StoreError::Fenced {
        play: fence.play.clone(),
        attempt: fence.attempt,
    };
    if fence.attempt != attempt || status.is_terminal() {
        return Err(fenced());
    }
    let (mut attempt, mut status) = (attempt, status);
    for change in changes {
        let PlayChange::Play(play) = change else {
            continue;
        };
        if play.sid != fence.play {
            return Err(StoreError::InvalidInput(format!(
                "a batch for the play {} has a record of the play {}; write each in a batch of its own",
                fence.play, play.sid
            )));
        }
        if play.attempt < attempt || (status.is_terminal() && play.status != status) {
            return Err(fenced());
        }
        (attempt, status) = (play.attempt, play.status);
    }
    Ok(())
}

/// Whether a version is one of this workflow.
pub(super) fn check_version(
    workflow: &Workflow,
    version: &WorkflowVersion,
) -> Result<(), StoreError> {
    if version.workflow_sid == workflow.sid {
        return Ok(());
    }
    Err(StoreError::InvalidInput(format!(
        "the version {} is of the workflow {}, not of {}; give it that workflow's sid",
        version.sid, version.workflow_sid, workflow.sid
    )))
}

pub(super) fn no_play(sid: &PlaySid) -> StoreError {
    StoreError::NotFound {
        what: "play",
        sid: sid.to_string(),
    }
}

pub(super) fn no_workflow(sid: &WorkflowSid) -> StoreError {
    StoreError::NotFound {
        what: "workflow",
        sid: sid.to_string(),
    }
}

/// The current version is none of the workflow's.
pub(super) fn no_version(sid: &VersionSid) -> StoreError {
    StoreError::NotFound {
        what: "version of this workflow",
        sid: sid.to_string(),
    }
}

pub(super) fn name_taken(name: &str) -> StoreError {
    StoreError::Conflict(format!(
        "there is a workflow named {name:?} already; choose another name, or add a version to that one"
    ))
}

pub(super) fn key_taken(key: &str, play: &PlaySid) -> StoreError {
    StoreError::Conflict(format!(
        "the idempotency key {key:?} belongs to the play {play} of another workflow; use a key of its own for each play"
    ))
}

pub(super) fn no_wait(play: &PlaySid, key: &str) -> StoreError {
    StoreError::Conflict(format!(
        "the play {play} does not wait with {key:?}: it was answered, or it is over"
    ))
}

pub(super) fn sid_taken(what: &str, sid: &str) -> StoreError {
    StoreError::Conflict(format!(
        "there is a {what} with the sid {sid} already; make a fresh one"
    ))
}

/// Publishes a committed batch: its changes, numbered from `before` on as they were written.
pub(super) fn publish(feed: &Feed, batch: Batch, before: Seq, committed: &Committed) {
    if committed.existing.is_none() {
        feed.figures.committed(&batch);
    }
    let mut seq = before;
    let mut number = |body| {
        seq += 1;
        Change { seq, body }
    };
    let (play, changes) = match batch {
        Batch::Create(new) if committed.existing.is_none() => {
            let play = Arc::new(new.play);
            (play.sid.clone(), vec![number(ChangeBody::Play(play))])
        }
        Batch::Create(_) => return,
        Batch::Library(_) => return feed.publish_library(),
        Batch::Play { fence, changes } => {
            let of_the_play = |change: &PlayChange| matches!(change, PlayChange::Play(_));
            if !feed.is_watched(&fence.play) && !changes.iter().any(of_the_play) {
                return; // nobody would hear of it
            }
            let changes = changes.into_iter().filter_map(|change| {
                Some(number(match change {
                    PlayChange::Play(play) => ChangeBody::Play(play),
                    PlayChange::Span { span, .. } => ChangeBody::Span(span),
                    PlayChange::Log(log) => ChangeBody::Log(log),
                    PlayChange::Process(_)
                    | PlayChange::Step(_)
                    | PlayChange::Recoveries(_)
                    | PlayChange::Wait(_)
                    | PlayChange::Settled(_)
                    | PlayChange::Signal(_)
                    | PlayChange::SignalTaken(_) => return None,
                }))
            });
            (fence.play, changes.collect())
        }
    };
    if !changes.is_empty() {
        feed.publish(&play, changes);
    }
}
