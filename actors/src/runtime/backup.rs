//! `backup` and `restore`: the store of a data directory as one file, and back.
//!
//! A backup reads the file beside whoever has it; a restore needs the directory for itself. Artifacts
//! (`plays/`) are plain files and not part of it.

use std::path::{Path, PathBuf};

use protocol::{Error, ErrorKind, Result};

use super::lock::DirLock;
pub use crate::store::sqlite::backup::{Copied, Progress};
use crate::store::sqlite::{FILE, backup};

/// Copies the store into a file, also while a server runs on the directory.
///
/// # Errors
/// `not_found` where there is no store, `conflict` where the file exists (without `force`),
/// `unavailable` where the file can't be written; `internal` where the store is damaged.
pub fn to_file(dir: &Path, to: &Path, force: bool, progress: Progress<'_>) -> Result<Copied> {
    let store = dir.join(FILE);
    if !store.exists() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no store in {}: nothing to back up", dir.display()),
        ));
    }
    // Where nobody has the directory, nobody is let in meanwhile. Where it can't be taken (it may be
    // read-only), reading is all that is needed.
    let lock = DirLock::take(dir);
    let idle = !matches!(&lock, Err(error) if error.kind == ErrorKind::Conflict);
    Ok(backup::backup(dir, to, force, idle, progress)?)
}

/// Puts a file that [`to_file`] made in the place of the directory's store; the old store is kept,
/// under the name that is returned.
///
/// # Errors
/// `conflict` where the directory is in use, or has a store (without `force`); `not_found`,
/// `internal` where the file is missing or no sound store of a version that is known; `unavailable`
/// where the directory can't be written. The directory is as it was then.
pub fn from_file(
    dir: &Path,
    from: &Path,
    force: bool,
    progress: Progress<'_>,
) -> Result<(Copied, Option<PathBuf>)> {
    let _lock = DirLock::take(dir)?;
    Ok(backup::restore(dir, from, force, progress)?)
}
