//! Copies of the file: made while it is in use, and put back.
//!
//! A copy is made in one read transaction, so it is the store as it stood at one moment; commits go on
//! meanwhile (the log grows until the copy is done). Nothing is under its name before it was written
//! out to the disk and checked. What is replaced is kept aside.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, backup::Backup, params};
use tempfile::{NamedTempFile, TempPath};

use super::{
    super::{Durability, Seq, StoreError},
    FILE,
    failure::{Context, Failure, Outcome},
    rows, schema,
    writer::FileId,
};
use crate::crash_point;

/// How the names of copies begin that are not whole yet.
const PREFIX: &str = ".hero_logic-";
/// Pages that are copied between two reports.
const PAGES: i32 = 2_048;
/// Numbers that the replaced store may have given since the copy was made: they are never given again.
const GAP: Seq = 1 << 32;

/// What is in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    pub plays: u64,
    pub workflows: u64,
    /// The number of the last change that is in it.
    pub seq: Seq,
}

/// Told how many pages are done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies the store of a data directory into a file. `idle`: nobody writes meanwhile.
///
/// # Errors
/// `Conflict` where the file exists and is not to be replaced; what keeps the store from being read
/// or the file from being written. Nothing is left behind then.
pub fn backup(
    dir: &Path,
    to: &Path,
    force: bool,
    idle: bool,
    progress: Progress<'_>,
) -> Result<Copied, StoreError> {
    let path = dir.join(FILE);
    outside(dir, to)?;
    if let Ok(there) = fs::symlink_metadata(to) {
        plain(to, &there)?;
        if !force {
            return Err(exists(to));
        }
    }
    let source = source(&path, idle)?;
    let copy = copied(&source, &path, parent(to), progress)?;
    let found = contents(&copy)?;
    let kept = if force {
        copy.persist(to).map_err(|error| error.error)
    } else {
        copy.persist_noclobber(to).map_err(|error| error.error)
    };
    kept.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(to),
        _ => unwritten(to, &error),
    })?;
    sync_dir(parent(to))?;
    Ok(found)
}

/// Copies that a killed restore left in the directory, which nobody else has: inputs and outputs are in
/// them. What can't be removed is no reason not to go on.
fn remove_left(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(file = %entry.path().display(), %error, "failed to remove what a restore left; remove it by hand");
        }
    }
}

/// Puts a copy in the place of a data directory's store, which nobody may have open. Where the old
/// store was kept.
///
/// # Errors
/// `Conflict` where there is a store and it is not to be replaced; what keeps the copy from being
/// read, understood or written. Nothing was changed then.
pub fn restore(
    dir: &Path,
    from: &Path,
    force: bool,
    progress: Progress<'_>,
) -> Result<(Copied, Option<PathBuf>), StoreError> {
    let path = dir.join(FILE);
    let there = path.exists() || schema::log_of(&path).exists();
    if there && !force {
        return Err(StoreError::Conflict(format!(
            "there is a store in {} already; with --force it is replaced, and kept beside the new one",
            dir.display()
        )));
    }
    if let Ok(about) = fs::metadata(from) {
        // Opening a pipe would wait for somebody who writes.
        plain(from, &about)?;
    }
    if FileId::of(from).is_some() && FileId::of(from) == FileId::of(&path) {
        return Err(StoreError::InvalidInput(format!(
            "{} is the store itself; choose a copy",
            from.display()
        )));
    }
    remove_left(dir);
    let source = source(from, true)?;
    check(&source, from)?;
    let copy = copied(&source, from, dir, progress)?;
    drop(source);
    let found = contents(&copy)?;
    let replaced = if there { last_seq_of(&path) } else { None };
    renumber(&copy, found.seq, replaced)?;
    crash_point::reached("restore_copied");
    let aside = if there {
        Some(keep_aside(&path)?)
    } else {
        None
    };
    crash_point::reached("restore_kept");
    copy.persist(&path)
        .map_err(|error| unwritten(&path, &error.error))?;
    crash_point::reached("restore_placed");
    sync_dir(dir)?;
    Ok((found, aside))
}

/// Whatever lies in the data directory is the store's own: the lock, the log, a play's files.
fn outside(dir: &Path, to: &Path) -> Result<(), StoreError> {
    let real = |path: &Path| path.canonicalize();
    let inside = match (real(dir), real(parent(to))) {
        (Ok(dir), Ok(parent)) => parent.starts_with(dir),
        // Where it is not there, nothing can be written.
        _ => false,
    };
    if inside {
        return Err(StoreError::InvalidInput(format!(
            "{} is in the data directory itself; choose a place outside it",
            to.display()
        )));
    }
    Ok(())
}

/// A link, a device or a pipe is nothing that a copy may replace, or be read from.
fn plain(path: &Path, about: &fs::Metadata) -> Result<(), StoreError> {
    if about.is_file() {
        return Ok(());
    }
    Err(StoreError::InvalidInput(format!(
        "{} is no plain file; choose another name",
        path.display()
    )))
}

/// A copy of another program, of a newer version, or of nothing, is refused here.
fn source(path: &Path, idle: bool) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::NotFound {
            what: "file",
            sid: path.display().to_string(),
        });
    }
    schema::open_source(path, idle)
}

