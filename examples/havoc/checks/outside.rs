//! What came from outside: an answer or a signal that was acknowledged is what the play got, and each
//! question took one.

use std::collections::HashSet;

use serde_json::Value;

use super::{Count, records::Records, steps::Steps};
use crate::load::ledger::{Book, Question, Signal};

pub(super) fn counts(book: &Book, steps: &Steps, records: &Records) -> Vec<Count> {
    let mut twice = Vec::new();
    let mut answers_lost = Vec::new();
    let mut of_nobody = Vec::new();
    for ((sid, name), question) in &book.questions {
        if question.acknowledged.len() > 1 {
            twice.push(format!("{sid} {name}: {:?}", question.acknowledged));
            continue;
        }
        let got = steps.plays.get(sid).and_then(|done| done.kept.get(name));
        let succeeded = records
            .0
            .get(sid)
            .is_some_and(|play| play["status"] == "success");
        match (question.acknowledged.first(), got) {
            (Some(answer), Some(got)) if answer != got => {
                answers_lost.push(format!("{sid} {name}: {answer}, but the play got {got}"));
            }
            (Some(answer), None) if succeeded => {
                answers_lost.push(format!("{sid} {name}: {answer}"));
            }
            (None, Some(got)) if !could_be(question, got) => {
                of_nobody.push(format!("{sid} {name}: {got} of {:?}", question.tried));
            }
            _ => {}
        }
    }
    vec![
        ("questions answered twice", twice),
        ("acknowledged answers lost", answers_lost),
        ("answers that nobody gave", of_nobody),
        (
            "signals lost or out of order",
            signals(book, steps, records),
        ),
    ]
}

/// Where none was acknowledged: one of which that is not known, or what counts where nobody answers.
fn could_be(question: &Question, got: &Value) -> bool {
    let by_default = question.default.as_ref() == Some(got);
    by_default || question.uncertain && question.tried.contains(got)
}

/// A play gets its signals in the order in which they were sent, none twice, and none is passed over that
/// was acknowledged.
fn signals(book: &Book, steps: &Steps, records: &Records) -> Vec<String> {
    let mut wrong = Vec::new();
    for (sid, sent) in &book.signals {
        let record = records.0.get(sid);
        if record.is_none_or(|play| !play["retry_of"].is_null()) {
            // It has signals of the play before.
            continue;
        }
        let Some(done) = steps.plays.get(sid) else {
            continue;
        };
        let got = done.kept.iter().filter(|(key, _)| key.starts_with("go"));
        let got: Vec<&Value> = got.map(|(_, value)| value).collect();
        if !in_order(sent, &got) {
            let told: Vec<_> = got.iter().map(ToString::to_string).collect();
            wrong.push(format!("{sid} got {}, of {sent:?}", told.join(", ")));
        }
    }
    wrong
}

pub(super) fn in_order(sent: &[Signal], got: &[&Value]) -> bool {
    let mut left = sent.iter();
    let mut known = HashSet::new();
    got.iter().all(|got| {
        let new = known.insert(got.to_string());
        let passed_over = left
            .by_ref()
            .take_while(|signal| signal.payload != **got)
            .any(|signal| signal.acknowledged);
        new && !passed_over && sent.iter().any(|signal| signal.payload == **got)
    })
}
