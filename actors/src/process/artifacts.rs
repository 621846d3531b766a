//! What a flow left in its working directory.
//!
//! A flow can put anything there: links to files that are none of its, pipes that nobody writes to, names
//! that climb out. So a path is walked one directory at a time, no link is ever followed, and only
//! regular files are told and opened.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use protocol::{EpochMs, reading::Artifact};
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, statat},
    io::Errno,
};

/// How deep directories are looked into.
const DEPTH: usize = 64;
/// How many entries are looked at.
const LOOKED_AT: usize = 100_000;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The regular files under `dir`, in the order of their paths within each directory, at most so many. What
/// can't be read, or has a name that is no text, is left out; that there is no directory is no error.
///
/// # Errors
/// The directory itself can't be read.
pub fn list(dir: &Path, most: usize) -> io::Result<Vec<Artifact>> {
    let top = match open_path(dir) {
        Ok(top) => top,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut listing = Listing {
        found: Vec::new(),
        most,
        left: LOOKED_AT,
    };
    listing.add(&top, "", 0)?;
    Ok(listing.found)
}

struct Listing {
    found: Vec<Artifact>,
    most: usize,
    left: usize,
}

impl Listing {
    fn add(&mut self, dir: &OwnedFd, path: &str, depth: usize) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else {
                break;
            };
            self.left = left;
            if name.to_str().is_ok() {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        for name in names {
            if self.found.len() >= self.most {
                break;
            }
            let Ok(about) = statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue; // it went meanwhile
            };
            let path = match path {
                "" => name.to_string_lossy().into_owned(),
                above => format!("{above}/{}", name.to_string_lossy()),
            };
            match FileType::from_raw_mode(about.st_mode) {
                FileType::RegularFile => self.found.push(Artifact {
                    path,
                    bytes: about.st_size.cast_unsigned(),
                    modified_ms: modified(&about),
                }),
                FileType::Directory if depth < DEPTH => {
                    // One that may not be looked into, or went meanwhile, says so by having nothing.
                    if let Ok(below) = openat(dir, &name, DIRECTORY, Mode::empty()) {
                        self.add(&below, &path, depth + 1)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this age are exact"
)]
fn modified(about: &rustix::fs::Stat) -> EpochMs {
    EpochMs(about.st_mtime as f64 * 1_000.0 + (about.st_mtime_nsec / 1_000_000) as f64)
}

/// Opens a regular file under `dir` by its path there; with its size.
///
/// # Errors
/// `NotFound` where there is no such file, or what has this name is no regular file, or the path leads
/// through a link or upward; whatever else keeps it from being read.
pub fn open(dir: &Path, path: &str) -> io::Result<(File, u64)> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let mut at = open_path(dir).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => absent(),
        other => other.into(),
    })?;
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        if matches!(name, "" | "." | "..") {
            return Err(absent());
        }
        let name = CString::new(name).map_err(|_| absent())?;
        let is_last = names.peek().is_none();
        // A pipe that nobody writes to would be waited for without the last one.
        let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let flags = if is_last { file } else { DIRECTORY };
        at = openat(at.as_fd(), &name, flags, Mode::empty()).map_err(|error| match error {
            // The last is what opening a socket comes to.
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO => {
                absent()
            }
            other => other.into(),
        })?;
    }
    let about = fstat(&at)?;
    if !FileType::from_raw_mode(about.st_mode).is_file() {
        return Err(absent());
    }
    Ok((File::from(at), about.st_size.cast_unsigned()))
}

fn open_path(dir: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, dir.as_os_str().as_bytes(), DIRECTORY, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use super::*;

    fn text(dir: &Path, path: &str) -> io::Result<String> {
        let (mut file, bytes) = open(dir, path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        assert_eq!(bytes, text.len() as u64);
        Ok(text)
    }

    #[test]
    fn only_regular_files_below_are_told_and_opened() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("work");
        fs::create_dir_all(dir.join("b/c")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::write(dir.join("a.txt"), "a").unwrap();
        fs::write(dir.join("b/c/d é"), "deep").unwrap();
        symlink("../secret", dir.join("out")).unwrap();
        symlink("..", dir.join("up")).unwrap();
        symlink("a.txt", dir.join("in")).unwrap();
        symlink(&dir, home.path().join("link")).unwrap();
        let pipe = dir.join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let listed = list(&dir, 9).unwrap();
        let listed: Vec<_> = listed.iter().map(|a| (a.path.as_str(), a.bytes)).collect();
        assert_eq!(listed, [("a.txt", 1), ("b/c/d é", 4)]);
        assert_eq!(list(&dir, 1).unwrap().len(), 1);
        assert_eq!(text(&dir, "a.txt").unwrap(), "a");
        assert_eq!(text(&dir, "b/c/d é").unwrap(), "deep");
        for path in [
            "",
            ".",
            "..",
            "../secret",
            "b/../../secret",
            "b/../a.txt",
            "/etc/passwd",
            "b//c",
            "b",
            "b/",
            "out",
            "up/secret",
            "in",
            "pipe",
            "a.txt/",
            "a.txt/x",
            "no",
            "a\0",
        ] {
            let refused = text(&dir, path).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotFound, "{path:?}");
        }
        for elsewhere in ["no", "link", "secret"] {
            let elsewhere = home.path().join(elsewhere);
            assert!(list(&elsewhere, 9).unwrap().is_empty());
            let refused = text(&elsewhere, "a.txt").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::NotFound, "{elsewhere:?}");
        }
    }
}
