//! How a server is: for those who operate it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EpochMs, overview::StatusCounts};

/// The body of `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerHealth {
    /// Whether all of them are.
    pub ok: bool,
    pub version: String,
    pub parts: Vec<PartHealth>,
}

/// One part that must answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartHealth {
    /// `registry`, `library`, `store_reads`, `store_writes`.
    pub name: String,
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What `doctor` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// Whether nothing is broken; warnings are allowed.
    pub ok: bool,
    pub version: String,
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Of these checks.
    #[must_use]
    pub fn new(version: &str, checks: Vec<Check>) -> Self {
        Self {
            ok: checks
                .iter()
                .all(|check| check.status != CheckStatus::Broken),
            version: version.to_owned(),
            checks,
        }
    }
}

/// How one check came out.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Ok,
    /// It works, and there is something to know.
    Warning,
    /// Plays can't run, or what is kept is in danger.
    Broken,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Stable: `python`, `store.integrity`.
    pub id: String,
    pub status: CheckStatus,
    /// One sentence: what was found.
    pub summary: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The figures behind it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Value>,
}

impl Check {
    fn new(id: &str, status: CheckStatus, summary: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            status,
            summary: summary.into(),
            hint: None,
            facts: Map::new(),
        }
    }

    /// As it should be.
    #[must_use]
    pub fn ok(id: &str, summary: impl Into<String>) -> Self {
        Self::new(id, CheckStatus::Ok, summary)
    }

    /// It works, and there is something to know.
    #[must_use]
    pub fn warning(id: &str, summary: impl Into<String>) -> Self {
        Self::new(id, CheckStatus::Warning, summary)
    }

    /// It does not work.
    #[must_use]
    pub fn broken(id: &str, summary: impl Into<String>) -> Self {
        Self::new(id, CheckStatus::Broken, summary)
    }

    /// What to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A figure behind it.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// `server_status`: what a server does just now, and did lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    pub now: EpochMs,
    pub started_at: EpochMs,
    pub uptime_ms: f64,
    pub slots: Slots,
    /// Plays that wait for a slot.
    pub pending: u64,
    /// Plays that wait for something from outside.
    pub awaiting_resume: u64,
    /// The processes that are forked ahead of plays, by kind; none where plays start cold.
    pub warm: Vec<WarmKind>,
    pub store: StoreStatus,
    pub last_minute: Throughput,
    pub since_start: SinceStart,
    /// Of the server itself, without its plays.
    pub memory_bytes: Option<u64>,
    pub open_files: Option<u64>,
    /// As of `server_info`.
    pub trouble: Option<String>,
}

/// How many plays may have a process, and have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slots {
    pub limit: u32,
    /// Plays with a process.
    pub running: u32,
    /// Of these, those that wait for a child play and hold no slot.
    pub waiting_for_child: u32,
}

/// Processes of one kind that are forked ahead: of the same interpreter, environment and imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WarmKind {
    pub python: String,
    /// Modules that are loaded before the fork.
    pub imports: Vec<String>,
    /// How many wait for a play.
    pub ready: u32,
    /// Whether its fork server forks: it is not only being started, or has failed.
    pub forks: bool,
}

/// How much the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// Plays, ended or not.
    pub plays: u64,
    /// Of the database and its log.
    pub bytes: u64,
    /// Free where the data directory is, for this user.
    pub disk_free_bytes: Option<u64>,
}

/// How much happened in a second, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Throughput {
    /// Of this time: about a minute, less where the server has not run for so long.
    pub over_ms: f64,
    pub plays_started: f64,
    pub plays_ended: f64,
    /// Of these, those that failed or timed out.
    pub plays_failed: f64,
    pub spans: f64,
    pub commits: f64,
}

/// What went well and what did not, since the server started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SinceStart {
    pub plays_started: u64,
    pub plays_ended: StatusCounts,
    /// Parts that were replaced after they died: `registry`, `library`, `guard`.
    pub restarts: BTreeMap<String, u64>,
}
