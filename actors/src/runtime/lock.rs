//! One process owns a data directory.
//!
//! The lock is the kernel's (`flock`): it is gone with its process, however that ends. The file says
//! who has it, for the second one.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use protocol::{Error, Result};
use rustix::fs::{FlockOperation, flock};

/// Held as long as the directory is owned.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

impl DirLock {
    /// Makes the directory, where there is none, and takes it.
    ///
    /// # Errors
    /// `conflict` where another process has it; `unavailable` where the file system refuses.
    pub fn take(dir: &Path) -> Result<Self> {
        let failed = |what: &str, error: std::io::Error| {
            Error::unavailable(format!(
                "failed to {what} the data directory {}: {error}; choose another with --data-dir",
                dir.display()
            ))
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| failed("make", e))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join("lock"))
            .map_err(|e| failed("write in", e))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut who = String::new();
            file.read_to_string(&mut who)
                .map_err(|e| failed("read", e))?;
            let who = who.trim().parse::<u32>().map_or_else(
                |_| "another process".to_owned(),
                |pid| format!("process {pid}"),
            );
            return Err(Error::conflict(format!(
                "the data directory {} is in use by {who}",
                dir.display()
            )));
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|e| failed("write in", e))?;
        Ok(Self { file })
    }
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
}
