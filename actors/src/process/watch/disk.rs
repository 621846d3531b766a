//! How much directories hold.
//!
//! One play must not hold up the watch of the others: a count is done in pieces, one a look, and given
//! up as soon as it is beyond the limit. It keeps no list of what it finds, only where it stands.

use std::{
    collections::VecDeque,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What an entry costs beside its blocks, bytes: inodes are a resource too.
const ENTRY: u64 = 512;
/// How many directories, one in the other, are held open.
const OPEN: usize = 32;
/// How many deeper ones are remembered for later. What is in still more is not counted; they
/// themselves are.
const LATER: usize = 4_096;

/// How much one look may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Of directories.
    pub(super) entries: u32,
    pub(super) time: Duration,
}

impl Piece {
    /// Ten plays that fill their pieces take half a second of the two that a look may be late.
    pub(super) const USUAL: Self = Self {
        entries: 20_000,
        time: Duration::from_millis(50),
    };
}

/// A count of all that some directories hold, bytes of blocks, links not followed. What can't be read
/// counts as nothing; what was removed and is still held open is not seen. What moves while a count
/// that takes several looks is under way can be counted twice, or not at all.
#[derive(Debug, Default)]
pub(super) struct Count {
    held: u64,
    open: Vec<fs::ReadDir>,
    later: VecDeque<PathBuf>,
    under_way: bool,
    /// What the last complete one came to.
    last: u64,
}

/// Where a look has left the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// That much in all.
    All(u64),
    /// More than the limit: given up at that.
    Beyond(u64),
    /// As much as is known: it goes on at the next look.
    AtLeast(u64),
}

impl Count {
    /// Goes on with the count, or begins another.
    pub(super) fn look(&mut self, dirs: &[PathBuf], limit: u64, piece: Piece) -> Held {
        if !self.under_way {
            *self = Self {
                later: dirs.iter().cloned().collect(),
                under_way: true,
                last: self.last,
                ..Self::default()
            };
        }
        let until = Instant::now() + piece.time;
        for _ in 0..piece.entries {
            if !self.step() {
                self.under_way = false;
                self.last = self.held;
                return Held::All(self.held);
            }
            if self.held > limit {
                let beyond = self.held;
                *self = Self::default();
                return Held::Beyond(beyond);
            }
            if Instant::now() >= until {
                break;
            }
        }
        Held::AtLeast(self.held.max(self.last))
    }

    /// One entry; whether there may be more.
    fn step(&mut self) -> bool {
        let Some(innermost) = self.open.last_mut() else {
            let Some(dir) = self.later.pop_front() else {
                return false;
            };
            // An error says that it is gone again, or that the flow closed it to us.
            self.open.extend(fs::read_dir(dir));
            return true;
        };
        let Some(entry) = innermost.next() else {
            self.open.pop();
            return true;
        };
        let Some((entry, about)) = entry.ok().and_then(|entry| {
            let about = entry.metadata().ok()?;
            Some((entry, about))
        }) else {
            return true;
        };
        self.held += about.blocks() * 512 + ENTRY;
        if about.is_dir() {
            if self.open.len() < OPEN {
                self.open.extend(fs::read_dir(entry.path()));
            } else if self.later.len() < LATER {
                self.later.push_back(entry.path());
            }
        }
        true
    }
}

/// Everything below `dir`, bytes, counted in one go.
pub(crate) fn held(dir: &Path) -> u64 {
    let mut count = Count::default();
    let whole = Piece {
        entries: u32::MAX,
        time: Duration::from_secs(3_600),
    };
    loop {
        match count.look(&[dir.to_owned()], u64::MAX, whole) {
            Held::All(bytes) | Held::Beyond(bytes) => return bytes,
            Held::AtLeast(_) => {}
        }
    }
}

/// Bytes that this user can still write where `dir` is; `None` where the system doesn't say.
pub(super) fn free(dir: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(dir).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No matter how slow the machine is, the entries decide.
    const fn piece(entries: u32) -> Piece {
        Piece {
            entries,
            time: Duration::from_secs(3_600),
        }
    }

    fn held(dir: &Path) -> u64 {
        let look = Count::default().look(&[dir.to_owned()], u64::MAX, piece(u32::MAX));
        let Held::All(held) = look else {
            panic!("{look:?}")
        };
        held
    }

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

    #[test]
    fn a_count_in_pieces_comes_to_the_same_as_one_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..40 {
            let inner = dir.path().join(format!("{}/{n}", n % 3));
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join("file"), vec![7; 5_000]).unwrap();
        }
        let dirs = [dir.path().to_owned()];
        let mut count = Count::default();
        let mut looks = 0;
        let all = loop {
            looks += 1;
            match count.look(&dirs, u64::MAX, piece(7)) {
                Held::All(all) => break all,
                Held::AtLeast(_) => {}
                beyond @ Held::Beyond(_) => panic!("{beyond:?}"),
            }
        };
        assert!(looks > 10, "{looks}");
        assert_eq!(all, held(dir.path()));
        // The next one begins anew, and what was known holds until it is done.
        assert_eq!(count.look(&dirs, u64::MAX, piece(1)), Held::AtLeast(all));
    }

    #[test]
    fn a_count_is_given_up_beyond_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..1_000 {
            fs::write(dir.path().join(n.to_string()), "").unwrap();
        }
        let dirs = [dir.path().to_owned()];
        let look = Count::default().look(&dirs, 10 * ENTRY, piece(u32::MAX));
        assert_eq!(look, Held::Beyond(11 * ENTRY));
    }

    /// Deeper than directories are held open, and than `remove_dir_all` would like.
    #[test]
    fn what_lies_deep_is_counted_too() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d/".repeat(3 * OPEN));
        fs::create_dir_all(&deep).unwrap();
        let before = held(dir.path());
        fs::write(deep.join("file"), vec![7; 1 << 20]).unwrap();
        let more = held(dir.path()) - before;
        assert!(more >= 1 << 20, "{more}");
        let mut count = Count::default();
        let dirs = [dir.path().to_owned()];
        while let Held::AtLeast(_) = count.look(&dirs, u64::MAX, piece(1)) {
            assert!(count.open.len() <= OPEN && count.later.len() <= LATER);
        }
    }
}
