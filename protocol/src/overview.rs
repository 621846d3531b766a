//! What is told of many plays at once: counts over time, how a workflow does, the open questions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EpochMs, PlaySid, PlayStatus, SpanId, WorkflowSid, rpc::Page};

/// Into how many stretches of time counts are divided, where nothing else is asked for …
pub const DEFAULT_BUCKETS: u32 = 60;
/// … and into how many at most.
pub const MAX_BUCKETS: u32 = 1_000;

/// `play_overview`: the filters are those of `play_list`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayOverview {
    /// Only plays that have one of these; none: whatever they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<PlayStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_sid: Option<WorkflowSid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Only plays that no other play has started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub top_level: bool,
    /// Only plays created at this time or later, epoch ms; here the first stretch begins. Default: where the oldest of
    /// the plays was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from: Option<EpochMs>,
    /// Only plays created before this time, epoch ms; here the last stretch ends. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_before: Option<EpochMs>,
    /// Into how many stretches the time is divided: 60 by default, at most 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_play_sid: Option<PlaySid>,
}

/// How many plays have which status; a status that none has is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatusCounts {
    #[serde(skip_serializing_if = "is_zero")]
    pub pending: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub running: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub awaiting_resume: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub success: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timed_out: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cancelled: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl StatusCounts {
    /// Of all of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pending
            + self.running
            + self.awaiting_resume
            + self.success
            + self.failed
            + self.timed_out
            + self.cancelled
    }

    /// Counts so many more.
    pub fn add_many(&mut self, status: PlayStatus, more: u64) {
        *self.of(status) += more;
    }

    /// Counts one more.
    pub fn add(&mut self, status: PlayStatus) {
        self.add_many(status, 1);
    }

    fn of(&mut self, status: PlayStatus) -> &mut u64 {
        match status {
            PlayStatus::Pending => &mut self.pending,
            PlayStatus::Running => &mut self.running,
            PlayStatus::AwaitingResume => &mut self.awaiting_resume,
            PlayStatus::Success => &mut self.success,
            PlayStatus::Failed => &mut self.failed,
            PlayStatus::TimedOut => &mut self.timed_out,
            PlayStatus::Cancelled => &mut self.cancelled,
        }
    }
}

/// The answer of `play_overview`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    pub total: u64,
    pub by_status: StatusCounts,
    pub from_ms: EpochMs,
    pub to_ms: EpochMs,
    /// By when the plays were created; stretches of the same length, in their order.
    pub buckets: Vec<OverviewBucket>,
    /// `false`: there are more plays than are counted in one call; the newest are.
    pub complete: bool,
}

/// The plays of one stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OverviewBucket {
    pub start_ms: EpochMs,
    pub by_status: StatusCounts,
}

/// `workflow_stats`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowStatsOf {
    pub workflow_sid: WorkflowSid,
    /// Only plays created at this time or later, epoch ms. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<EpochMs>,
    /// As of `play_overview`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
}

/// The answer of `workflow_stats`: how the plays of a workflow ended, and how long they took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowStats {
    pub plays: u64,
    #[serde(flatten)]
    pub by_status: StatusCounts,
    /// Of plays that have ended, half took no longer than this, milliseconds; null where none has.
    pub p50_ms: Option<f64>,
    /// 95 % took no longer than this.
    pub p95_ms: Option<f64>,
    pub from_ms: EpochMs,
    pub to_ms: EpochMs,
    /// By when the plays were created; stretches of the same length, in their order.
    pub buckets: Vec<StatsBucket>,
    /// As of an overview.
    pub complete: bool,
}

/// The plays of one stretch of time, and how long those took that have ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatsBucket {
    pub start_ms: EpochMs,
    pub by_status: StatusCounts,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

/// `question_list`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionList {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// An open question, whoever asks it. It has no path where anybody may answer: only `play_pending_resumes` tells that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    pub play_sid: PlaySid,
    pub workflow_name: String,
    /// Names it in `play_resume`; the same on every attempt.
    pub id: String,
    pub name: String,
    /// The JSON Schema of the answer; null: any value will do.
    pub schema: Option<Value>,
    /// What the flow says about how to show it.
    pub ui: Option<Value>,
    pub span_id: SpanId,
    pub created_at: EpochMs,
    /// Until when an answer is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<EpochMs>,
    /// A JSON text: what is taken for the answer then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// A page of questions, oldest first.
pub type QuestionPage = Page<Question>;
