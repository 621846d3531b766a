//! What a server shows of a play, as the model knows it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{super::model::shown::View, driver::text};

/// What was asked of a play.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) view: View,
    pub(super) questions: Vec<Question>,
    /// As they were answered, in the order of their start.
    pub(super) spans: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) webhook: String,
}

impl Seen {
    pub(super) fn of(play: &Value, pending: &Value, spans: Vec<Value>) -> Self {
        let pending = pending.as_array().into_iter().flatten();
        let questions: Vec<_> = pending
            .map(|one| Question {
                name: text(&one["name"]),
                id: text(&one["id"]),
                webhook: text(&one["webhook"]),
            })
            .collect();
        let mut attempts: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        for span in &spans {
            let shown = (name(span), text(&span["status"]));
            attempts.entry(attempt_of(span)).or_default().push(shown);
        }
        let output = play["output_data"].as_str();
        let view = View {
            status: text(&play["status"]),
            cause: play["cause"]["kind"].as_str().map(str::to_owned),
            attempt: u32::try_from(play["attempt"].as_u64().unwrap()).unwrap(),
            output: output.map(|text| serde_json::from_str(text).unwrap()),
            questions: questions.iter().map(|one| one.name.clone()).collect(),
            spans: attempts,
        };
        Self {
            view,
            questions,
            spans,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        let words = ["success", "failed", "timed_out", "cancelled"];
        words.contains(&self.view.status.as_str())
    }

    /// It runs, and does not wait for a child.
    pub(super) fn holds_slot(&self) -> bool {
        let waits = |span: &Value| span["kind"] == "subflow" && span["status"] == "running";
        self.view.status == "running" && !self.spans.iter().any(waits)
    }
}

/// Of which attempt a span is.
pub(super) fn attempt_of(span: &Value) -> u32 {
    let id = span["span_id"].as_str().unwrap();
    id.split('.').next().unwrap().parse().unwrap()
}

/// The root and child plays have the names of their flows, of which there are two.
fn name(span: &Value) -> String {
    match span["kind"].as_str().unwrap() {
        "flow_root" => "root".to_owned(),
        "subflow" => "child".to_owned(),
        _ => text(&span["name"]),
    }
}
