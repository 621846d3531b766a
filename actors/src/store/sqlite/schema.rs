//! Opening the file: what it must be, and how older ones become the newest.
//!
//! Must never change a file that it does not understand: what is looked at before the first write is
//! the header, the application's id and the version.

use std::{
    ffi::OsString,
    fs::{File, Permissions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{
    super::{Durability, StoreError},
    failure::{Context, Failure, Outcome},
};

/// Says in the file's header that it is one of hero_logic ("hero").
const APPLICATION_ID: i32 = 0x6865_726f;

/// How the rows of version `n` become those of version `n + 1`. Never change one that was released.
const MIGRATIONS: &[&str] = &[include_str!("v1.sql")];

/// How long another process may hold the file's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the file for the writer, makes it where there is none, brings it up to date.
pub(super) fn open_writer(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    let context = Context::new("open", path);
    let work = || -> Outcome<Connection> {
        let file = file(path)?;
        let version = understand(path)?;
        take_from_others(&file).map_err(|e| unusable(&e))?;
        let mut connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        prepare(&mut connection, version, durability)?;
        Ok(connection)
    };
    work().map_err(|failure| context.store_error(hinted(failure, path)))
}

/// Opens the file for moving its log into it.
pub(super) fn open_mover(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -256)?;
    Ok(connection)
}

/// Opens the file for reading only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|e| Context::new("open", path).store_error(e.into()))
}

/// Opens a file of a version that this program knows, only to read it as a whole. `idle`: nobody
/// writes to it meanwhile; then nothing is made beside it.
pub(super) fn open_source(path: &Path, idle: bool) -> Result<Connection, StoreError> {
    let work = || -> Outcome<Connection> {
        if understand(path)? == 0 {
            return Err(Failure::refused(
                "it is empty; choose a file that has a store of hero_logic",
            ));
        }
        Ok(reading(path, idle)?)
    };
    work().map_err(|failure| Context::new("open", path).store_error(hinted(failure, path)))
}

pub(super) fn reading(path: &Path, idle: bool) -> rusqlite::Result<Connection> {
    let connection = if idle && !log_of(path).exists() {
        let mode = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(uri(path, "immutable=1"), flags(mode))?
    } else {
        // The log belongs to the database; reading alone does not move it into the file.
        Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?
    };
    connection.busy_timeout(BUSY)?;
    let looked = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    match looked {
        Ok(()) => Ok(connection),
        // Nothing can be written, not even what SQLite shares between those who read: this
        // connection keeps that to itself.
        Err(rusqlite::Error::SqliteFailure(cause, _))
            if matches!(
                cause.code,
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly
            ) =>
        {
            let mode = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri(path, "readonly_shm=1"), flags(mode))
        }
        Err(error) => Err(error),
    }
}

/// Opens the file only to read it, where nobody has it and nothing can be written beside it.
pub(super) fn open_idle_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_source(path, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn flags(mode: OpenFlags) -> OpenFlags {
    // Each connection belongs to one thread.
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Makes the file where there is none.
fn file(path: &Path) -> Outcome<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| unusable(&error))
}

/// Inputs, outputs and environments are in it. The files beside it (`-wal`, `-shm`) get its mode from
/// SQLite.
fn take_from_others(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & 0o777 == 0o600 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(0o600))
}

fn unusable(error: &io::Error) -> Failure {
    Failure::refused(format!(
        "{error}; check that its directory exists and that both are yours"
    ))
}

