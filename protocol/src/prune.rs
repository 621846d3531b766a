//! `prune`: ended plays that are older, more or larger than what is to be kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EpochMs, PlaySid};

/// How many trees a report names.
pub const MAX_LISTED: usize = 1_000;

/// Parameters of `prune`. A limit that is not given is the server's; the largest number is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prune {
    /// Tell only what would be deleted.
    pub dry_run: bool,
    /// Keep plays that ended less than so long ago, milliseconds.
    pub retain_age_ms: Option<u64>,
    /// Keep at most so many ended plays.
    pub retain_plays: Option<u64>,
    /// Keep at most so many bytes, store and artifacts together.
    pub retain_bytes: Option<u64>,
}

/// Which limit a tree of plays was beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PruneReason {
    Age,
    Plays,
    Bytes,
}

impl PruneReason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Plays => "plays",
            Self::Bytes => "bytes",
        }
    }
}

/// A play that was deleted, with all that it had started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrunedTree {
    pub play_sid: PlaySid,
    pub workflow_name: String,
    /// When the last play of it ended.
    pub ended_at: EpochMs,
    /// How many plays it was.
    pub plays: u64,
    /// About how many bytes; artifacts are counted where `retain_bytes` was exceeded, and in a dry run.
    pub bytes: u64,
    pub reason: PruneReason,
}

/// What `prune` deleted, or would delete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PruneReport {
    pub dry_run: bool,
    /// Plays, with those that they started.
    pub plays: u64,
    /// About how many bytes, store and artifacts together.
    pub bytes: u64,
    /// Ended plays that are left.
    pub left_plays: u64,
    /// Oldest first; at most 1,000.
    pub trees: Vec<PrunedTree>,
    /// Trees that are not named in `trees`.
    pub more_trees: u64,
}
