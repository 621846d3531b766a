//! Opening the Unix socket, however long its path is.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use tokio::net::UnixStream;

/// What fits in the system's address of a Unix socket, without the closing NUL.
const MAX_SOCKET_PATH: usize = 107;

/// Connects to the socket at `path`. A path over the system's limit is reached by way of its
/// directory's descriptor.
///
/// # Errors
/// What the system says; see [`nobody_there`].
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (short, _directory) = reachable(path)?;
    UnixStream::connect(short).await
}

/// Whether this error of [`connect`] says that no server listens there.
#[must_use]
pub fn nobody_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

/// A path to the same socket that fits, and what must stay open while it is used.
fn reachable(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((path.to_owned(), None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok((path.to_owned(), None));
    };
    let directory = rustix::fs::open(
        parent,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((short, Some(directory)))
}