/// Its version, if it is one of ours that this program knows. Leaves the file, and those beside it,
/// as they are.
pub(super) fn understand(path: &Path) -> Outcome<usize> {
    let log = log_is_one(&log_of(path)).map_err(|error| unusable(&error))?;
    if !log {
        return Err(Failure::refused(format!(
            "the log beside it, {}, is damaged; nothing was changed; put back a copy of both, or move the log \
             away to go on without what was committed last",
            log_of(path).display()
        )));
    }
    let connection = reading(path, true)?;
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (version, application) = (number("user_version")?, number("application_id")?);
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Failure::refused(
            "it is a database, but not one of hero_logic; nothing was changed; choose another data directory",
        ));
    }
    match usize::try_from(version) {
        Ok(version) if version == MIGRATIONS.len() && !is_as_made_here(&connection)? => {
            Err(Failure::refused(
                "its tables are not those of this program's: a version of hero_logic that was never released made it; \
                 nothing was changed; use that one, or choose another data directory",
            ))
        }
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(Failure::refused(format!(
            "it has version {version}, this program knows versions up to {}; nothing was changed; \
             use the newer hero_logic that wrote it, or another data directory",
            MIGRATIONS.len()
        ))),
    }
}

/// Whether it has the tables and indexes that this program makes, as it makes them: while a version is in the making, its
/// number says too little. What somebody has added is theirs.
fn is_as_made_here(connection: &Connection) -> rusqlite::Result<bool> {
    let told = |connection: &Connection| -> rusqlite::Result<Vec<(String, Option<String>)>> {
        // But for what SQLite adds by itself.
        let mut statement = connection.prepare(
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let fresh = Connection::open_in_memory()?;
    for step in MIGRATIONS {
        fresh.execute_batch(step)?;
    }
    let there = told(connection)?;
    Ok(told(&fresh)?.iter().all(|made| there.contains(made)))
}

/// Whether a log is none, empty, or begins as one. SQLite itself would take any other for an empty
/// one, and write over it.
fn log_is_one(log: &Path) -> io::Result<bool> {
    let mut head = [0; 4];
    let read = match File::open(log) {
        Ok(mut log) => log.read(&mut head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    // Zeros: made, and never written out to the disk.
    let known = [[0; 4], *b"\x37\x7f\x06\x82", *b"\x37\x7f\x06\x83"];
    Ok(read < head.len() || known.contains(&head))
}

/// SQLite's write-ahead log.
pub(super) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// A file that SQLite keeps beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The path as a URI with this parameter.
fn uri(path: &Path, parameter: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push('?');
    uri.push_str(parameter);
    uri
}

fn prepare(connection: &mut Connection, version: usize, durability: Durability) -> Outcome<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Can be chosen only before the first table. Pages of deleted plays can so be given back to the
    // file system piece by piece, without rewriting the file.
    if version == 0 {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::refused(format!(
            "its file system allows only the journal mode {mode:?}; put the data directory on a local disk"
        )));
    }
    let synchronous = match durability {
        // A commit that was answered survives a power loss.
        Durability::Fsync => "FULL",
        // The log is synced before it is moved into the file, so that the file is always whole.
        Durability::Os => {
            tracing::warn!(
                "commits are not synced to the disk: a power failure may lose the last of them"
            );
            "NORMAL"
        }
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The savepoints' journal stays out of /tmp.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // What is written is mostly added at the ends of tables, and read from the system's cache.
    connection.pragma_update(None, "cache_size", -4 * 1024)?;
    migrate(connection)
}

/// Each step in a transaction of its own; a step that another process made meanwhile is skipped.
fn migrate(connection: &mut Connection) -> Outcome<()> {
    for (from, step) in (0_i32..).zip(MIGRATIONS) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i32 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == from {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", from + 1)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

/// Says what to do about a file that is no whole database.
fn hinted(failure: Failure, path: &Path) -> Failure {
    match failure {
        Failure::Sql(rusqlite::Error::SqliteFailure(cause, text))
            if matches!(
                cause.code,
                ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt
            ) =>
        {
            Failure::refused(format!(
                "it is damaged or no database ({}); nothing was changed; move {} and the files beside it \
                 away, or put back a copy",
                text.unwrap_or_else(|| cause.to_string()),
                path.display()
            ))
        }
        other => other,
    }
}
