//! What plays note of what they do, outside of the server: the side effects of their steps.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::model::script::{Move, Site};

/// Of one play.
#[derive(Debug, Default)]
pub struct Notes {
    /// The processes, by attempt.
    pub pids: BTreeMap<u32, u32>,
    /// In which attempts each step was begun.
    begun: BTreeMap<String, Vec<u32>>,
    /// What a call came to, and in which attempt that was told.
    kept: BTreeMap<String, Vec<(u32, Value)>>,
}

impl Notes {
    /// From lines of words: `pid ATTEMPT PID`, `begun SITE ATTEMPT`, `kept SITE ATTEMPT JSON`.
    ///
    /// # Panics
    /// Where they are others.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut notes = Self::default();
        for line in text.lines() {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            match words[..] {
                ["pid", attempt, pid] => {
                    notes
                        .pids
                        .insert(attempt.parse().unwrap(), pid.parse().unwrap());
                }
                ["begun", site, attempt] => {
                    let begun = notes.begun.entry(site.to_owned()).or_default();
                    begun.push(attempt.parse().unwrap());
                }
                ["kept", site, attempt, value] => {
                    let kept = notes.kept.entry(site.to_owned()).or_default();
                    kept.push((
                        attempt.parse().unwrap(),
                        serde_json::from_str(value).unwrap(),
                    ));
                }
                _ => panic!("no note: {line:?}"),
            }
        }
        notes
    }

    /// Whether this step was begun in this attempt.
    pub(super) fn has_begun(&self, site: Site, attempt: u32) -> bool {
        let begun = self.begun.get(&site.to_string());
        begun.is_some_and(|begun| begun.contains(&attempt))
    }

    /// What must hold whatever died: a step is begun once in an attempt, never again when its end was
    /// acknowledged, and comes to the same each time. Nobody can know that of one that has other arguments each time
    /// and no position; what comes of another input has none here.
    pub(super) fn check(&self, script: &[Move], has_foreign: bool) -> Result<(), String> {
        let unknown = unknown_again(script, has_foreign);
        for (site, attempts) in &self.begun {
            if !attempts.is_sorted_by(|a, b| a < b) {
                return Err(format!(
                    "step {site} was begun in the attempts {attempts:?}"
                ));
            }
            let kept = self.kept.get(site).and_then(|kept| kept.first());
            let kept = kept.filter(|_| !unknown.contains(site));
            if let (Some((kept, _)), Some(last)) = (kept, attempts.last())
                && last > kept
            {
                return Err(format!(
                    "step {site} was kept in attempt {kept}, and begun again in {last}"
                ));
            }
        }
        for (site, kept) in &self.kept {
            if !unknown.contains(site) && kept.iter().any(|(_, value)| *value != kept[0].1) {
                return Err(format!("{site} came to {kept:?}"));
            }
        }
        Ok(())
    }
}

/// The sites of steps that have other arguments in each attempt, and no position: those that are called at once with
/// others, and all where the play `has_foreign` results.
fn unknown_again(script: &[Move], has_foreign: bool) -> BTreeSet<String> {
    let mut sites = BTreeSet::new();
    let mut look = |at, within: Option<usize>, one: &Move| {
        if matches!(one, Move::Drift { .. }) && (has_foreign || within.is_some()) {
            sites.insert(Site { at, within }.to_string());
        }
    };
    for (at, one) in script.iter().enumerate() {
        look(at, None, one);
        if let Move::Together(moves) = one {
            for (within, one) in moves.iter().enumerate() {
                look(at, Some(within), one);
            }
        }
    }
    sites
}
