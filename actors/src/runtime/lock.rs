//! One process owns a data directory.
//!
//! The lock is the kernel's (`flock`): it is gone with its process, however that ends. The file says
//! who has it, for the second one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use protocol::{Error, Result};
use rustix::fs::{FlockOperation, flock};

use crate::process::{Mark, process_id};

/// The file's name.
const LOCK: &str = "lock";
/// How long a lock is waited for whose owner is not there.
const MOMENT: Duration = Duration::from_millis(200);

/// Held as long as the directory is owned.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    /// What the plays of the owner before were marked with, where it could say so.
    earlier: Option<Mark>,
}

impl DirLock {
    /// Makes the directory, where there is none, and takes it; `mark` is what this owner's plays will be
    /// marked with.
    ///
    /// # Errors
    /// `conflict` where another process has it; `unavailable` where the file system refuses.
    pub fn take(dir: &Path, mark: Option<Mark>) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| failed("make", dir, &error))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(LOCK))
            .map_err(|error| failed("write in", dir, &error))?;
        let mut lock = Self::of(file, dir)?;
        let mut before = String::new();
        let read = lock.file.rewind();
        let read = read.and_then(|()| lock.file.read_to_string(&mut before));
        lock.earlier = read
            .ok()
            .and_then(|_| Mark::parse(before.split_whitespace().nth(1)?));
        // It only says who has the directory; on a full disk it says nothing.
        // Who brings none may be the first since those have died.
        let own = mark.or(lock.earlier);
        let own = own.map(|mark| format!(" {mark}")).unwrap_or_default();
        let written = (lock.file.set_len(0))
            .and_then(|()| lock.file.rewind())
            .and_then(|()| writeln!(lock.file, "{}{own}", std::process::id()));
        if let Err(error) = written {
            tracing::debug!(%error, "the lock's file can't say who has it");
        }
        Ok(lock)
    }

    /// What the plays of the owner before were marked with.
    #[must_use]
    pub fn earlier_mark(&self) -> Option<Mark> {
        self.earlier
    }

    /// Takes a directory that can't be written, in order to read it. `None`: nobody ever had it.
    ///
    /// # Errors
    /// `conflict` where another process has it; `unavailable` where it can't be read.
    pub fn take_to_read(dir: &Path) -> Result<Option<Self>> {
        match File::open(dir.join(LOCK)) {
            Ok(file) => Self::of(file, dir).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", dir, &error)),
        }
    }

    fn of(mut file: File, dir: &Path) -> Result<Self> {
        let until = Instant::now() + MOMENT;
        let who = loop {
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Self {
                    file,
                    earlier: None,
                });
            }
            let mut who = String::new();
            file.rewind()
                .and_then(|()| file.read_to_string(&mut who))
                .map_err(|error| failed("read", dir, &error))?;
            let owner = who.split_whitespace().next();
            let owner = owner.and_then(|pid| pid.parse::<u32>().ok());
            let lives = owner.is_some_and(|pid| process_id(pid).is_some());
            if lives || Instant::now() >= until {
                break owner;
            }
            // Who is named is gone. Somebody who only looks (`doctor`) has it for a moment, or a
            // process that has not yet said that it is the owner.
            std::thread::sleep(Duration::from_millis(2));
        };
        let who = who.map_or_else(
            || "another process".to_owned(),
            |pid| format!("process {pid}"),
        );
        Err(Error::conflict(format!(
            "the data directory {} is in use by {who}",
            dir.display()
        )))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

pub(super) fn failed(what: &str, dir: &Path, error: &io::Error) -> Error {
    let todo = match error.kind() {
        _ if dir.exists() && !dir.is_dir() => "it is a file; name a directory with --data-dir",
        io::ErrorKind::PermissionDenied => {
            "it is not yours to write; change its owner or mode, or choose another with --data-dir"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "its file system is read-only; choose another with --data-dir"
        }
        _ if is_full(error) => "free some space, or choose another with --data-dir",
        _ => "choose another with --data-dir",
    };
    Error::unavailable(format!(
        "failed to {what} the data directory {}: {error}; {todo}",
        dir.display()
    ))
}

impl Drop for DirLock {
    /// Given back by its name: closing the file is not enough while a child between its fork and its
    /// exec holds a copy.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "failed to give the data directory back; it is free when this process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::ErrorKind;

    use super::*;

    #[test]
    fn the_second_learns_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path(), None).unwrap();
        let second = DirLock::take(dir.path(), None).unwrap_err();
        assert_eq!(second.kind, ErrorKind::Conflict);
        assert!(
            second
                .message
                .contains(&format!("process {}", std::process::id())),
            "{second}"
        );
        let copy = first.file.try_clone().unwrap();
        drop(first);
        DirLock::take(dir.path(), None).unwrap();
        drop(copy);
    }

    #[test]
    fn who_only_looks_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(LOCK);
        // The number of no process.
        fs::write(&file, format!("{}\n", u32::MAX >> 1)).unwrap();
        let looks = File::open(&file).unwrap();
        flock(&looks, FlockOperation::NonBlockingLockShared).unwrap();
        let (go, hold) = std::sync::mpsc::channel::<()>();
        let looking = std::thread::spawn(move || {
            hold.recv().unwrap();
            drop(looks);
        });
        assert!(
            flock(
                File::open(&file).unwrap(),
                FlockOperation::NonBlockingLockExclusive
            )
            .is_err()
        );
        go.send(()).unwrap();
        DirLock::take(dir.path(), None).unwrap();
        looking.join().unwrap();
    }
}
