//! What tallies prove of steps: done once they are acknowledged, never done again; and nothing is done again
//! but what was under way when something died.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use serde_json::Value;

use super::Count;
use crate::{
    chaos::{Death, Victim},
    witness::tally::{Line, Tally, What},
};

/// Of all plays.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) plays: HashMap<String, Done>,
    pub(crate) begun: usize,
    pub(crate) kept: usize,
    /// Steps that were under way where an attempt ended and another followed, …
    pub(crate) in_flight: usize,
    /// … and those of them that were done again.
    pub(crate) again: usize,
    /// Attempts after a play's first.
    pub(crate) further_attempts: usize,
    pub(crate) most_attempts: u32,
    /// From the last sign of an attempt that died to the first of the next.
    pub(crate) recoveries: Vec<Duration>,
    torn: Vec<String>,
    after_acknowledged: Vec<String>,
    results_changed: Vec<String>,
    not_in_flight: Vec<String>,
    beside: Vec<String>,
    without_death: Vec<String>,
}

/// What a play has done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Steps whose end was acknowledged, and what they came to.
    pub(crate) kept: BTreeMap<String, Value>,
    pub(crate) begun: HashSet<String>,
    /// Child plays that it waited for.
    pub(crate) children: HashSet<String>,
    pub(crate) attempts: u32,
}

/// One process of a play.
#[derive(Debug, Default)]
struct Attempt {
    number: u32,
    pid: u32,
    first: u64,
    last: u64,
    in_flight: HashSet<String>,
    waits: HashSet<String>,
}

/// A step that was begun: by which attempt, and when.
struct Begun {
    attempt: u32,
    pid: u32,
    at: u64,
}

impl Steps {
    /// Of these tallies, where this has died.
    pub(crate) fn of(
        tallies: impl Iterator<Item = std::io::Result<Tally>>,
        deaths: &[Death],
    ) -> std::io::Result<Self> {
        let mut steps = Self::default();
        for tally in tallies {
            let Tally { play, lines, torn } = tally?;
            let mut reading = Reading::new(&mut steps, &play, deaths);
            for line in lines {
                reading.line(line);
            }
            let done = reading.done;
            steps.torn.extend(torn);
            steps.most_attempts = steps.most_attempts.max(done.attempts);
            steps.kept += done.kept.len();
            steps.plays.insert(play, done);
        }
        Ok(steps)
    }

    pub(super) fn counts(&mut self) -> Vec<Count> {
        let take = std::mem::take;
        vec![
            (
                "steps begun after they were acknowledged",
                take(&mut self.after_acknowledged),
            ),
            (
                "steps begun again that no death hit",
                take(&mut self.not_in_flight),
            ),
            (
                "acknowledged results changed",
                take(&mut self.results_changed),
            ),
            ("attempts beside a later one", take(&mut self.beside)),
            (
                "attempts that no death explains",
                take(&mut self.without_death),
            ),
            ("lines of tallies torn", take(&mut self.torn)),
        ]
    }
}

/// A tally, as far as it is read.
struct Reading<'a> {
    steps: &'a mut Steps,
    play: &'a str,
    deaths: &'a [Death],
    done: Done,
    now: Attempt,
    begun: HashMap<String, Begun>,
    /// What each doing of a step came to.
    results: HashMap<String, Vec<Value>>,
}

impl<'a> Reading<'a> {
    fn new(steps: &'a mut Steps, play: &'a str, deaths: &'a [Death]) -> Self {
        Self {
            steps,
            play,
            deaths,
            done: Done::default(),
            now: Attempt::default(),
            begun: HashMap::new(),
            results: HashMap::new(),
        }
    }

    fn line(&mut self, line: Line) {
        let of_earlier = line.attempt < self.now.number;
        let of_later = line.attempt > self.now.number;
        if of_earlier || of_later != (line.what == What::Attempt) {
            let told = self.told(&line);
            return self.steps.beside.push(told);
        }
        let at = line.at;
        match line.what {
            What::Attempt => self.attempt(&line),
            What::Begun => self.begun(line),
            What::Done => self.results.entry(line.key).or_default().push(line.value),
            What::Kept => self.kept(line),
            What::Waits => {
                if line.value == "child" {
                    self.done.children.insert(line.key.clone());
                }
                self.now.waits.insert(line.key);
            }
        }
        self.now.last = at;
    }

    fn attempt(&mut self, line: &Line) {
        let before = std::mem::replace(&mut self.now, Attempt::of(line));
        self.done.attempts = line.attempt;
        if before.number == 0 {
            return;
        }
        self.steps.further_attempts += 1;
        self.steps.in_flight += before.in_flight.len();
        if !before.waits.is_empty() {
            // It may have left by itself.
            return;
        }
        let gap = line.at.saturating_sub(before.last);
        self.steps.recoveries.push(Duration::from_millis(gap));
        if !has_died(self.deaths, before.pid, before.first, line.at) {
            let told = self.told(line);
            self.steps.without_death.push(told);
        }
    }

    fn begun(&mut self, line: Line) {
        self.steps.begun += 1;
        let told = self.told(&line);
        if self.done.kept.contains_key(&line.key) {
            self.steps.after_acknowledged.push(told);
        } else if let Some(before) = self.begun.get(&line.key) {
            self.steps.again += 1;
            let died = has_died(self.deaths, before.pid, before.at, line.at);
            if before.attempt == line.attempt || !died {
                self.steps.not_in_flight.push(told);
            }
        }
        let begun = Begun {
            attempt: line.attempt,
            pid: self.now.pid,
            at: line.at,
        };
        self.begun.insert(line.key.clone(), begun);
        self.now.in_flight.insert(line.key.clone());
        self.done.begun.insert(line.key);
    }

    fn kept(&mut self, line: Line) {
        self.now.in_flight.remove(&line.key);
        self.now.waits.remove(&line.key);
        let results = self.results.get(&line.key);
        let of_none = results.is_some_and(|results| !results.contains(&line.value));
        let before = self.done.kept.get(&line.key);
        if of_none || before.is_some_and(|before| *before != line.value) {
            let told = self.told(&line);
            self.steps.results_changed.push(told);
        }
        self.done.kept.entry(line.key).or_insert(line.value);
    }

    fn told(&self, line: &Line) -> String {
        format!("{} {} (attempt {})", self.play, line.key, line.attempt)
    }
}

impl Attempt {
    fn of(line: &Line) -> Self {
        let pid = line.value.as_u64().and_then(|pid| u32::try_from(pid).ok());
        Self {
            number: line.attempt,
            pid: pid.unwrap_or_default(),
            first: line.at,
            ..Self::default()
        }
    }
}

/// Whether the process, or its server, died between these times.
fn has_died(deaths: &[Death], pid: u32, from: u64, to: u64) -> bool {
    let hit = |death: &Death| death.of == Victim::Server || death.of == Victim::Process(pid);
    let mut deaths = deaths.iter().filter(|death| hit(death));
    deaths.any(|death| death.from <= to && from <= death.to)
}
