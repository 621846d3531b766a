//! Parameters and results of the methods that read what is in a play: its spans, its logs, what it left.
//!
//! The order of the fields is the order by position.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EpochMs, Log, LogStream, PlaySid, Signature, Span, SpanId, SpanKind, SpanStatus};

/// How much of what is searched for is taken, bytes.
pub const MAX_QUERY: usize = 1_000;

/// How many artifacts of a play are told.
pub const MAX_ARTIFACTS: usize = 10_000;

/// `span_get`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanGet {
    pub play_sid: PlaySid,
    pub span_id: SpanId,
}

/// A span, and how much it has logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpanDetail {
    #[serde(flatten)]
    pub span: Span,
    /// How many pieces of text; of the root with what was written before the first span.
    pub log_count: u64,
    /// Bytes of their texts.
    pub log_bytes: u64,
}

/// `play_logs`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayLogs {
    pub play_sid: PlaySid,
    /// Only those of this span.
    #[serde(default)]
    pub span_id: Option<SpanId>,
    /// With `span_id`: those of the spans below it, too.
    #[serde(default)]
    pub below: bool,
    /// Only those that contain this, without regard to case.
    #[serde(default)]
    pub query: Option<String>,
    #[serde(default)]
    pub stream: Option<LogStream>,
    #[serde(default)]
    pub cursor: Option<String>,
    #[serde(default)]
    pub limit: Option<u32>,
    /// The latest first.
    #[serde(default)]
    pub backwards: bool,
}

/// A piece of text that a play wrote, with its change number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    pub seq: u64,
    #[serde(flatten)]
    pub log: Log,
}

/// A page of logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    pub items: Vec<LogEntry>,
    /// Where the next page starts; null on the last.
    pub next_cursor: Option<String>,
    /// How many there are in all; on the first page, where it takes no looking at each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// `play_find`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayFind {
    pub play_sid: PlaySid,
    pub query: String,
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A span that contains what was searched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpanMatch {
    pub span_id: SpanId,
    /// Where it was found first: in this order.
    #[serde(rename = "in")]
    pub place: MatchPlace,
}

/// Where in a span something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchPlace {
    Name,
    Tag,
    Error,
    Log,
}

/// A file that a play left in its working directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// From there, with `/` between its parts.
    pub path: String,
    pub bytes: u64,
    pub modified_ms: EpochMs,
}

/// `source_check`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCheck {
    pub python_source: String,
}

/// What a Python source holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceReport {
    /// In the order of their definition.
    pub flows: Vec<FlowFound>,
    /// What keeps it from being Python; `flows` is empty then.
    pub errors: Vec<SourceError>,
}

/// One function that `@flow` marks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowFound {
    pub name: String,
    /// From 1.
    pub line: u64,
    pub description: Option<String>,
    pub signature: Signature,
}

/// Why a source is no Python, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceError {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    pub message: String,
}

/// The most rows of one window …
pub const MAX_ROWS: u32 = 1_000;
/// … the most columns …
pub const MAX_PIXELS: u32 = 4_000;
/// … and the most of both, rows times columns.
pub const MAX_CELLS: u32 = 1_000_000;
/// How many spans can be open in a window.
pub const MAX_OPEN: usize = 10_000;

/// `play_window`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayWindow {
    pub play_sid: PlaySid,
    /// The spans whose children are seen; all others are closed.
    pub open: Vec<SpanId>,
    /// Counted from 0, among those that are seen.
    pub first_row: u64,
    pub rows: u32,
    /// The time that is seen: milliseconds since the play was created.
    pub from_ms: f64,
    pub to_ms: f64,
    /// Into how many columns that time is divided.
    pub pixels: u32,
    /// A span that is to be seen, wherever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reveal: Option<Reveal>,
}

/// Names a span that is to be seen: what is above it is open, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reveal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// Not the span itself but the first one after it, or before it, in which a failure began; without a
    /// span the first or the last of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Toward>,
}

/// In start order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Toward {
    Next,
    Previous,
}

/// Where the span is that was to be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revealed {
    pub span_id: SpanId,
    /// Counted from 0, among all that are seen.
    pub row: u64,
    /// What is above it, from the root on: open, whether or not it was named.
    pub open: Vec<SpanId>,
}

/// Some rows of a play's tree, as they stood together at `seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpanWindow {
    pub seq: u64,
    /// How many rows there are, seen or not.
    pub total_rows: u64,
    pub rows: Vec<WindowRow>,
    /// Where the span is that was to be seen; null where there is no such span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revealed: Option<Revealed>,
}

/// A row: a span, with sums of what is below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowRow {
    pub span_id: SpanId,
    /// 0 for the root.
    pub depth: u32,
    pub name: String,
    pub status: SpanStatus,
    pub kind: SpanKind,
    /// Milliseconds since the play was created.
    pub start: f64,
    /// -1 while it is running.
    pub end: f64,
    /// As in an outline.
    pub flags: u8,
    pub children: u64,
    /// All below it.
    pub descendants: u64,
    /// How many of those failed or timed out.
    pub failed: u64,
    /// Of a closed row with children: what is below it, column by column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<Bucket>>,
}

/// What spans there are in a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// The worst among them; none where there is no span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SpanStatus>,
    /// How much of the column they fill, 1 at most; 0 where there is no span.
    pub coverage: f64,
}
