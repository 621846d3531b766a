//! Looks at a database without changing it, for `doctor`: also at one that can't be opened.

use std::{fs, io::ErrorKind, path::Path, thread, time::Duration};

use rusqlite::Connection;

use super::{
    super::StoreError,
    FILE,
    failure::{Context, Outcome},
    schema::{log_of, reading, understand},
};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    pub version: usize,
    pub journal_mode: String,
    pub bytes: u64,
    pub log_bytes: u64,
    pub integrity: Integrity,
}

/// Whether it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    Sound,
    /// The first thing that is wrong.
    Damaged(String),
    /// Why it is not known.
    NotDone(String),
}

/// Looks at the database of a data directory; `None` where there is none. Looking through the whole of
/// it is given up after `patience`.
///
/// # Errors
/// What keeps it from being opened: it is damaged, of a newer version, of another program, not ours.
pub fn examine(dir: &Path, patience: Duration) -> Result<Option<Examination>, StoreError> {
    let path = dir.join(FILE);
    let context = Context::new("examine", &path);
    let bytes = match fs::metadata(&path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(StoreError::Backend(format!(
                "failed to examine {}: {error}",
                path.display()
            )));
        }
    };
    let look = || -> Outcome<Examination> {
        let version = understand(&path)?;
        let connection = reading(&path, true)?;
        Ok(Examination {
            version,
            journal_mode: journal_mode(&path),
            bytes,
            log_bytes: fs::metadata(log_of(&path)).map_or(0, |file| file.len()),
            integrity: integrity(&connection, patience),
        })
    };
    look()
        .map(Some)
        .map_err(|failure| context.store_error(failure))
}

/// As the file's header has it: byte 18 is 2 for WAL. (A connection that takes the file as immutable says
/// `off`.)
fn journal_mode(path: &Path) -> String {
    let header = fs::File::open(path).and_then(|file| {
        let mut header = [0_u8; 20];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut header, 0).map(|()| header)
    });
    match header.map(|header| header[18]) {
        Ok(2) => "wal",
        Ok(1) => "delete",
        _ => "unknown",
    }
    .to_owned()
}

fn integrity(connection: &Connection, patience: Duration) -> Integrity {
    let interrupt = connection.get_interrupt_handle();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let answer = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    drop(done);
    if watch.join().is_err() {
        tracing::error!("the watch over a check of the database panicked");
    }
    match answer {
        Ok(text) if text == "ok" => Integrity::Sound,
        Ok(text) => Integrity::Damaged(text),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
        {
            Integrity::NotDone(format!(
                "looking through all of it takes longer than {patience:?}"
            ))
        }
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            ) =>
        {
            Integrity::Damaged(error.to_string())
        }
        Err(error) => Integrity::NotDone(error.to_string()),
    }
}
