//! Who is measured beside hero_logic, and what they answer. A contender is started when a row first needs
//! it, and stays until the end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    Done,
    peer::{Job, Peer, scripts},
    report::{Found, Role},
    roster::{Entry, environments, roster},
};

/// One contender, and what is known of it.
#[derive(Debug)]
struct Contender {
    entry: Entry,
    started: Option<Result<Peer, String>>,
}

#[derive(Debug)]
pub(crate) struct Contenders {
    all: Vec<Contender>,
    dir: PathBuf,
    environments: PathBuf,
}

impl Contenders {
    /// Only those of these names where there are names.
    pub(crate) fn new(python: &Path, scratch: &Path, only: &[String]) -> Done<Self> {
        let environments = environments();
        let mut all = roster(python, &environments);
        let unknown =
            |name: &&String| *name != "none" && !all.iter().any(|one| one.name == name.as_str());
        if let Some(name) = only.iter().find(unknown) {
            let names: Vec<_> = all.iter().map(|one| one.name).collect();
            return Err(format!("there is no peer {name}; there are {}", names.join(", ")).into());
        }
        all.retain(|one| only.is_empty() || only.iter().any(|name| name == one.name));
        let contender = |entry| Contender {
            entry,
            started: None,
        };
        Ok(Self {
            all: all.into_iter().map(contender).collect(),
            dir: scratch.to_owned(),
            environments,
        })
    }

    /// The interpreter of an environment that `install-peers` made, where it is there.
    pub(crate) fn environment(&self, name: &str) -> Option<PathBuf> {
        Some(self.environments.join(name).join("bin/python")).filter(|python| python.exists())
    }

    /// Those that are measured wherever they have an answer.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let entries = self.all.iter().map(|one| &one.entry);
        let everywhere = entries.filter(|entry| entry.jobs.is_empty());
        everywhere.map(|entry| entry.name).collect()
    }

    /// What each that was started says that it is.
    pub(crate) fn titles(&self) -> BTreeMap<&'static str, String> {
        self.all
            .iter()
            .filter_map(|one| match &one.started {
                Some(Ok(peer)) => Some((one.entry.name, peer.title.clone())),
                _ => None,
            })
            .collect()
    }

    /// What one of them answers; None where it is not measured, or has no such job.
    pub(crate) fn ask(&mut self, name: &str, job: Job<'_>) -> Option<Result<Vec<f64>, Found>> {
        let one = self.all.iter_mut().find(|one| one.entry.name == name)?;
        if !has(&one.entry, job.0) {
            return None;
        }
        let script = match &one.entry.script {
            Ok(script) => script,
            Err(why) => return Some(Err(Found::Absent(why.clone()))),
        };
        let dir = self.dir.join(one.entry.name);
        let started = one
            .started
            .get_or_insert_with(|| Peer::start(script, &dir).map_err(|error| error.to_string()));
        let answer = match started {
            Err(error) => return Some(Err(Found::Failed(error.clone()))),
            Ok(peer) => peer.ask(job),
        };
        match answer {
            Ok(samples) => samples.map(Ok),
            Err(error) => {
                let why = error.to_string();
                // Why it left is what later rows say of it, too.
                if let Ok(peer) = started
                    && peer.has_left()
                {
                    *started = Err(format!("it left in an earlier row: {why}"));
                }
                Some(Err(Found::Failed(why)))
            }
        }
    }

    /// The process of one that was started.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        let one = self.all.iter().find(|one| one.entry.name == name)?;
        match &one.started {
            Some(Ok(peer)) => Some(peer.pid()),
            _ => None,
        }
    }

    pub(crate) fn label(&self, name: &str) -> (&'static str, Role) {
        let one = self.all.iter().find(|one| one.entry.name == name);
        one.map_or(("", Role::Peer), |one| (one.entry.label, one.entry.role))
    }
}

fn has(entry: &Entry, job: &str) -> bool {
    entry.jobs.is_empty() || entry.jobs.contains(&job)
}

/// Where the scripts are, for what is started without being a peer.
pub(crate) fn script(file: &str) -> PathBuf {
    scripts().join(file)
}
