//! One process owns a data directory.
//!
//! The lock is the kernel's (`flock`): it is gone with its process, however that ends. The file says
//! who has it, for the second one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
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

/// So long is the file's text at least: then it can be written anew on a full disk, too.
const WIDTH: usize = 127;

/// Held as long as the directory is owned.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    /// Device and inode: a copy of the directory is another one.
    identity: String,
    left: Left,
}

/// What the file says of servers before this owner that were not followed by one that had tidied up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Which directory they had.
    identity: Option<String>,
    /// What their plays are marked with.
    marks: Vec<Mark>,
}

impl Left {
    /// The owner's pid, the directory's identity, the marks.
    fn read(text: &str) -> Self {
        let mut words = text.split_ascii_whitespace().skip(1);
        let identity = words.next().filter(|word| *word != "-").map(str::to_owned);
        let marks = words.next().unwrap_or_default().split(',');
        Self {
            identity,
            marks: marks.filter_map(Mark::parse).collect(),
        }
    }

    fn line(&self) -> String {
        let marks: Vec<String> = self.marks.iter().map(Mark::to_string).collect();
        let line = format!(
            "{} {} {}",
            std::process::id(),
            self.identity.as_deref().unwrap_or("-"),
            marks.join(",")
        );
        format!("{line:<WIDTH$}\n")
    }
}

impl DirLock {
    /// Makes the directory, where there is none, and takes it.
    ///
    /// # Errors
    /// `conflict` where another process has it; `unavailable` where the file system refuses.
    pub fn take(dir: &Path) -> Result<Self> {
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
        match read.and_then(|()| lock.file.read_to_string(&mut before)) {
            Ok(_) => lock.left = Left::read(&before),
            Err(error) => tracing::warn!(%error, "the lock's file can't be read"),
        }
        lock.write();
        Ok(lock)
    }

    /// What servers before this owner have left that is to be ended. `None`: they had another directory,
    /// of which this one is a copy, or nobody knows; then it may be somebody else's.
    #[must_use]
    pub fn left(&self) -> Option<&[Mark]> {
        let own = self.left.identity.as_ref() == Some(&self.identity);
        own.then_some(&self.left.marks)
    }

    /// All that was left has been ended; from now on there is what is marked with `mark`.
    pub fn settle(&mut self, mark: Option<Mark>) {
        self.left = Left {
            identity: Some(self.identity.clone()),
            marks: mark.into_iter().collect(),
        };
        self.write();
    }

    fn write(&self) {
        use std::os::unix::fs::FileExt;
        let line = self.left.line();
        let written = self.file.write_all_at(line.as_bytes(), 0);
        if let Err(error) = written.and_then(|()| self.file.set_len(line.len() as u64)) {
            tracing::warn!(%error, "the lock's file can't say who has the data directory");
        }
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
                let about = fs::metadata(dir).map_err(|error| failed("read", dir, &error))?;
                return Ok(Self {
                    file,
                    identity: format!("{}-{}", about.dev(), about.ino()),
                    left: Left::default(),
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
        let first = DirLock::take(dir.path()).unwrap();
        let second = DirLock::take(dir.path()).unwrap_err();
        assert_eq!(second.kind, ErrorKind::Conflict);
        assert!(
            second
                .message
                .contains(&format!("process {}", std::process::id())),
            "{second}"
        );
        let copy = first.file.try_clone().unwrap();
        drop(first);
        DirLock::take(dir.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn what_was_left_is_said_until_it_is_settled_and_not_of_a_copy() {
        let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let marks = ["7", "8"].map(|mark| Mark::parse(mark).unwrap());
        let mut lock = DirLock::take(dir.path()).unwrap();
        assert_eq!(lock.left(), None);
        lock.settle(Some(marks[0]));
        drop(lock);
        // Two that died before they had settled.
        for _ in 0..2 {
            let lock = DirLock::take(dir.path()).unwrap();
            assert_eq!(lock.left(), Some(&marks[..1]));
        }
        fs::copy(dir.path().join(LOCK), copy.path().join(LOCK)).unwrap();
        assert_eq!(DirLock::take(copy.path()).unwrap().left(), None);
        let mut lock = DirLock::take(dir.path()).unwrap();
        lock.settle(Some(marks[1]));
        drop(lock);
        let lock = DirLock::take(dir.path()).unwrap();
        assert_eq!(lock.left(), Some(&marks[1..]));
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
        DirLock::take(dir.path()).unwrap();
        looking.join().unwrap();
    }
}
