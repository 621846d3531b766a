//! A play as lists tell it: its record without what can be long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Cause, CauseKind, EpochMs, Play, PlaySid, PlayStatus, Skipped, Usage, VersionSid, Wait,
    WaitKind, WorkflowSid,
};

/// How much of a cause's message a summary has, bytes.
pub const MESSAGE: usize = 2_000;
/// How many of the things that a play waits for a summary names.
pub const WAITS: u8 = 5;

/// The record of a play without input, output and what of its cause can be long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaySummary {
    pub sid: PlaySid,
    pub workflow_sid: WorkflowSid,
    pub workflow_name: String,
    pub version_sid: VersionSid,
    pub flow_name: Option<String>,
    pub status: PlayStatus,
    pub cause: Option<CauseSummary>,
    pub parent_play_sid: Option<PlaySid>,
    pub parent_span_id: String,
    pub retry_of: Option<PlaySid>,
    pub origin: String,
    pub attempt: u32,
    pub created_at: EpochMs,
    pub started_at: Option<EpochMs>,
    pub completed_at: Option<EpochMs>,
    pub duration_ms: Option<f64>,
    pub usage: Option<Usage>,
    pub skipped: Option<Skipped>,
    /// What a play that is `awaiting_resume` waits for, oldest first; five of them at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<WaitsFor>,
}

/// The kind of a cause, and its message: its first 2,000 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CauseSummary {
    pub kind: CauseKind,
    pub message: String,
}

/// One thing that a play waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitsFor {
    pub kind: WaitKind,
    pub name: String,
    /// When the waiting is over, whatever comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<EpochMs>,
}

impl PlaySummary {
    /// Of this play, which waits for that; the oldest comes first.
    #[must_use]
    pub fn new<'w>(play: &Play, waits: impl IntoIterator<Item = &'w Wait>) -> Self {
        let waits = waits.into_iter().take(WAITS.into()).map(WaitsFor::from);
        Self {
            sid: play.sid.clone(),
            workflow_sid: play.workflow_sid.clone(),
            workflow_name: play.workflow_name.clone(),
            version_sid: play.version_sid.clone(),
            flow_name: play.flow_name.clone(),
            status: play.status,
            cause: play.cause.as_ref().map(CauseSummary::from),
            parent_play_sid: play.parent_play_sid.clone(),
            parent_span_id: play.parent_span_id.clone(),
            retry_of: play.retry_of.clone(),
            origin: play.origin.clone(),
            attempt: play.attempt,
            created_at: play.created_at,
            started_at: play.started_at,
            completed_at: play.completed_at,
            duration_ms: play.duration_ms,
            usage: play.usage,
            skipped: play.skipped.clone(),
            waits_for: match play.status {
                PlayStatus::AwaitingResume => waits.collect(),
                _ => Vec::new(),
            },
        }
    }
}

impl From<&Cause> for CauseSummary {
    fn from(cause: &Cause) -> Self {
        let message = &cause.message;
        Self {
            kind: cause.kind,
            message: message[..message.floor_char_boundary(MESSAGE)].to_owned(),
        }
    }
}

impl From<&Wait> for WaitsFor {
    fn from(wait: &Wait) -> Self {
        Self {
            kind: wait.start.kind,
            name: wait.start.name.to_string(),
            wake_at: wait.start.wake_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let whole = format!("x{}", "é".repeat(MESSAGE));
        let cut = CauseSummary::from(&Cause::new(CauseKind::Exception, whole.as_str())).message;
        assert_eq!(cut.len(), MESSAGE - 1);
        assert!(whole.starts_with(&cut));
        let short = CauseSummary::from(&Cause::new(CauseKind::Exception, "why")).message;
        assert_eq!(short, "why");
    }
}
