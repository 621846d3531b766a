//! What must be zero in the end.

use std::{collections::HashSet, fs, path::Path};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::{
    load::{Ledger, end_of},
    server::Reach,
};

/// What the last server says of each play that was accepted.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Accepted, and unknown now.
    pub(crate) lost: Vec<String>,
    /// Not ended.
    pub(crate) stuck: Vec<String>,
    /// Told to have ended one way, and ended in another now.
    pub(crate) taken_back: Vec<String>,
}

pub(crate) async fn judge(reach: &Reach, ledger: &Ledger) -> Verdict {
    let mut verdict = Verdict::default();
    for (sid, told) in ledger.all() {
        match reach.ask("play_get", &json!({"play_sid": sid})).await {
            Err(error) => verdict.lost.push(format!("{sid}: {error}")),
            Ok(play) => match (end_of(&play), told) {
                (None, _) => verdict.stuck.push(format!("{sid}: {}", play["status"])),
                (Some(now), Some(told)) if now != told => {
                    verdict
                        .taken_back
                        .push(format!("{sid}: was {told}, is {now}"));
                }
                _ => {}
            },
        }
    }
    verdict
}

/// Plays that nobody waits for (children, those whose caller gave up) are to end too.
pub(crate) async fn open_plays(reach: &Reach) -> Result<u64, String> {
    let mut open = 0;
    for status in ["pending", "running", "awaiting_resume"] {
        let query = json!({"status": status, "limit": 1000});
        let page = reach
            .ask("play_list", &query)
            .await
            .map_err(|error| error.to_string())?;
        open += page["items"].as_array().map_or(0, Vec::len) as u64;
    }
    Ok(open)
}

/// What SQLite says of the file when nobody has it open. Empty: it is sound.
pub(crate) fn integrity(data_dir: &Path) -> Result<Vec<String>, String> {
    let mut said = Vec::new();
    for entry in fs::read_dir(data_dir).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if !path
            .extension()
            .is_some_and(|extension| extension == "db" || extension == "sqlite")
        {
            continue;
        }
        let check = || -> rusqlite::Result<Vec<String>> {
            let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            let mut lines = Vec::new();
            for pragma in ["integrity_check", "foreign_key_check"] {
                let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    lines.push(row.get::<_, String>(0)?);
                }
            }
            Ok(lines)
        };
        let lines = check().map_err(|error| format!("{}: {error}", path.display()))?;
        said.extend(lines.into_iter().filter(|line| line != "ok"));
        return Ok(said);
    }
    Err(format!("there is no database in {}", data_dir.display()))
}

/// Directories that no ended play has a right to: spools, and sockets.
pub(crate) fn directories_left(data_dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for spool in fs::read_dir(data_dir.join("spool"))
        .into_iter()
        .flatten()
        .flatten()
    {
        left.push(spool.path().display().to_string());
    }
    if let Ok(sockets) = fs::read_link(data_dir.join("sockets"))
        && sockets.exists()
    {
        left.push(sockets.display().to_string());
    }
    left
}

/// What durable plays have noted.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(crate) plays: usize,
    /// Steps that were begun, …
    pub(crate) begun: usize,
    /// … of these, begun again: they were under way when something died.
    pub(crate) again: usize,
    /// Begun again after their result had been acknowledged.
    pub(crate) broken: Vec<String>,
}

pub(crate) fn tallies(dir: &Path) -> std::io::Result<Tallies> {
    let mut tallies = Tallies::default();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let (mut begun, mut kept) = (HashSet::new(), HashSet::new());
        tallies.plays += 1;
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("begun", n)) => {
                    tallies.begun += 1;
                    tallies.again += usize::from(!begun.insert(n));
                    if kept.contains(n) {
                        let broken = format!("{}: {n}", path.display());
                        tallies.broken.push(broken);
                    }
                }
                Some((_, n)) => {
                    kept.insert(n);
                }
                None => tallies.broken.push(format!("{}: {line:?}", path.display())),
            }
        }
    }
    Ok(tallies)
}
