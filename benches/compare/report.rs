//! What a run found: rows of lines, as text and as JSON.

use serde_json::{Value, json};

use crate::{
    stats::Rounds,
    table::{figure, render},
};

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Hero,
    Peer,
    /// What the machine itself takes.
    Limit,
}

#[derive(Clone, Debug)]
pub(crate) enum Found {
    Measured(Rounds),
    /// Not installed, or not to be had here, and why.
    Absent(String),
    /// It is there and did not do it.
    Failed(String),
}

/// One contender's figures in one row.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) who: String,
    pub(crate) role: Role,
    pub(crate) found: Found,
    /// What else is to be said of it.
    pub(crate) remark: String,
    /// It is another thing than the lines before it, and compared with none of them.
    alone: bool,
}

impl Line {
    pub(crate) fn new(who: impl Into<String>, role: Role, found: Found) -> Self {
        Self {
            who: who.into(),
            role,
            found,
            remark: String::new(),
            alone: false,
        }
    }

    pub(crate) fn measured(who: impl Into<String>, role: Role, rounds: Rounds) -> Self {
        Self::new(who, role, Found::Measured(rounds))
    }

    pub(crate) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = remark.into();
        self
    }

    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    fn rounds(&self) -> Option<&Rounds> {
        match &self.found {
            Found::Measured(rounds) => Some(rounds),
            Found::Absent(_) | Found::Failed(_) => None,
        }
    }
}

/// One question, and what everybody answered.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) lines: Vec<Line>,
    /// How it was measured, where that needs a word.
    pub(crate) method: String,
}

const HEAD: [&str; 7] = ["", "median", "p95", "p99", "rounds", "n", "hero is"];

impl Row {
    /// What should have been measured and was not: hero_logic itself, a limit. What a peer does not do
    /// is said in the table, and is no fault of the benchmark.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self
            .lines
            .iter()
            .filter(|line| line.role != Role::Peer)
            .filter_map(|line| match &line.found {
                Found::Failed(why) => Some(format!("{}: {why}", line.who)),
                Found::Measured(rounds) if rounds.count() == 0 => {
                    Some(format!("{}: no figure", line.who))
                }
                Found::Measured(_) | Found::Absent(_) => None,
            })
            .collect();
        let hero = |line: &Line| line.role == Role::Hero && line.rounds().is_some();
        if !self.lines.iter().any(hero) {
            missing.push("hero_logic itself".to_owned());
        }
        missing
    }

    /// How many times this line's figure hero_logic's is: that of the first of its lines that stand together,
    /// last before this one.
    fn ratio(&self, at: usize) -> Option<f64> {
        let line = self.lines.get(at).filter(|line| !line.alone)?;
        let hero = |at: &usize| {
            self.lines
                .get(*at)
                .is_some_and(|one| one.role == Role::Hero)
        };
        let last = (0..=at).rev().find(hero)?;
        let first = (0..=last).rev().take_while(hero).last()?;
        self.lines.get(first)?.rounds()?.ratio_to(line.rounds()?)
    }

    pub(crate) fn text(&self) -> String {
        let rows: Vec<Vec<String>> = (0..self.lines.len())
            .filter_map(|at| self.cells(at))
            .collect();
        let better = if self.unit.ends_with("/s") {
            "more"
        } else {
            "less"
        };
        let mut text = format!(
            "\n### {} ({}, {better} is better)\n\n",
            self.title, self.unit
        );
        if !self.method.is_empty() {
            text += &format!("{}\n\n", self.method);
        }
        text += &render(&HEAD, &rows);
        for line in &self.lines {
            if !line.remark.is_empty() {
                text += &format!("\n{}: {}\n", line.who, line.remark);
            }
            if let Found::Failed(why) = &line.found {
                text += &format!("\n{}: {why}\n", line.who);
            }
        }
        text
    }

    fn cells(&self, at: usize) -> Option<Vec<String>> {
        let line = self.lines.get(at)?;
        let ratio = self.ratio(at).map(|ratio| format!("{} ×", figure(ratio)));
        let who = match line.role {
            Role::Hero => format!("**{}**", line.who),
            Role::Peer => line.who.clone(),
            Role::Limit => format!("*{}*", line.who),
        };
        let rounds = match &line.found {
            Found::Measured(rounds) => rounds,
            Found::Absent(_) => return Some(vec![who, "absent".to_owned()]),
            Found::Failed(_) => return Some(vec![who, "failed".to_owned()]),
        };
        let at = |share| rounds.quantile(share).map(figure).unwrap_or_default();
        let spread = rounds
            .spread()
            .map(|(low, high)| format!("{}–{}", figure(low), figure(high)));
        // Of a few samples the high quantiles are the highest one.
        let (p95, p99) = match rounds.count() {
            0..20 => (String::new(), String::new()),
            20..100 => (at(0.95), String::new()),
            _ => (at(0.95), at(0.99)),
        };
        Some(vec![
            who,
            at(0.5),
            p95,
            p99,
            spread.unwrap_or_default(),
            rounds.count().to_string(),
            ratio.unwrap_or_default(),
        ])
    }

    pub(crate) fn json(&self) -> Value {
        let lines = self.lines.iter().enumerate();
        let lines: Vec<Value> = lines
            .map(|(at, line)| line_json(line, self.ratio(at)))
            .collect();
        json!({
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "method": self.method,
            "lines": lines,
        })
    }
}

fn line_json(line: &Line, ratio: Option<f64>) -> Value {
    let role = match line.role {
        Role::Hero => "hero",
        Role::Peer => "peer",
        Role::Limit => "limit",
    };
    let mut value = json!({"who": line.who, "role": role});
    let more = match &line.found {
        Found::Absent(why) => json!({"absent": why}),
        Found::Failed(why) => json!({"failed": why}),
        Found::Measured(rounds) => json!({
            "count": rounds.count(),
            "median": rounds.median(),
            "p95": rounds.quantile(0.95),
            "p99": rounds.quantile(0.99),
            "max": rounds.quantile(1.0),
            "rounds": rounds.medians(),
            "hero_is": ratio,
        }),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
        if !line.remark.is_empty() {
            value.insert("remark".to_owned(), line.remark.clone().into());
        }
    }
    value
}
