//! The library: workflows, their immutable versions, and the legacy nodes and edges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EpochMs, Limits, VersionSid, WorkflowSid};

/// The named library entry of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workflow {
    pub sid: WorkflowSid,
    /// Unique in the library.
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    pub current_version_sid: VersionSid,
    pub created_at: EpochMs,
    pub updated_at: EpochMs,
}

/// An immutable snapshot of a workflow: Python source, or (legacy) nodes and edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowVersion {
    pub sid: VersionSid,
    pub workflow_sid: WorkflowSid,
    /// 1 for the first version of its workflow.
    pub number: u32,
    /// Empty for a version that has only nodes and edges.
    pub python_source: String,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// What the author says of the inputs: any JSON value, a JSON Schema by convention.
    pub inputs: Value,
    pub outputs: Value,
    /// The author's file, for tracebacks and for the modules beside it.
    pub source_file: Option<String>,
    /// The flow that a play of this version runs; null where the source has none.
    pub flow_name: Option<String>,
    /// The parameters of that flow, as far as the source tells them without being run.
    pub signature: Option<Signature>,
    /// `@flow(timeout=)`, milliseconds.
    pub timeout_ms: Option<u64>,
    /// `@flow(limits=)`.
    #[serde(default)]
    pub limits: Limits,
    /// `@flow(on_interrupt=)`.
    #[serde(default)]
    pub on_interrupt: OnInterrupt,
    /// `@flow(env=[…])`: names that the play gets from the server's environment, or `NAME=VALUE`.
    pub env: Vec<String>,
    pub created_at: EpochMs,
}

/// What becomes of a play whose process or server dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// It goes on in a further attempt; steps that were kept are not done again.
    #[default]
    Resume,
    /// It ends as failed.
    Fail,
}

impl OnInterrupt {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Fail => "fail",
        }
    }

    /// What a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Resume, Self::Fail]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

/// The parameters of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    pub parameters: Vec<Parameter>,
    /// Whether it takes further keyword arguments (`**kwargs`).
    pub accepts_extra: bool,
}

/// One parameter of a flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameter {
    pub name: String,
    pub required: bool,
    #[serde(default)]
    pub annotation: Option<String>,
    #[serde(default)]
    pub default: Option<Value>,
}

impl Signature {
    /// What is wrong with these arguments, in one sentence; `None` where they fit.
    #[must_use]
    pub fn mismatch(&self, arguments: &Map<String, Value>) -> Option<String> {
        let missing: Vec<_> = self
            .parameters
            .iter()
            .filter(|p| p.required && !arguments.contains_key(&p.name))
            .map(|p| format!("`{}`", p.name))
            .collect();
        let unknown: Vec<_> = arguments
            .keys()
            .filter(|k| !self.accepts_extra && !self.parameters.iter().any(|p| p.name == **k))
            .map(|k| format!("`{k}`"))
            .collect();
        let mut wrong = Vec::new();
        if !missing.is_empty() {
            wrong.push(format!("lacks {}", missing.join(", ")));
        }
        if !unknown.is_empty() {
            wrong.push(format!(
                "has {}, which the flow does not take",
                unknown.join(", ")
            ));
        }
        if wrong.is_empty() {
            return None;
        }
        let takes: Vec<_> = self.parameters.iter().map(|p| p.name.as_str()).collect();
        Some(format!(
            "the input {}; the flow takes ({})",
            wrong.join(" and "),
            takes.join(", ")
        ))
    }
}

/// A node of the legacy DAG: another workflow, run as a child play.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub id: String,
    pub workflow_sid: WorkflowSid,
    /// Fixed inputs; what an edge brings goes over them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Map<String, Value>>,
}

/// An edge of the legacy DAG: the output of `from` becomes the input of `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    pub from: String,
    pub to: String,
    /// Renames keys of the output: `{"key of the output": "key of the input"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Map<String, Value>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_that_do_not_fit_are_named() {
        let signature = Signature {
            parameters: vec![
                Parameter {
                    name: "url".into(),
                    required: true,
                    annotation: None,
                    default: None,
                },
                Parameter {
                    name: "n".into(),
                    required: false,
                    annotation: None,
                    default: Some(json!(1)),
                },
            ],
            accepts_extra: false,
        };
        let fits = |v: Value| signature.mismatch(v.as_object().unwrap());
        assert_eq!(fits(json!({"url": 1})), None);
        assert_eq!(
            fits(json!({"m": 1})).unwrap(),
            "the input lacks `url` and has `m`, which the flow does not take; the flow takes (url, n)"
        );
        let open = Signature {
            accepts_extra: true,
            ..signature.clone()
        };
        assert_eq!(
            open.mismatch(json!({"url": 1, "x": 2}).as_object().unwrap()),
            None
        );
    }
}
