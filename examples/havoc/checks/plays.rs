//! Plays: none lost, each ended in a way that can be explained, with the results that it kept.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    Count,
    records::{Records, sid_of},
    steps::{Done, Steps},
};
use crate::load::{
    kinds::Kind,
    ledger::{Book, end_of},
};

pub(super) fn counts(book: &Book, steps: &Steps, records: &Records) -> Vec<Count> {
    let mut lost = Vec::new();
    let mut taken_back = Vec::new();
    let mut unexplained = Vec::new();
    let mut not_awaiting = Vec::new();
    let harmed = harmed(records);
    for (sid, told) in &book.plays {
        let Some(play) = records.0.get(sid) else {
            lost.push(sid.clone());
            continue;
        };
        let end = end_of(play);
        if let (Some(now), Some(told)) = (&end, &told.end)
            && now != told
        {
            taken_back.push(format!("{sid}: was {told}, is {now}"));
        }
        if told.left && play["status"] != "awaiting_resume" {
            not_awaiting.push(format!("{sid} is {}", play["status"]));
        }
        if let Some(end) = &end
            && !told.left
            && !explained(
                told.kind,
                end,
                steps.plays.get(sid),
                harmed.contains(sid.as_str()),
            )
        {
            unexplained.push(format!("{} {sid}: {end}", told.kind.flow));
        }
    }
    vec![
        ("accepted plays lost", lost),
        ("plays neither ended nor awaiting", at_work(book, records)),
        ("plays left waiting that are not", not_awaiting),
        ("ends taken back", taken_back),
        ("ends unexplained", unexplained),
        (
            "outputs without what was kept",
            outputs(book, steps, records),
        ),
        ("forks that did again what was kept", forks(steps, records)),
        ("child plays started twice", children(steps, records)),
        ("keys that named two plays", book.keys_of_two.clone()),
        ("requests refused", book.refused.clone()),
    ]
}

/// The chaos is named as what it is, and never as the flow's own fault; and it ends a play only where that
/// was not to go on, or can't be known to.
fn explained(kind: &Kind, end: &str, done: Option<&Done>, harmed: bool) -> bool {
    let fails = kind.fails_when_interrupted();
    match end {
        _ if kind.ends.contains(&end) => true,
        "failed interrupted" => fails,
        "failed recovery_exhausted" => !fails,
        // Its process was killed, and it had kept nothing.
        "failed killed" => fails || done.is_none_or(|done| done.kept.is_empty()),
        "failed exception" => kind.is_parent() && harmed,
        _ => false,
    }
}

/// The plays above those that the chaos has ended.
fn harmed(records: &Records) -> HashSet<&str> {
    let mut harmed = HashSet::new();
    for play in records.0.values() {
        let end = end_of(play);
        if !matches!(
            end.as_deref(),
            Some("failed killed" | "failed recovery_exhausted")
        ) {
            continue;
        }
        let mut above = sid_of(&play["parent_play_sid"]);
        while let Some(parent) = records.0.get(above) {
            harmed.insert(above);
            above = sid_of(&parent["parent_play_sid"]);
        }
    }
    harmed
}

/// Everything has ended by now, but plays that somebody left waiting.
fn at_work(book: &Book, records: &Records) -> Vec<String> {
    let open = records.0.iter().filter(|(sid, play)| {
        let left = book.plays.get(*sid).is_some_and(|told| told.left);
        end_of(play).is_none() && !left
    });
    let told = open.map(|(sid, play)| format!("{} {sid}: {}", play["flow_name"], play["status"]));
    told.collect()
}

/// A flow returns all that its steps came to.
fn outputs(book: &Book, steps: &Steps, records: &Records) -> Vec<String> {
    let mut wrong = Vec::new();
    let nothing = Done::default();
    for (sid, told) in &book.plays {
        let play = records
            .0
            .get(sid)
            .filter(|play| play["status"] == "success");
        let Some(play) = play.filter(|_| told.kind.durable) else {
            continue;
        };
        let kept = &steps.plays.get(sid).unwrap_or(&nothing).kept;
        let output: HashMap<String, Value> = play["output_data"]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let mut differ = kept
            .iter()
            .filter(|(key, value)| output.get(*key) != Some(value));
        if let Some((key, value)) = differ.next() {
            let now = output.get(key);
            wrong.push(format!("{sid} {key}: kept {value}, returned {now:?}"));
        } else if output.len() > kept.len() {
            wrong.push(format!(
                "{sid}: {} values, {} kept",
                output.len(),
                kept.len()
            ));
        }
    }
    wrong
}

/// A play that goes on from what another kept does nothing of that.
fn forks(steps: &Steps, records: &Records) -> Vec<String> {
    let mut wrong = Vec::new();
    for (sid, play) in &records.0 {
        let of = |sid: &str| steps.plays.get(sid);
        let (Some(further), Some(origin)) = (of(sid), of(sid_of(&play["retry_of"]))) else {
            continue;
        };
        for (key, value) in &origin.kept {
            let kept = further.kept.get(key);
            if further.begun.contains(key) || kept.is_some_and(|kept| kept != value) {
                wrong.push(format!("{sid} {key}, of {}", play["retry_of"]));
            }
        }
    }
    wrong
}

/// A parent finds the child play of an earlier attempt again.
fn children(steps: &Steps, records: &Records) -> Vec<String> {
    let mut started: HashMap<&str, usize> = HashMap::new();
    for play in records.0.values() {
        *started.entry(sid_of(&play["parent_play_sid"])).or_default() += 1;
    }
    let parents = steps.plays.iter().filter_map(|(sid, done)| {
        let (started, wanted) = (*started.get(sid.as_str())?, done.children.len());
        (started > wanted).then(|| format!("{sid}: {started} for {wanted}"))
    });
    parents.collect()
}
