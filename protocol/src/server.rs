//! How a server is: for those who operate it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
