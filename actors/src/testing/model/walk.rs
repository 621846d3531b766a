//! How far a process comes in its script with what it knows.

use serde_json::{Value, json};

use super::{
    calls::{Kept, Key, Memory},
    process::Process,
    script::{DEFAULT, Move, Site, to_json},
};

/// A call that a process has come to.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub site: Site,
    pub what: &'a Move,
    pub key: Key,
    pub position: Option<u32>,
    /// As far as the process knows.
    pub kept: Option<Kept>,
}

/// See the module.
#[derive(Debug)]
pub struct Walk<'a> {
    /// In the order in which it came to them.
    pub calls: Vec<Call<'a>>,
    /// What the flow comes to, as JSON, or the exception that leaves it; `None`: it has not come to its end.
    pub end: Option<Result<String, i64>>,
}

impl<'a> Walk<'a> {
    /// From the start on.
    #[must_use]
    pub fn of(script: &'a [Move], process: &Process, attempt: u32) -> Self {
        let mut memory = Memory::new(&process.given);
        let mut calls = Vec::new();
        let mut output = Vec::new();
        for (at, next) in script.iter().enumerate() {
            let first = calls.len();
            let within = match next {
                Move::Together(moves) => moves.iter().map(Some).collect(),
                _ => vec![None],
            };
            for (number, one) in within.into_iter().enumerate() {
                let what = one.unwrap_or(next);
                let site = Site {
                    at,
                    within: one.map(|_| number),
                };
                let args = arguments(what, attempt).into();
                let (key, position) = memory.enter(&name(what).into(), &args, one.is_none());
                let given = process.given.get(&key).and_then(|row| row.kept.clone());
                let kept = given.or_else(|| process.known.get(&key).cloned());
                calls.push(Call {
                    site,
                    what,
                    key,
                    position,
                    kept,
                });
            }
            let results: Option<Vec<_>> = calls[first..].iter().map(result).collect();
            let Some(results) = results else {
                return Self { calls, end: None };
            };
            if let Some(raised) = calls[first..].iter().find_map(uncaught) {
                let end = Some(Err(raised));
                return Self { calls, end };
            }
            match next {
                Move::Together(_) => output.push(Value::Array(results)),
                _ => output.extend(results),
            }
        }
        let end = Some(Ok(Value::Array(output).to_string()));
        Self { calls, end }
    }

    /// The calls that it has not come past.
    pub fn open(&self) -> impl Iterator<Item = &Call<'a>> {
        self.calls.iter().filter(|call| call.kept.is_none())
    }
}

/// The name of a move's step.
#[must_use]
pub fn name(what: &Move) -> &str {
    const ASKS: [&str; 4] = ["ask:0", "ask:1", "ask:2", "ask:3"];
    const EVENTS: [&str; 4] = ["event:0", "event:1", "event:2", "event:3"];
    match what {
        Move::Step { .. } => "work",
        Move::Drift { .. } => "drift",
        Move::Ask { name, .. } => ASKS[usize::from(*name)],
        Move::Event { name, .. } => EVENTS[usize::from(*name)],
        Move::Child { .. } => "child",
        Move::Together(_) => "",
    }
}

fn arguments(what: &Move, attempt: u32) -> String {
    match what {
        Move::Step { id, .. } => id.to_string(),
        Move::Drift { id } => format!("{id} {attempt}"),
        Move::Child { id, moves } => format!("{id} {}", to_json(moves)),
        Move::Ask { .. } | Move::Event { .. } | Move::Together(_) => String::new(),
    }
}

/// As the flow returns it.
fn result(call: &Call<'_>) -> Option<Value> {
    Some(match call.kept.as_ref()? {
        Kept::Value(value) => json!(value),
        Kept::Raised(value) => json!(["failed", value.to_string()]),
        Kept::Default => json!(DEFAULT),
        Kept::Late => json!("late"),
        Kept::Output(text) => serde_json::from_str(text).unwrap_or_default(),
        Kept::ChildFailed(status) => json!(["child", status]),
    })
}

fn uncaught(call: &Call<'_>) -> Option<i64> {
    match (call.what, &call.kept) {
        (Move::Step { caught: false, .. }, Some(Kept::Raised(value))) => Some(*value),
        _ => None,
    }
}
