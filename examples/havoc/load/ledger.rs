//! What callers were told, to be held against what there is in the end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use hero_logic::protocol::Error;
use serde_json::Value;

use super::kinds::Kind;

/// Shared by all callers.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

/// What is in it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Plays that were accepted.
    pub(crate) plays: HashMap<String, Told>,
    /// By play and name.
    pub(crate) questions: HashMap<(String, String), Question>,
    /// What was sent to a play, in this order, one after another.
    pub(crate) signals: HashMap<String, Vec<Signal>>,
    /// One idempotency key, and more than one play.
    pub(crate) keys_of_two: Vec<String>,
    /// Requests refused for a reason that callers do not expect.
    pub(crate) refused: Vec<String>,
    pub(crate) counts: Counts,
}

/// One play, as its caller knows it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: &'static Kind,
    /// How it ended, as far as that was told.
    pub(crate) end: Option<String>,
    /// It waits for answers that nobody is going to give.
    pub(crate) left: bool,
}

/// What was answered to a question.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// What the server said it took.
    pub(crate) acknowledged: Vec<Value>,
    /// All that was sent.
    pub(crate) tried: Vec<Value>,
    /// What counts where nobody answers in time.
    pub(crate) default: Option<Value>,
    /// Of some it was never told whether they were taken.
    pub(crate) uncertain: bool,
}

/// A signal that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) payload: Value,
    pub(crate) acknowledged: bool,
}

/// Figures for the report.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Starts whose answer was lost, asked for again with the same key.
    pub(crate) asked_twice: u64,
    /// Starts by several callers with one key.
    pub(crate) raced: u64,
    pub(crate) answered_by_call: u64,
    pub(crate) answered_by_webhook: u64,
    /// Second answers to a question, refused.
    pub(crate) answered_before: u64,
    /// Answers and signals of which it was not told whether they were taken.
    pub(crate) uncertain: u64,
    pub(crate) signals: u64,
    pub(crate) forks: u64,
    pub(crate) retries: u64,
}

impl Ledger {
    pub(crate) fn write<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self, with: impl FnOnce(&mut Counts)) {
        self.write(|book| with(&mut book.counts));
    }

    pub(crate) fn refused(&self, what: &str, error: &Error) {
        self.write(|book| book.refused.push(format!("{what}: {error}")));
    }

    pub(crate) fn accepted(&self, sid: &str, kind: &'static Kind) {
        let told = Told {
            kind,
            end: None,
            left: false,
        };
        // A key that is asked for again names a play that is known.
        self.write(|book| {
            book.plays.entry(sid.to_owned()).or_insert(told);
        });
    }

    pub(crate) fn ended(&self, sid: &str, end: String) {
        self.write(|book| {
            if let Some(told) = book.plays.get_mut(sid) {
                told.end = Some(end);
            }
        });
    }

    /// Takes out what is in it.
    pub(crate) fn close(&self) -> Book {
        self.write(std::mem::take)
    }
}

impl Book {
    /// How many ended how, by flow.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
        let mut outcomes: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for told in self.plays.values() {
            let end = match (&told.end, told.left) {
                (Some(end), _) => end.clone(),
                (None, true) => "awaiting".to_owned(),
                (None, false) => "not told".to_owned(),
            };
            let flows = outcomes.entry(end).or_default();
            *flows.entry(told.kind.flow).or_default() += 1;
        }
        outcomes
    }

    pub(crate) fn durable(&self) -> usize {
        let plays = self.plays.values();
        plays.filter(|told| told.kind.durable).count()
    }
}

/// `status`, or `status cause`; `None` of a play that has not ended.
pub(crate) fn end_of(play: &Value) -> Option<String> {
    let status = play["status"].as_str()?;
    if matches!(status, "pending" | "running" | "awaiting_resume") {
        return None;
    }
    Some(match play["cause"]["kind"].as_str() {
        Some(kind) => format!("{status} {kind}"),
        None => status.to_owned(),
    })
}
