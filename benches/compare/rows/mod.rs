//! The rows of the benchmark: each measures hero_logic and whoever else answers the same question.

mod answer;
mod crowd;
mod first_statement;
mod flows;
mod plays;
mod recovery;
mod replay;
mod search;
mod spans;
mod steps;
mod waiter;

use crate::{Bench, Done, report::Row};

/// A row's name on the command line, and what produces it (or several that come from one scene).
pub(crate) type Measure = (&'static str, fn(&mut Bench) -> Done<Vec<Row>>);

const ALL: [Measure; 17] = [
    ("trivial", plays::trivial),
    ("idle", plays::after_idleness),
    ("burst", plays::burst),
    ("sustained", plays::sustained),
    ("tasks", flows::tasks),
    ("children", flows::children),
    ("cpu", flows::cpu),
    ("steps", steps::steps),
    ("answer", answer::answer),
    ("recovery", recovery::recovery),
    ("replay", replay::replay),
    ("imports", first_statement::imports),
    ("span", spans::cost),
    ("events", spans::events),
    ("waiter", waiter::wake_up),
    ("search", search::search),
    ("crowd", crowd::crowd),
];

/// Those of these names, or all.
pub(crate) fn chosen(names: &[String]) -> Done<Vec<Measure>> {
    if let Some(name) = names
        .iter()
        .find(|name| !ALL.iter().any(|(row, _)| row == name))
    {
        let rows: Vec<_> = ALL.iter().map(|(row, _)| *row).collect();
        return Err(format!("there is no row {name}; there are {}", rows.join(", ")).into());
    }
    let chosen = |(row, _): &&Measure| names.is_empty() || names.iter().any(|name| name == row);
    Ok(ALL.iter().filter(chosen).copied().collect())
}
