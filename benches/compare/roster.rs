//! Everybody who is measured beside hero_logic: what each is called, and what it runs.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{peer::Script, report::Role};

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) role: Role,
    /// All that it is asked for; where this is empty, whatever there is. One that differs from another in a setting
    /// is measured where that matters.
    pub(crate) jobs: &'static [&'static str],
    /// Or why there is none.
    pub(crate) script: Result<Script, String>,
}

impl Entry {
    fn new(name: &'static str, label: &'static str, script: Result<Script, String>) -> Self {
        Self {
            name,
            label,
            role: Role::Peer,
            jobs: &[],
            script,
        }
    }

    fn limit(self) -> Self {
        Self {
            role: Role::Limit,
            ..self
        }
    }

    fn only(self, jobs: &'static [&'static str]) -> Self {
        Self { jobs, ..self }
    }
}

/// Where `install-peers` puts them.
pub(crate) fn environments() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = set("HERO_LOGIC_PEERS") {
        return dir.into();
    }
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(set("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("hero_logic/peers")
}

pub(crate) fn roster(python: &Path, environments: &Path) -> Vec<Entry> {
    let here = |file, options, args| {
        Ok(Script {
            python: python.to_owned(),
            options,
            file,
            args,
            env: Vec::new(),
        })
    };
    let installed = |name: &str, file, args| {
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
            env: Vec::new(),
        })
    };
    let dbos = |args| installed("dbos", "dbos_peer.py", args);
    let rq = |args| installed("rq", "rq_peer.py", args);
    let prefect = |args| installed("prefect", "prefect_peer.py", args);
    let own_restate = environments.join("restate/node_modules/.bin/restate-server");
    let restate = |args| {
        installed("restate", "restate_peer.py", args).map(|mut script| {
            if own_restate.exists() {
                script
                    .env
                    .push(("BENCH_RESTATE_SERVER", own_restate.clone()));
            }
            script
        })
    };
    let stdlib = |args| here("stdlib.py", &[][..], args);
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/python");
    let spans = installed("otel", "spans.py", &[])
        .or_else(|_| here("spans.py", &[][..], &[][..]))
        .map(|mut script| {
            script.env.push(("PYTHONPATH", sdk));
            script
        });
    vec![
        Entry::new("dbos", "DBOS, in-process", dbos(&["full"])),
        Entry::new("dbos-shipped", "DBOS, as shipped", dbos(&["shipped"])),
        Entry::new("dbos-os", "DBOS, not synced", dbos(&["os"])).only(&["steps"]),
        Entry::new("dbos-prompt", "DBOS, looks each 3 ms", dbos(&["prompt"])).only(&["answer"]),
        Entry::new("restate", "Restate, handler", restate(&["synced"])),
        Entry::new("restate-os", "Restate, not synced", restate(&["os"])).only(&["steps"]),
        Entry::new("rq", "RQ, a process a job", rq(&["fork"])),
        Entry::new("rq-simple", "RQ, in the worker", rq(&["simple"])),
        Entry::new("prefect", "Prefect, in-process", prefect(&["sync"])),
        Entry::new("prefect-async", "Prefect, async", prefect(&["async"])),
        Entry::new("pool", "ProcessPoolExecutor, reused", stdlib(&["pool"])),
        Entry::new(
            "fresh",
            "ProcessPoolExecutor, one task each",
            stdlib(&["fresh"]),
        ),
        Entry::new("subprocess", "subprocess", stdlib(&["subprocess"])),
        Entry::new("plain", "functions in one process", stdlib(&["plain"])).limit(),
        Entry::new(
            "fork",
            "fork, exit, wait: Python, bare",
            here("fork.py", &["-I", "-S"], &["bare"]),
        )
        .limit(),
        Entry::new(
            "fork-asyncio",
            "fork, exit, wait: with asyncio",
            here("fork.py", &["-I", "-S"], &["asyncio"]),
        )
        .limit(),
        Entry::new("spans", "", spans).only(&["hero", "opentelemetry", "lines"]),
    ]
}
