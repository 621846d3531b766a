//! A play: one execution of one workflow version, and how it ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EpochMs, LimitHit, PlaySid, SpanId, VersionSid, WorkflowSid, rpc::StartMode};

/// Where a play stands. Terminal is final: retry makes a new play, linked to the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlayStatus {
    /// Stored and accepted, waiting for a slot. It has no process and no actor.
    Pending,
    /// From the moment that its process is being started.
    Running,
    /// Its process left on purpose, waiting for an answer.
    AwaitingResume,
    Success,
    Failed,
    TimedOut,
    Cancelled,
}

impl PlayStatus {
    /// Every status, in the order of a play's life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::AwaitingResume,
        Self::Success,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// Whether a play with this status never changes again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::TimedOut | Self::Cancelled
        )
    }

    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::AwaitingResume => "awaiting_resume",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// Why a play did not simply succeed: the rows of the outcome table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The wall-clock timeout was reached.
    Timeout,
    /// A caller cancelled it, or its parent was cancelled or ended without it.
    Cancelled,
    /// The flow raised.
    Exception,
    /// The process ended with another exit code than 0, and no exception was reported.
    Exit,
    /// The process was ended by a signal of its own doing.
    Signal,
    /// The memory limit was reached, with the proof.
    OutOfMemory,
    /// It was killed: by the runtime for another limit than memory (`limit` says which), or by
    /// somebody else's SIGKILL, possibly the kernel's because memory ran out.
    Killed,
    /// The process could not be started.
    Start,
    /// The play's actor panicked.
    Internal,
    /// The server or the machine went down meanwhile.
    Interrupted,
    /// Its process or its server died again and again, and nothing was done in between.
    RecoveryExhausted,
}

impl CauseKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Timeout,
        Self::Cancelled,
        Self::Exception,
        Self::Exit,
        Self::Signal,
        Self::OutOfMemory,
        Self::Killed,
        Self::Start,
        Self::Internal,
        Self::Interrupted,
        Self::RecoveryExhausted,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Exception => "exception",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::OutOfMemory => "out_of_memory",
            Self::Killed => "killed",
            Self::Start => "start",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
            Self::RecoveryExhausted => "recovery_exhausted",
        }
    }

    /// The kind that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Why a play ended, with all that is known to mend it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    pub kind: CauseKind,
    /// One sentence for a person: what failed, on what, and what to do where that is known.
    pub message: String,
    /// The exit code, where the process left with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal's name (`SIGSEGV`), where one ended the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Exception>,
    /// The limit that was hit, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitHit>,
    /// Who cancelled: `caller`, `parent {play_sid}`, `shutdown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The span that was open last (started last) when it ended, or the last that ended; where a
    /// failure went up from span to span, the one where it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_span: Option<LastSpan>,
    /// Where each Python thread of the play's process was when the order to stop it came, before any
    /// signal had changed that. Empty where it could not be learned (no Python ran there yet or any
    /// more, or it did not answer within 250 ms), and for an end that nobody ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<ThreadStack>,
    /// The last 64 KiB of standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
    /// As [`Usage::peak_memory_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// As [`Usage::cpu_ms`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<f64>,
    /// How many processes the runtime had to kill at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes_killed: Option<u32>,
}

impl Cause {
    /// A cause with its kind and sentence, and nothing else known yet.
    #[must_use]
    pub fn new(kind: CauseKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            exit_code: None,
            signal: None,
            exception: None,
            limit: None,
            by: None,
            last_span: None,
            stacks: Vec::new(),
            stderr_tail: None,
            peak_memory_bytes: None,
            cpu_ms: None,
            processes_killed: None,
        }
    }
}

/// A Python exception, as the SDK reports it with the span that raised it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exception {
    #[serde(rename = "type")]
    pub type_name: String,
    pub message: String,
    /// The traceback's own frames: the author's code and libraries, without the SDK's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
    /// The innermost frame in the author's file, else the innermost one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}

/// Where a play was when it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastSpan {
    pub span_id: SpanId,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_line: Option<u32>,
}

