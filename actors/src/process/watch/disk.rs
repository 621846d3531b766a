//! How much a directory holds.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// What an entry costs beside its blocks, bytes: inodes are a resource too.
const ENTRY: u64 = 512;

/// Everything below `dir`, bytes of blocks, links not followed; 0 where it can't be read. What was
/// removed and is still held open is not seen, nor what is deeper than a path can tell.
pub(crate) fn held(dir: &Path) -> u64 {
    let mut held = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        // An error says that it is gone again, or that the flow closed it to us.
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            held += about.blocks() * 512 + ENTRY;
            if about.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    held
}

/// Bytes that this user can still write where `dir` is; `None` where the system doesn't say.
pub(super) fn free(dir: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(dir).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_once_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(held(dir.path()), 0);
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![7; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("root")).unwrap();
        let all = held(dir.path());
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&all), "{all}");
        assert_eq!(held(&dir.path().join("none")), 0);
        assert!(free(dir.path()).unwrap() > 0);
    }
}
