//! Who is measured beside hero_logic, where it is found, and how it is started. A contender is started when
//! a row first needs it, and stays until the end.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use crate::{
    Done,
    peer::{Job, Peer, Script, scripts},
    report::{Found, Line, Role},
    stats::Rounds,
};

/// One contender, and what is known of it.
#[derive(Debug)]
struct Contender {
    name: &'static str,
    label: &'static str,
    role: Role,
    /// Or why there is none.
    script: Result<Script, String>,
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
        let unknown = |name: &&String| {
            *name != "none" && !all.iter().any(|contender| contender.name == name.as_str())
        };
        if let Some(name) = only.iter().find(unknown) {
            let names: Vec<_> = all.iter().map(|contender| contender.name).collect();
            return Err(format!("there is no peer {name}; there are {}", names.join(", ")).into());
        }
        all.retain(|one| only.is_empty() || only.iter().any(|name| name == one.name));
        Ok(Self {
            all,
            dir: scratch.to_owned(),
            environments,
        })
    }

    /// The interpreter of an environment that `install-peers` made, where it is there.
    pub(crate) fn environment(&self, name: &str) -> Option<PathBuf> {
        Some(self.environments.join(name).join("bin/python")).filter(|python| python.exists())
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.all.iter().map(|contender| contender.name).collect()
    }

    /// What each that was started says that it is.
    pub(crate) fn titles(&self) -> BTreeMap<&'static str, String> {
        self.all
            .iter()
            .filter_map(|one| match &one.started {
                Some(Ok(peer)) => Some((one.name, peer.title.clone())),
                _ => None,
            })
            .collect()
    }

    /// What one of them answers; None where it is not measured, or has no such job.
    pub(crate) fn ask(&mut self, name: &str, job: Job<'_>) -> Option<Result<Vec<f64>, Found>> {
        let one = self.all.iter_mut().find(|one| one.name == name)?;
        let script = match &one.script {
            Ok(script) => script,
            Err(why) => return Some(Err(Found::Absent(why.clone()))),
        };
        let dir = self.dir.join(one.name);
        let started = one
            .started
            .get_or_insert_with(|| Peer::start(script, &dir).map_err(|error| error.to_string()));
        let answer = match started {
            Err(error) => return Some(Err(Found::Failed(error.clone()))),
            Ok(peer) => peer.ask(job),
        };
        match answer {
            Ok(samples) => samples.map(Ok),
            Err(error) => Some(Err(Found::Failed(error.to_string()))),
        }
    }

    /// The process of one that was started.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        let one = self.all.iter().find(|one| one.name == name)?;
        match &one.started {
            Some(Ok(peer)) => Some(peer.pid()),
            _ => None,
        }
    }

    pub(crate) fn label(&self, name: &str) -> (&'static str, Role) {
        let one = self.all.iter().find(|one| one.name == name);
        one.map_or(("", Role::Peer), |one| (one.label, one.role))
    }
}

/// Where `install-peers` puts them.
fn environments() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = set("HERO_LOGIC_PEERS") {
        return dir.into();
    }
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(set("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("hero_logic/peers")
}

fn roster(python: &Path, environments: &Path) -> Vec<Contender> {
    let here = |file, options, args| {
        Ok(Script {
            python: python.to_owned(),
            options,
            file,
            args,
            env: Vec::new(),
        })
    };
    let installed = |name: &str, file, args, env: Vec<(&'static str, PathBuf)>| {
        let home = environments.join(name);
        if !home.join("complete").exists() {
            return Err(format!(
                "{} is not there: benches/install-peers {name}",
                home.display()
            ));
        }
        Ok(Script {
            python: home.join("bin/python"),
            options: &[],
            file,
            args,
            env,
        })
    };
    let one = |name, label, role, script| Contender {
        name,
        label,
        role,
        script,
        started: None,
    };
    let dbos = |args| installed("dbos", "dbos_peer.py", args, Vec::new());
    let rq = |args| installed("rq", "rq_peer.py", args, Vec::new());
    let prefect = |args| installed("prefect", "prefect_peer.py", args, Vec::new());
    let own_restate = environments.join("restate/node_modules/.bin/restate-server");
    let restate_env = own_restate
        .exists()
        .then_some(("BENCH_RESTATE_SERVER", own_restate));
    let restate = installed(
        "restate",
        "restate_peer.py",
        &[],
        restate_env.into_iter().collect(),
    );
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/python");
    let spans = installed("otel", "spans.py", &[], Vec::new())
        .or_else(|_| here("spans.py", &[][..], &[][..]))
        .map(|mut script| {
            script.env.push(("PYTHONPATH", sdk));
            script
        });
    let (peer, limit) = (Role::Peer, Role::Limit);
    vec![
        one("dbos", "DBOS, in-process", peer, dbos(&["full"])),
        one("dbos-shipped", "DBOS, as shipped", peer, dbos(&["shipped"])),
        one("restate", "Restate, handler", peer, restate),
        one("rq", "RQ, a process a job", peer, rq(&["fork"])),
        one("rq-simple", "RQ, in the worker", peer, rq(&["simple"])),
        one("prefect", "Prefect, in-process", peer, prefect(&["sync"])),
        one("prefect-async", "Prefect, async", peer, prefect(&["async"])),
        one(
            "pool",
            "ProcessPoolExecutor, reused",
            peer,
            here("stdlib.py", &[], &["pool"]),
        ),
        one(
            "fresh",
            "ProcessPoolExecutor, one task each",
            peer,
            here("stdlib.py", &[], &["fresh"]),
        ),
        one(
            "subprocess",
            "subprocess",
            peer,
            here("stdlib.py", &[], &["subprocess"]),
        ),
        one(
            "plain",
            "functions in one process",
            limit,
            here("stdlib.py", &[], &["plain"]),
        ),
        one(
            "fork",
            "fork, exit, wait: Python, bare",
            limit,
            here("fork.py", &["-I", "-S"], &["bare"]),
        ),
        one(
            "fork-asyncio",
            "fork, exit, wait: with asyncio",
            limit,
            here("fork.py", &["-I", "-S"], &["asyncio"]),
        ),
        one("spans", "", peer, spans),
    ]
}

/// Figures of one contender as rounds are added to them; the first trouble is what is reported.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) name: &'static str,
    rounds: Rounds,
    trouble: Option<Found>,
}

impl Tally {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Rounds::default(),
            trouble: None,
        }
    }

    /// One turn, unless it is out already.
    pub(crate) fn turn(&mut self, contenders: &mut Contenders, job: Job<'_>) {
        if self.trouble.is_some() {
            return;
        }
        match contenders.ask(self.name, job) {
            None => {}
            Some(Ok(samples)) => self.rounds.push(samples),
            Some(Err(trouble)) => self.trouble = Some(trouble),
        }
    }

    /// None where it has no part in this row.
    pub(crate) fn line(self, contenders: &Contenders, factor: f64) -> Option<Line> {
        let (label, role) = contenders.label(self.name);
        let found = match self.trouble {
            Some(trouble) => trouble,
            None if self.rounds.count() == 0 => return None,
            None => Found::Measured(self.rounds.scaled(factor)),
        };
        Some(Line::new(label, role, found))
    }
}

/// Where the scripts are, for what is started without being a peer.
pub(crate) fn script(file: &str) -> PathBuf {
    scripts().join(file)
}