/// The copy, under a name of its own, written out and checked.
fn copied(
    source: &Connection,
    path: &Path,
    dir: &Path,
    progress: Progress<'_>,
) -> Result<TempPath, StoreError> {
    // Private: inputs, outputs and environments are in it.
    let copy = NamedTempFile::with_prefix_in(PREFIX, dir)
        .map_err(|error| unwritten(dir, &error))?
        .into_temp_path();
    let mut work = || -> Outcome<()> {
        // What it reads is as it stood when this began.
        let reading = source.unchecked_transaction()?;
        reading.query_row("SELECT seq FROM meta", [], |_| Ok(()))?;
        let mut target = Connection::open_with_flags(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // It is nobody's until it is whole, and is written out below.
        target.pragma_update(None, "journal_mode", "OFF")?;
        target.pragma_update(None, "synchronous", "OFF")?;
        let backup = Backup::new(&reading, &mut target)?;
        loop {
            let step = backup.step(PAGES)?;
            let state = backup.progress();
            let (all, left) = (state.pagecount.max(0), state.remaining.max(0));
            progress(
                u64::from((all - left).unsigned_abs()),
                u64::from(all.unsigned_abs()),
            );
            match step {
                rusqlite::backup::StepResult::Done => return Ok(()),
                rusqlite::backup::StepResult::More => {}
                _ => {
                    return Err(Failure::refused(
                        "another process holds it; end that one and try again",
                    ));
                }
            }
        }
    };
    work().map_err(|failure| Context::new("copy", path).store_error(failure))?;
    File::open(&copy)
        .and_then(|file| file.sync_all())
        .map_err(|error| unwritten(&copy, &error))?;
    check(&schema::open_source(&copy, true)?, &copy)?;
    Ok(copy)
}

fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let context = Context::new("check", path);
    let words: String = connection
        .query_row("PRAGMA quick_check(1)", [], rows::first)
        .map_err(|error| context.store_error(error.into()))?;
    if words == "ok" {
        return Ok(());
    }
    Err(context.store_error(Failure::refused(format!(
        "it is damaged ({words}); nothing was changed; use another copy"
    ))))
}

fn contents(copy: &Path) -> Result<Copied, StoreError> {
    let work = || -> Outcome<Copied> {
        let connection = schema::open_source(copy, true)?;
        let number = |sql: &str| connection.query_row(sql, [], |row| rows::unsigned(row, 0));
        Ok(Copied {
            bytes: number("PRAGMA page_count")? * number("PRAGMA page_size")?,
            plays: number("SELECT count(*) FROM plays")?,
            workflows: number("SELECT count(*) FROM workflows WHERE deleted = 0")?,
            seq: number("SELECT seq FROM meta")?,
        })
    };
    work().map_err(|failure| Context::new("read from", copy).store_error(failure))
}

/// The last number of a store that is about to be replaced; it may be damaged.
fn last_seq_of(path: &Path) -> Option<Seq> {
    let connection = schema::open_source(path, true).ok()?;
    let seq = connection.query_row("SELECT seq FROM meta", [], |row| rows::unsigned(row, 0));
    seq.ok()
}

/// Goes on beyond every number that was given after the copy was made, and notes that those between
/// are lost: who comes back with one of them has seen what is no more.
fn renumber(copy: &Path, seq: Seq, replaced: Option<Seq>) -> Result<(), StoreError> {
    let next = seq.max(replaced.unwrap_or(0)).saturating_add(GAP);
    let work = || -> Outcome<()> {
        let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // One file, without a log beside it; the writer chooses its mode again.
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        connection.execute(
            "INSERT INTO lost (after_seq, until_seq) VALUES (?1, ?2)",
            params![seq.cast_signed(), next.cast_signed()],
        )?;
        connection.execute("UPDATE meta SET seq = ?1", [next.cast_signed()])?;
        // The directories are not of the copy's time: they are measured again.
        connection.execute("DELETE FROM artifacts", [])?;
        Ok(())
    };
    work().map_err(|failure| Context::new("write to", copy).store_error(failure))?;
    File::open(copy)
        .and_then(|file| file.sync_all())
        .map_err(|error| unwritten(copy, &error))
}

/// The old file under another name; its own name stays, for the copy to replace in one step.
fn keep_aside(path: &Path) -> Result<PathBuf, StoreError> {
    // A sound one takes its log in when it is closed. A log that is left belongs to a damaged one:
    // it must not stay beside the copy.
    if let Ok(connection) = schema::open_writer(path, Durability::Fsync) {
        drop(connection);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut name = OsString::from(path);
    name.push(format!(
        ".replaced-{}",
        now.map_or(0, |now| now.as_millis())
    ));
    let aside = PathBuf::from(name);
    let moved = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritten(&aside, &error)),
        _ => Ok(()),
    };
    moved(fs::rename(schema::log_of(path), schema::log_of(&aside)))?;
    moved(fs::remove_file(schema::beside(path, "-shm")))?;
    moved(fs::hard_link(path, &aside).or_else(|_| fs::rename(path, &aside)))?;
    Ok(aside)
}

fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| unwritten(dir, &error))
}

fn exists(file: &Path) -> StoreError {
    StoreError::Conflict(format!(
        "there is a file {} already; with --force it is replaced",
        file.display()
    ))
}

fn unwritten(path: &Path, error: &io::Error) -> StoreError {
    let message = format!("failed to write {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full(format!("{message}; free some space")),
        _ => StoreError::Trouble(format!(
            "{message}; check that its directory is there and yours"
        )),
    }
}
