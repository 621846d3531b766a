//! Removing a directory that plays could write to, whatever they made in it.
//!
//! A flow can nest directories tens of thousands deep, deeper than any path is long. So nothing here
//! recurses and no path grows: what is nested is moved up into the directory that is removed, one
//! level at a time, then emptied there. A few descriptors and a constant stack, at any depth. Must
//! never follow a link, nor empty a file system that is mounted in it.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, fstat, openat, renameat, statat,
        unlinkat,
    },
    io::Errno,
};

use super::sys;

/// Removes what is at `path` with everything in it; that there is nothing is no error. What can be
/// removed is, also where something can't.
///
/// # Errors
/// Why the first of what is left could not be removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let dir = match open(CWD, &name) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return gone(unlinkat(CWD, &name, AtFlags::empty())),
        Err(error) => return Err(error.into()),
    };
    let left = empty(&dir)?;
    let removed = gone(unlinkat(CWD, &name, AtFlags::REMOVEDIR));
    left.map_or(removed, |error| Err(error.into()))
}

/// Why something in it is left, if something is.
fn empty(root: &OwnedFd) -> Result<Option<Errno>, Errno> {
    let device = fstat(root)?.st_dev;
    let mut entries = Dir::read_from(root)?;
    loop {
        let (mut progress, mut left) = (false, None);
        while let Some(entry) = entries.read() {
            let entry = entry?;
            if is_self_or_parent(entry.file_name()) {
                continue;
            }
            match remove_entry(root.as_fd(), &entry, root.as_fd(), device) {
                Ok(()) => progress = true,
                Err(failed) => {
                    progress |= failed.progress;
                    left = left.or(Some(failed.error));
                }
            }
        }
        // What was moved up may have been read in this pass or not.
        if !progress {
            return Ok(left);
        }
        entries.rewind();
    }
}

struct Failed {
    error: Errno,
    /// Whether something was removed or moved up nevertheless.
    progress: bool,
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Self {
        Self {
            error,
            progress: false,
        }
    }
}

/// Removes a file, or a directory whose own directories are moved into `root` first.
fn remove_entry(
    parent: BorrowedFd<'_>,
    entry: &rustix::fs::DirEntry,
    root: BorrowedFd<'_>,
    device: u64,
) -> Result<(), Failed> {
    let name = entry.file_name();
    if !is_dir(parent, entry)? {
        return Ok(unlink(parent, name)?);
    }
    let dir = open(parent, name)?;
    if fstat(&dir)?.st_dev != device {
        return Err(Errno::BUSY.into());
    }
    let mut failed: Option<Failed> = None;
    let mut progress = false;
    for inner in Dir::read_from(&dir)? {
        let inner = inner?;
        if is_self_or_parent(inner.file_name()) {
            continue;
        }
        let done = match is_dir(dir.as_fd(), &inner) {
            Ok(true) => move_up(dir.as_fd(), inner.file_name(), root),
            Ok(false) => unlink(dir.as_fd(), inner.file_name()),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => progress = true,
            Err(error) => failed = failed.or(Some(error.into())),
        }
    }
    let removed = unlinkat(parent, name, AtFlags::REMOVEDIR);
    match failed.or(removed.err().map(Failed::from)) {
        None => Ok(()),
        Some(failed) => Err(Failed { progress, ..failed }),
    }
}

/// Under a name that nothing else has.
fn move_up(from: BorrowedFd<'_>, name: &CStr, root: BorrowedFd<'_>) -> Result<(), Errno> {
    let fresh = uuid::Uuid::now_v7().simple().to_string();
    match renameat(from, name, root, fresh.as_str()) {
        // Whoever moves a directory must be allowed to write in it.
        Err(Errno::ACCESS) => {
            sys::open_up(from, name)?;
            renameat(from, name, root, fresh.as_str())
        }
        other => other,
    }
}

/// That it is gone already is what was wanted.
fn unlink(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn gone(removed: Result<(), Errno>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory so that it can be emptied, also where the flow took the right from it.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            sys::open_up(parent, name)?;
            openat(parent, name, flags, Mode::empty())
        }
        other => other,
    }?;
    if fstat(&opened)?.st_mode & 0o700 != 0o700 {
        // Where it is not ours, the removal says what that means.
        if let Err(error) = fchmod(&opened, Mode::RWXU) {
            tracing::debug!(%error, "a directory stays closed");
        }
    }
    Ok(opened)
}

fn is_dir(parent: BorrowedFd<'_>, entry: &rustix::fs::DirEntry) -> Result<bool, Errno> {
    Ok(match entry.file_type() {
        // Not every file system tells.
        FileType::Unknown => {
            let about = statat(parent, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            FileType::from_raw_mode(about.st_mode).is_dir()
        }
        known => known.is_dir(),
    })
}

fn is_self_or_parent(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// Makes directories in each other, far deeper than a path can tell.
    fn dig(dir: &Path, depth: u32) {
        let mut at: OwnedFd = fs::File::open(dir).unwrap().into();
        for _ in 0..depth {
            rustix::fs::mkdirat(&at, "a", Mode::RWXU).unwrap();
            drop(openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap());
            at = openat(&at, "a", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
    }

    /// On a stack as small as can be.
    fn removed(path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        thread
            .spawn(move || remove_tree(&path))
            .unwrap()
            .join()
            .unwrap()
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        dig(&tree, 25_000);
        removed(&tree).unwrap();
        assert!(!tree.exists());
        removed(&tree).unwrap();
    }

    #[test]
    fn a_wide_tree_goes() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        for n in 0..300 {
            fs::create_dir_all(tree.join(format!("{n}/b/c/d"))).unwrap();
            fs::write(tree.join(format!("{n}/b/file")), "x").unwrap();
        }
        removed(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        fs::create_dir_all(kept.join("inner")).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a")).unwrap();
        for link in [
            tree.join("link"),
            tree.join("a/link"),
            dir.path().join("at"),
        ] {
            std::os::unix::fs::symlink(&kept, link).unwrap();
        }
        removed(&tree).unwrap();
        removed(&dir.path().join("at")).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(kept.join("inner").is_dir() && kept.join("file").is_file());
        // A file in the place of a directory.
        removed(&kept.join("file")).unwrap();
        assert!(!kept.join("file").exists());
    }

    #[test]
    fn a_directory_that_its_flow_closed_goes_too() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("work/deep/deeper")).unwrap();
        fs::write(tree.join("work/deep/file"), "12345").unwrap();
        for closed in ["work/deep/deeper", "work/deep", "work", ""] {
            fs::set_permissions(tree.join(closed), fs::Permissions::from_mode(0o0)).unwrap();
        }
        removed(&tree).unwrap();
        assert!(!tree.exists());
    }
}
