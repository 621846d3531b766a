//! Unix sockets by path: binding, connecting, and paths longer than the system's 107 bytes.
//!
//! A long path is reached through its directory's descriptor (`/proc/self/fd/N/name`), which works
//! on Linux. A socket appears at its path in one step, already private to its user, and replaces a
//! stale one only if nobody answers there.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::Error;
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
};

/// The longest path that fits into a socket address.
const MAX_PATH: usize = 107;
/// How long a client tries while the server's queue of connections is full.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// A bound socket file. Dropping it removes the file, if it is still this one.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode, to tell it from one that replaced it.
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "the socket file stays");
        }
    }
}

/// Binds a socket at `path`, mode 0600.
pub(super) async fn bind(path: &Path) -> Result<(UnixListener, SocketFile), Error> {
    let refuse = |what: String| Error::unavailable(format!("socket {}: {what}", path.display()));
    let path = std::path::absolute(path).map_err(|error| refuse(error.to_string()))?;
    let (directory, name) = split(&path).map_err(|error| refuse(error.to_string()))?;
    if path.as_os_str().len() > MAX_PATH {
        reachable(name).map_err(|error| refuse(error.to_string()))?;
    }
    match fs::symlink_metadata(&path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(Error::conflict(format!(
                "socket {}: there is a file of another kind; remove it or choose another path",
                path.display()
            )));
        }
        Ok(_) if somebody_answers(&path).await => {
            return Err(Error::conflict(format!(
                "socket {}: another server answers there",
                path.display()
            )));
        }
        _ => {}
    }
    // Bound under a name of its own, made private, then moved into place: whoever sees the path
    // can connect, and nobody else ever could.
    let fresh = format!(".s{}-{}", std::process::id(), unique());
    let listener = at(directory, OsStr::new(&fresh), |address| {
        UnixListener::bind(address)
    })
    .map_err(|error| refuse(format!("can't be bound: {error}")))?;
    let temporary = directory.join(&fresh);
    let placed = fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::symlink_metadata(&temporary))
        .and_then(|there| fs::rename(&temporary, &path).map(|()| (there.dev(), there.ino())));
    match placed {
        Ok(identity) => Ok((listener, SocketFile { path, identity })),
        Err(error) => {
            remove_quietly(&temporary);
            Err(refuse(format!("can't be put in place: {error}")))
        }
    }
}

/// The other side of a connection, watched for its leaving.
pub(super) struct Peer(io::Result<OwnedFd>);

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> Self {
        Self(rustix::io::fcntl_dupfd_cloexec(stream, 0).map_err(io::Error::from))
    }

    /// Ends when the peer has closed both directions, not when it has only sent all it had to say.
    pub(super) async fn gone(self) {
        if let Err(error) = self.watch().await {
            // The connection is still served; only its end is noticed later, at writing.
            tracing::debug!(%error, "a peer can't be watched");
            std::future::pending::<()>().await;
        }
    }

    async fn watch(self) -> io::Result<()> {
        // A registration of its own: what is cleared here does not stop the connection's writes.
        let watched = UnixStream::from_std(std::os::unix::net::UnixStream::from(self.0?))?;
        loop {
            if watched.ready(Interest::WRITABLE).await?.is_write_closed() {
                return Ok(());
            }
            let cleared = watched.try_io(Interest::WRITABLE, || {
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
            if let Err(error) = cleared
                && error.kind() != io::ErrorKind::WouldBlock
            {
                return Err(error);
            }
        }
    }
}

/// Connects to the socket at `path`, however long the path is. While the server's queue is full, it
/// is tried again for a while.
///
/// # Errors
/// What the system says; `NotFound` and `ConnectionRefused` mean that no server is there.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let deadline = tokio::time::Instant::now() + BUSY_LIMIT;
    let mut pause = Duration::from_millis(1);
    loop {
        match connect_once(path).await {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            other => return other,
        }
    }
}

async fn connect_once(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= MAX_PATH {
        return UnixStream::connect(path).await;
    }
    let path = std::path::absolute(path)?;
    let (directory, name) = split(&path)?;
    let through = Through::open(directory, name)?;
    UnixStream::connect(through.address()).await
}

async fn somebody_answers(path: &Path) -> bool {
    match connect_once(path).await {
        Ok(_) => true,
        // A full queue is somebody's.
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Runs `with` on an address of `name` in `directory` that is short enough.
fn at<T>(
    directory: &Path,
    name: &OsStr,
    with: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let plain = directory.join(name);
    if plain.as_os_str().len() <= MAX_PATH {
        return with(&plain);
    }
    let through = Through::open(directory, name)?;
    with(through.address())
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok((directory, name)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path names no file",
        )),
    }
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    format!("{nanos:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn remove_quietly(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "could not be removed");
    }
}

/// Whether a client can reach a socket of this name through its directory.
fn reachable(name: &OsStr) -> io::Result<()> {
    const ROOM: usize = MAX_PATH - "/proc/self/fd/1048576/".len();
    if name.len() <= ROOM {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "the file's name has {} bytes, at most {ROOM} can be reached",
            name.len()
        ),
    ))
}

/// A directory, held open so that what is in it has a short address.
#[cfg(target_os = "linux")]
struct Through {
    _directory: rustix::fd::OwnedFd,
    address: PathBuf,
}

#[cfg(target_os = "linux")]
impl Through {
    fn open(directory: &Path, name: &OsStr) -> io::Result<Self> {
        use rustix::{
            fd::AsRawFd,
            fs::{Mode, OFlags},
        };
        reachable(name)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty())?;
        let address = Path::new("/proc/self/fd")
            .join(opened.as_raw_fd().to_string())
            .join(name);
        Ok(Self {
            _directory: opened,
            address,
        })
    }

    fn address(&self) -> &Path {
        &self.address
    }
}

#[cfg(not(target_os = "linux"))]
struct Through;

#[cfg(not(target_os = "linux"))]
impl Through {
    fn open(directory: &Path, name: &OsStr) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the path {} is longer than the {MAX_PATH} bytes that this system allows for a socket",
                directory.join(name).display()
            ),
        ))
    }

    fn address(&self) -> &Path {
        Path::new("")
    }
}
