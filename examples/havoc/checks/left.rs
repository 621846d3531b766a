//! What is left in the data directory when no server has it.

use std::{collections::HashSet, fs, path::Path};

use rusqlite::{Connection, OpenFlags};

/// What SQLite says of the file when nobody has it open. Empty: it is sound.
pub(crate) fn integrity(data_dir: &Path) -> Result<Vec<String>, String> {
    let mut said = Vec::new();
    for entry in fs::read_dir(data_dir).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_none_or(|extension| extension != "db") {
            continue;
        }
        let lines = pragmas(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        said.extend(lines.into_iter().filter(|line| line != "ok"));
        return Ok(said);
    }
    Err(format!("there is no database in {}", data_dir.display()))
}

fn pragmas(path: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut lines = Vec::new();
    for pragma in ["integrity_check", "foreign_key_check"] {
        let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            lines.push(row.get::<_, String>(0)?);
        }
    }
    Ok(lines)
}

/// Directories that no play has a right to: spools, sockets, and those of unknown plays.
pub(crate) fn directories(data_dir: &Path, known: &HashSet<&str>) -> Vec<String> {
    let entries = |name: &str| {
        let entries = fs::read_dir(data_dir.join(name)).into_iter();
        entries.flatten().flatten()
    };
    let spools = entries("spool").map(|spool| spool.path());
    let of_unknown = entries("plays").filter_map(|play| {
        let name = play.file_name();
        let is_known = name.to_str().is_some_and(|sid| known.contains(sid));
        (!is_known).then(|| play.path())
    });
    let sockets = fs::read_link(data_dir.join("sockets")).ok();
    let sockets = sockets.filter(|sockets| sockets.exists());
    let left = spools.chain(of_unknown).chain(sockets);
    left.map(|path| path.display().to_string()).collect()
}
