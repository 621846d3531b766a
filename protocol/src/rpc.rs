//! Parameters and results of every method. The order of the fields is the order by position.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Edge, EpochMs, Limits, Node, Play, PlaySid, PlayStatus, PlaySummary, SpanId, VersionSid,
    Workflow, WorkflowSid, WorkflowVersion, span::SpanWithLogs,
};

/// Page size where a list method is given none.
pub const DEFAULT_PAGE: u32 = 1_000;
/// The largest page.
pub const MAX_PAGE: u32 = 10_000;
/// The largest input or output, bytes of JSON text.
pub const MAX_DATA: usize = 64 << 20;
/// The largest answer to a question, signal, or set of prefilled answers: bytes of JSON text.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// The longest name of what a play waits for, and of a signal, bytes; it has at least one.
pub const MAX_NAME: usize = 1_000;
/// The longest idempotency key, bytes; it has at least one.
pub const MAX_KEY: usize = 1_024;
/// How deep plays can be nested; a top-level play has depth 1.
pub const MAX_DEPTH: u32 = 100;
/// The longest name of who started a play, characters.
pub const MAX_ORIGIN: usize = 64;

/// An input: a JSON text, or the object itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a JSON object, or the text of one, for `input_data`"
)]
pub enum InputData {
    Text(String),
    Object(Map<String, Value>),
}

impl Default for InputData {
    fn default() -> Self {
        Self::Object(Map::new())
    }
}

/// How a play's process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// A process that was forked ahead. As a wish: one that is being made is waited for, up to 30 s;
    /// where there can be none, it starts cold.
    Warm,
    /// A new interpreter.
    Cold,
}

/// `play_run_async`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlayRunAsync {
    pub workflow_sid: WorkflowSid,
    #[serde(default)]
    pub input_data: InputData,
    /// `""` for a top-level play, else `{play_sid}/{span_id}`.
    #[serde(default)]
    pub parent_span_id: String,
    #[serde(flatten)]
    pub options: StartOptions,
}

/// What the starting methods take besides, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StartOptions {
    /// Wall-clock timeout, milliseconds; instead of the flow's own and the default of one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Instead of the workflow's current version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_sid: Option<VersionSid>,
    /// Environment variables for the play.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The same key names the same play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// `null`: warm where a process waits already, else cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartMode>,
    /// The Python interpreter, instead of the one found beside the flow or on the server's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Instead of the flow's own limits and the server's.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Answers given ahead, by the names of questions and events: a pause of such a name does not wait.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub prefill: Map<String, Value>,
    /// A question that is not answered ahead is refused instead of asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefill_only: bool,
    /// Who starts it, as it is told of the play; at most 64 characters. Default: `rpc`, or `flow` for a child play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// `play_start`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlayStart {
    pub workflow_sid: WorkflowSid,
    #[serde(default)]
    pub input_data: InputData,
    #[serde(flatten)]
    pub options: StartOptions,
}

/// `play_wait`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayWait {
    pub play_sid: PlaySid,
    /// Milliseconds; 0 waits for ever.
    #[serde(default)]
    pub timeout_ms: u64,
}

/// `play_retry`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayRetry {
    pub play_sid: PlaySid,
    #[serde(default)]
    pub from: RetryFrom,
    /// As of a play that is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// From where a retry runs anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryFrom {
    /// The durable steps that were kept are not done again.
    #[default]
    Failure,
    /// Everything is done again.
    Start,
}

/// `play_fork`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayFork {
    pub play_sid: PlaySid,
    /// Only what had come to its end when this span began is reused. Default: all that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_span_id: Option<SpanIdText>,
    /// Another version of the same workflow. Default: the play's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_sid: Option<VersionSid>,
    /// Default: the play's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_data: Option<InputData>,
    /// As of a play that is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// `play_resume_preview`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayResumePreview {
    pub play_sid: PlaySid,
    /// Default: the play's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_sid: Option<VersionSid>,
    /// As for `play_fork`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_span_id: Option<SpanIdText>,
}

/// What a fork would make of a durable step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepPreview {
    /// The span of the attempt that did it.
    pub span_id: SpanId,
    pub name: String,
    pub fate: StepFate,
    pub start_ms: EpochMs,
    /// `null`: it has not come to its end.
    pub end_ms: Option<EpochMs>,
}

/// See [`StepPreview`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepFate {
    /// Its result is reused.
    Reused,
    /// It has not come to its end, it failed, it comes after the point of the fork, or something in it
    /// is done again.
    WillRunAgain,
    /// Its function is another one now: it is done again.
    Changed,
    /// Its function is gone.
    Orphaned,
}

/// `play_get`, `play_status`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayRef {
    pub play_sid: PlaySid,
}

/// `play_cancel`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayCancel {
    pub play_sid: PlaySid,
    /// Between SIGTERM and SIGKILL, milliseconds; 0 kills at once. Default: the server's grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}

/// A question that a play waits with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PendingResume {
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
    /// A JSON text: what is taken for the answer then; without it the flow gets a `TimeoutError`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The path to which anybody may POST the answer, without further authorisation: to be kept secret.
    pub webhook: String,
}

/// `play_resume`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayResume {
    pub play_sid: PlaySid,
    /// The `id` of a question of `play_pending_resumes`.
    pub resume_id: String,
    /// The answer: any JSON value that fits the question's schema.
    pub payload: Value,
}

/// `play_signal`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaySignal {
    pub play_sid: PlaySid,
    pub name: String,
    /// Any JSON value; null without it.
    #[serde(default)]
    pub payload: Value,
}

/// `span_push`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanPush {
    pub play_sid: PlaySid,
    /// One event of the span wire, as JSON text.
    pub event_json: String,
}

