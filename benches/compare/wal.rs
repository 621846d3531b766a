//! When SQLite committed, seen from outside: the index of its write-ahead log counts transactions, and is
//! written right after the log was synced. A thread looks at it every few microseconds.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::Done;

/// Where in the index (`WalIndexHdr`, its first copy) the count of transactions stands.
const CHANGES: u64 = 8;
const PAUSE: Duration = Duration::from_micros(4);
/// A commit between two looks that lie further apart is no figure: the watcher had no core meanwhile.
const PRECISE: Duration = Duration::from_micros(50);
/// How long the watcher may be without a core before a figure is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A commit that happened between these two looks.
#[derive(Clone, Copy, Debug)]
struct Commit {
    after: Instant,
    until: Instant,
}

#[derive(Debug)]
struct Seen {
    commits: Vec<Commit>,
    last_look: Instant,
}

#[derive(Debug)]
pub(crate) struct Watcher {
    seen: Arc<Mutex<Seen>>,
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Watches the database of a server.
    pub(crate) fn start(data_dir: &Path) -> Done<Self> {
        let file = File::open(data_dir.join("hero_logic.db-shm"))?;
        let seen = Arc::new(Mutex::new(Seen {
            commits: Vec::new(),
            last_look: Instant::now(),
        }));
        let enough = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&seen), Arc::clone(&enough));
        let thread = std::thread::Builder::new().name("wal".to_owned());
        let thread = thread.spawn(move || watch(&file, &into, &until))?;
        Ok(Self {
            seen,
            enough,
            thread: Some(thread),
        })
    }

    /// The last commit before this moment, where it is known well enough; forgets all that were seen.
    pub(crate) fn last_before(&self, moment: Instant) -> Option<Instant> {
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            // Only with a look after that moment it is known that nothing more was committed before it.
            if seen.last_look > moment {
                let last = seen.commits.iter().rev().find(|one| one.after <= moment);
                let last = last.copied();
                seen.commits.clear();
                return last
                    .filter(|one| one.until <= moment && one.until - one.after <= PRECISE)
                    .map(|one| one.until);
            }
            drop(seen);
            std::thread::sleep(PAUSE);
        }
        None
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn watch(file: &File, into: &Mutex<Seen>, until: &AtomicBool) {
    #[cfg(target_os = "linux")]
    // Without it a pause of 4 µs is one of 55 µs.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
    let mut last = 0;
    while !until.load(Ordering::Relaxed) {
        let mut count = [0; 4];
        let read = file.read_exact_at(&mut count, CHANGES).is_ok();
        let count = u32::from_ne_bytes(count);
        let now = Instant::now();
        let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
        if read && count != last {
            last = count;
            let after = seen.last_look;
            seen.commits.push(Commit { after, until: now });
        }
        seen.last_look = now;
        drop(seen);
        std::thread::sleep(PAUSE);
    }
}
