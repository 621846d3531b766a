//! A span: one named, timed piece of a play.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EpochMs, PlaySid, PlayStatus, SpanId, Tags};

/// What a span stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    FlowRoot,
    Step,
    Rpc,
    Subflow,
    #[default]
    Other,
}

impl SpanKind {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FlowRoot => "flow_root",
            Self::Step => "step",
            Self::Rpc => "rpc",
            Self::Subflow => "subflow",
            Self::Other => "other",
        }
    }

    /// The kind that a word names; a word that names none is `other`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "flow_root" => Self::FlowRoot,
            "step" => Self::Step,
            "rpc" => Self::Rpc,
            "subflow" => Self::Subflow,
            _ => Self::Other,
        }
    }
}

/// How a span ended; `running` while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpanStatus {
    Running,
    Ok,
    Failed,
    TimedOut,
    Cancelled,
    Replayed,
}

impl SpanStatus {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Replayed => "replayed",
        }
    }

    /// The status that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "running" => Self::Running,
            "ok" => Self::Ok,
            "failed" => Self::Failed,
            "timed_out" => Self::TimedOut,
            "cancelled" => Self::Cancelled,
            "replayed" => Self::Replayed,
            _ => return None,
        })
    }

    /// What a span that is still open becomes when its play ends.
    #[must_use]
    pub fn of_outcome(status: PlayStatus) -> Self {
        match status {
            PlayStatus::Success => Self::Ok,
            PlayStatus::TimedOut => Self::TimedOut,
            PlayStatus::Cancelled => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// The record of a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    pub span_id: SpanId,
    /// The parent within the play. The root's is `{play_sid}/{span_id}` of the calling play, or `""`.
    pub parent_id: String,
    pub name: String,
    pub kind: SpanKind,
    pub status: SpanStatus,
    pub start_ms: EpochMs,
    pub end_ms: Option<EpochMs>,
    pub tags: Tags,
    pub error: Option<String>,
    pub source_file: Option<String>,
    pub source_line: Option<u32>,
    /// For spans of kind `rpc`, from the name `rpc:{service}.{method}`.
    pub rpc_service: Option<String>,
    pub rpc_method: Option<String>,
    /// The play that this span started and waits for.
    pub child_play_sid: Option<PlaySid>,
}

/// A span with its logs, as `play_spans` returns it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpanWithLogs {
    #[serde(flatten)]
    pub span: Span,
    pub logs: Vec<Log>,
}

/// Where a piece of text came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    #[default]
    Log,
    Stdout,
    Stderr,
}

impl LogStream {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// The stream that a word names; a word that names none is `log`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            _ => Self::Log,
        }
    }
}

/// A piece of text that a play wrote: one line or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Log {
    /// The span it belongs to; `""` for what was written before the first span (readers show it at
    /// the root).
    pub span_id: SpanId,
    pub ts_ms: EpochMs,
    pub stream: LogStream,
    pub text: String,
}