/// `play_spans`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaySpans {
    pub play_sid: PlaySid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer of `play_spans`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SpanPage {
    /// In start order.
    pub spans: Vec<SpanWithLogs>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
}

/// `play_list`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayList {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PlayStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_sid: Option<WorkflowSid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_play_sid: Option<PlaySid>,
    /// Only plays created at this time or later, epoch ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from: Option<EpochMs>,
    /// Only plays created before this time, epoch ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_before: Option<EpochMs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only plays that have one of these; none: whatever they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<PlayStatus>,
    /// Only plays with this text, in whatever case, in the workflow's name, the flow's name or the cause's message, or
    /// at the beginning of their sid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Only plays that no other play has started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub top_level: bool,
    /// Summaries instead of whole records.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub brief: bool,
}

/// A page of a list, with where the next one starts (null on the last).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

/// A page of plays, newest first.
pub type PlayPage = Page<Play>;
/// A page of plays without what is long, newest first.
pub type SummaryPage = Page<PlaySummary>;

/// What `play_list` lists: whole records, or summaries.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PlayItem {
    Whole(Box<Play>),
    Brief(Box<PlaySummary>),
}

/// A page of workflows, newest first.
pub type WorkflowPage = Page<Workflow>;
/// A page of versions, newest first.
pub type VersionPage = Page<WorkflowVersion>;

/// `flow_library_search`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowLibrarySearch {
    pub query: String,
    #[serde(default = "default_search_limit")]
    pub limit: u32,
}

fn default_search_limit() -> u32 {
    DEFAULT_PAGE
}

/// `workflow_create`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowCreate {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(flatten)]
    pub content: VersionContent,
}

/// What a version consists of: Python source, or nodes and edges.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct VersionContent {
    #[serde(default)]
    pub python_source: String,
    #[serde(default)]
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub edges: Vec<Edge>,
    #[serde(default)]
    pub inputs: Value,
    #[serde(default)]
    pub outputs: Value,
    /// The author's file, for tracebacks and for the modules beside it.
    #[serde(default)]
    pub source_file: Option<String>,
    /// Which flow of the source; default: the one named as the workflow, else the last one defined.
    #[serde(default)]
    pub flow_name: Option<String>,
}

/// `workflow_get`, `workflow_delete`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowRef {
    pub workflow_sid: WorkflowSid,
}

/// `workflow_list`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowList {
    /// Exactly this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `workflow_update`: what is given is changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowUpdate {
    pub workflow_sid: WorkflowSid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// `workflow_version_add`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowVersionAdd {
    pub workflow_sid: WorkflowSid,
    #[serde(flatten)]
    pub content: VersionContent,
    /// Whether plays use it from now on.
    #[serde(default = "yes")]
    pub set_current: bool,
}

fn yes() -> bool {
    true
}

/// `workflow_version_get`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionRef {
    pub version_sid: VersionSid,
}

/// `workflow_version_list`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowVersionList {
    pub workflow_sid: WorkflowSid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `workflow_version_set_current`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowVersionSetCurrent {
    pub workflow_sid: WorkflowSid,
    pub version_sid: VersionSid,
}

/// `server_info`: who answers, for clients and people.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    pub version: String,
    pub pid: u32,
    pub data_dir: String,
    pub started_at: EpochMs,
    /// Plays with a process.
    pub running: u32,
    /// Plays that wait for a slot.
    pub pending: u32,
    /// How many plays may have a process at once; a play that waits for a child play counts for none.
    pub max_plays: u32,
    /// Why nothing can be written just now (a full disk, say): what plays do is kept in memory and
    /// waits, new plays are refused. `null` when all is well.
    pub trouble: Option<String>,
}

/// A method without parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a play can ask on its span socket, acting as itself.
pub mod of_play {
    use super::{
        Deserialize, JsonSchema, Map, Play, PlaySid, Serialize, SpanIdText, Value, VersionSid,
        WorkflowSid,
    };

    /// `flow_invoke`: starts a child play.
    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct FlowInvoke {
        #[serde(default)]
        pub name: String,
        /// This workflow of the library, instead of the one called `name`.
        #[serde(default)]
        pub workflow_sid: Option<WorkflowSid>,
        /// The version whose source has the flow: the caller's own. Without it, `name` is a workflow
        /// of the library.
        #[serde(default)]
        pub version_sid: Option<VersionSid>,
        #[serde(default)]
        pub inputs: Option<Map<String, Value>>,
        /// Large inputs: the name of a file in the play's spool directory.
        #[serde(default)]
        pub inputs_file: Option<String>,
        /// The calling span.
        #[serde(default)]
        pub span_id: SpanIdText,
        /// Of this play's children, there is one with this key: asked for again, on a later attempt too, it
        /// is told. 128 characters at most.
        #[serde(default)]
        pub key: Option<String>,
    }

    /// The answer of `flow_invoke`.
    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    pub struct FlowInvoked {
        pub play_sid: PlaySid,
        /// Nothing was started: a play that the asker's play tries again had this one, and it succeeded. Only plays of
        /// nodes and edges are answered so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub done_before: Option<Box<Play>>,
    }

    /// `play_wait`: the end of a child play.
    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct ChildWait {
        pub play_sid: PlaySid,
        /// Also answered when the child itself has been `awaiting_resume` for a second.
        #[serde(default)]
        pub or_awaiting: bool,
    }

    /// `flow_resolve`: the source of a flow of the library, to run it in-process.
    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct FlowResolve {
        pub name: String,
    }

    /// The answer of `flow_resolve`.
    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    pub struct FlowResolved {
        pub workflow_sid: WorkflowSid,
        pub version_sid: VersionSid,
        pub source: String,
        pub file: String,
        pub flow: Option<String>,
    }
}

/// A span id as a request carries it; `""` for none.
pub type SpanIdText = String;