/// Where a thread was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadStack {
    /// `main` (the one that runs the flow), else the thread's name, else its number (`0x7f…`).
    pub thread: String,
    /// From the outermost call to the innermost, as in a traceback; without the SDK's own.
    pub frames: Vec<Frame>,
    /// The stack was deeper (100 frames are looked at): its outer calls are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// One call in a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    pub file: String,
    pub line: u32,
    pub function: String,
}

/// What the processes of a play used up, over all attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU time, user and system, of everything that it started, milliseconds: those that were
    /// waited for, those that were killed, and the others as they were last seen.
    pub cpu_ms: f64,
    /// Peak memory, bytes: of all processes together as they were looked at (every 50 ms, where
    /// there are not many plays), what they share counted once; at least that of the largest process.
    pub peak_memory_bytes: u64,
    /// The most processes that were seen at once, or had to be killed at the end.
    pub processes: u32,
    /// How many processes had to be killed: at its end what it had left behind, or all where it was stopped.
    #[serde(default)]
    pub killed: u32,
    /// How the process of the last attempt was started; `null` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartMode>,
}

/// What the runtime had to skip of what a play sent, and why. Nothing else is lost by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Lines that are no JSON object of the expected form.
    pub broken_lines: u64,
    /// Lines over 1 MiB.
    pub long_lines: u64,
    /// Lines whose `type` is not known.
    pub unknown_types: u64,
    /// Events for a span that never started.
    pub unknown_spans: u64,
    /// Starts of a span that had started, ends and tags of one that had ended.
    pub duplicates: u64,
    /// Bytes of output beyond the play's bound.
    pub log_bytes: u64,
    /// Spans, connections and the like beyond a bound.
    pub over_limit: u64,
    /// What the first skipped event was, for a person to start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

impl Skipped {
    /// Whether anything was skipped at all.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// The record of a play.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Play {
    pub sid: PlaySid,
    pub workflow_sid: WorkflowSid,
    pub workflow_name: String,
    pub version_sid: VersionSid,
    /// The flow that runs: the one that the version names, or another of the same source.
    pub flow_name: Option<String>,
    pub status: PlayStatus,
    /// Null for a play that succeeded or has not ended.
    pub cause: Option<Cause>,
    /// A JSON text: an object, the flow's arguments by name.
    pub input_data: String,
    /// A JSON text: the flow's return value. Null until there is one.
    pub output_data: Option<String>,
    /// The play that started this one.
    pub parent_play_sid: Option<PlaySid>,
    /// The parent's span under which this play's root span hangs: `{play_sid}/{span_id}`, or `""`.
    pub parent_span_id: String,
    /// The play that this one tries again.
    pub retry_of: Option<PlaySid>,
    /// Who started it: `run`, `cli`, `page`, `rpc`, `flow` (it is a child play), `nodes` (a node of a play of nodes
    /// and edges), `embedded`, or what its caller calls itself.
    pub origin: String,
    /// How often it was taken to be started: 1 for the first process, 0 before. One that was taken while its server stopped, and
    /// got no process, has a further one with the next server.
    pub attempt: u32,
    pub created_at: EpochMs,
    pub started_at: Option<EpochMs>,
    pub completed_at: Option<EpochMs>,
    /// From `started_at` (`created_at`, where it never started) to `completed_at`, milliseconds.
    pub duration_ms: Option<f64>,
    pub usage: Option<Usage>,
    /// What had to be skipped of what the play sent; null where nothing was.
    pub skipped: Option<Skipped>,
}

/// The short form of a play.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlayBrief {
    pub sid: PlaySid,
    pub status: PlayStatus,
    pub cause: Option<Cause>,
    pub created_at: EpochMs,
    pub started_at: Option<EpochMs>,
    pub completed_at: Option<EpochMs>,
    pub duration_ms: Option<f64>,
}

impl From<Play> for PlayBrief {
    fn from(play: Play) -> Self {
        Self {
            sid: play.sid,
            status: play.status,
            cause: play.cause,
            created_at: play.created_at,
            started_at: play.started_at,
            completed_at: play.completed_at,
            duration_ms: play.duration_ms,
        }
    }
}
