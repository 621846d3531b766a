//! What must be zero in the end. Nothing here knows how hero_logic works inside: what callers were told
//! (the ledger) and what plays did (their tallies) is held against what the last server says.

pub(crate) mod left;
mod outside;
mod plays;
pub(crate) mod records;
pub(crate) mod steps;
#[cfg(test)]
mod tests;

use self::{records::Records, steps::Steps};
use crate::{load::ledger::Book, server::Reach};

/// What must be zero, and what was found of it.
pub(crate) type Count = (&'static str, Vec<String>);

/// What is known in the end.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// What callers were told.
    pub(crate) book: &'a Book,
    /// What plays did.
    pub(crate) steps: &'a mut Steps,
    /// What the last server says, which is …
    pub(crate) records: &'a Records,
    /// … here.
    pub(crate) reach: &'a Reach,
}

/// Everything that can be told while the last server runs.
pub(crate) async fn judge(evidence: Evidence<'_>) -> Result<Vec<Count>, String> {
    let Evidence {
        book,
        steps,
        records,
        reach,
    } = evidence;
    let mut counts = steps.counts();
    counts.extend(plays::counts(book, steps, records));
    counts.extend(outside::counts(book, steps, records));
    counts.push((
        "plays that went on and were not to",
        records::went_on(reach, book, steps, records).await?,
    ));
    counts.push((
        "acknowledged results that are gone",
        records::gone(reach, steps).await?,
    ));
    counts.push((
        "plays left waiting that do not ask",
        records::silent(reach, book).await?,
    ));
    Ok(counts)
}
