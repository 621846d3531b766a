//! Where the span sockets of a server's plays are bound.
//!
//! A private directory with a short path: socket paths are limited to 107 bytes, and a data directory
//! may be deep. A link to it in the data directory tells the next server what to remove, should this
//! one crash; a link in it says whose it is. Must never remove a directory that another data directory
//! has: a copied data directory has the link of the original.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::{ingest::socket::SpanSocket, process::remove_tree};

const PREFIX: &str = "hero_logic-";
/// A link to nowhere that names the data directory: unlike a file's text, it needs no room on a disk.
const OWNER: &str = "owner";

/// The directory, and whose it is.
#[derive(Clone, Debug)]
pub struct Sockets {
    path: PathBuf,
    /// Device and inode of the data directory: a path says another thing tomorrow.
    owner: String,
}

/// Removes the directory when it is dropped.
#[derive(Debug)]
pub struct Held(Sockets);

impl Sockets {
    /// Makes the directory of this data directory's server, and removes what an earlier one left. The
    /// caller must have the data directory's lock.
    ///
    /// # Errors
    /// What the system says.
    pub fn make(data_dir: &Path) -> io::Result<(Self, Held)> {
        let about = fs::metadata(data_dir)?;
        let owner = format!("{}-{}", about.dev(), about.ino());
        let link = data_dir.join("sockets");
        match fs::read_link(&link) {
            Ok(earlier) => {
                if is_of(&earlier, &owner)
                    && let Err(error) = remove_tree(&earlier)
                {
                    tracing::warn!(dir = %earlier.display(), %error, "failed to remove an earlier server's sockets");
                }
                fs::remove_file(&link)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let named = |dir: &Path| tempfile::Builder::new().prefix(PREFIX).tempdir_in(dir);
        let temp = std::env::temp_dir();
        let made = if temp.as_os_str().len() <= 40 {
            named(&temp).or_else(|_| named(Path::new("/tmp")))?
        } else {
            named(Path::new("/tmp"))?
        };
        let sockets = Self {
            path: made.keep(),
            owner,
        };
        if let Err(error) = sockets.ready() {
            // Without its mark it is nobody's, and would stay.
            fs::remove_dir(&sockets.path)?;
            return Err(error);
        }
        let held = Held(sockets.clone());
        std::os::unix::fs::symlink(&sockets.path, link)?;
        Ok((sockets, held))
    }

    /// Where the socket of this name is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Binds one. Where the directory is gone (who cleans up `/tmp` may take it), it is made again.
    ///
    /// # Errors
    /// What the system says; `PermissionDenied` where somebody else has made one in its place.
    pub fn bind(&self, name: &str) -> io::Result<SpanSocket> {
        self.ready()?;
        SpanSocket::bind(&self.path(name))
    }

    /// Sees to it that the directory is there, that it is ours, and that it says so.
    fn ready(&self) -> io::Result<()> {
        let made = fs::DirBuilder::new().mode(0o700).create(&self.path);
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let about = fs::symlink_metadata(&self.path)?;
                if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() {
                    return Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        "what is in the place of the directory is not this server's",
                    ));
                }
            }
            other => other?,
        }
        let owner = self.path.join(OWNER);
        match fs::symlink_metadata(&owner) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::os::unix::fs::symlink(&self.owner, owner)
            }
            other => other.map(drop),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Sockets { path, owner } = &self.0;
        if is_of(path, owner)
            && let Err(error) = remove_tree(path)
        {
            tracing::warn!(dir = %path.display(), %error, "failed to remove the directory of the span sockets");
        }
    }
}

/// Whether this is a directory of sockets, and this data directory's.
fn is_of(dir: &Path, owner: &str) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(PREFIX)
        && fs::symlink_metadata(dir).is_ok_and(|about| about.is_dir())
        && fs::read_link(dir.join(OWNER)).is_ok_and(|named| named == Path::new(owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_of_the_data_directory_leaves_the_sockets_of_the_original() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (sockets, held) = Sockets::make(first.path()).unwrap();
        let link = fs::read_link(first.path().join("sockets")).unwrap();
        std::os::unix::fs::symlink(&link, second.path().join("sockets")).unwrap();
        let (other, others) = Sockets::make(second.path()).unwrap();
        assert_ne!(sockets.path, other.path);
        drop(sockets.bind("one").unwrap());
        drop(others);
        assert!(!other.path.exists() && sockets.path.exists());
        // As after a crash.
        std::mem::forget(held);
        let (_next, _held) = Sockets::make(first.path()).unwrap();
        assert!(!sockets.path.exists());
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (sockets, held) = Sockets::make(dir.path()).unwrap();
        fs::remove_dir_all(&sockets.path).unwrap();
        drop(sockets.bind("one").unwrap());
        drop(held);
        assert!(!sockets.path.exists());
        // Something else in its place is not taken.
        fs::write(&sockets.path, "").unwrap();
        let refused = sockets.bind("two").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        fs::remove_file(&sockets.path).unwrap();
    }
}
