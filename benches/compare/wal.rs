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

#[derive(Debug)]
pub(crate) struct Watcher {
    seen: Arc<Mutex<Vec<Instant>>>,
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Watches the database of a server.
    pub(crate) fn start(data_dir: &Path) -> Done<Self> {
        let file = File::open(data_dir.join("hero_logic.db-shm"))?;
        let seen = Arc::new(Mutex::new(Vec::new()));
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

    /// The last commit before this moment, and forgets all that were seen.
    pub(crate) fn last_before(&self, moment: Instant) -> Option<Instant> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.iter().rev().find(|at| **at <= moment).copied();
        seen.clear();
        last
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

fn watch(file: &File, into: &Mutex<Vec<Instant>>, until: &AtomicBool) {
    #[cfg(target_os = "linux")]
    // Without it a pause of 4 µs is one of 55 µs.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).ok();
    let mut last = 0;
    while !until.load(Ordering::Relaxed) {
        let mut count = [0; 4];
        if file.read_exact_at(&mut count, CHANGES).is_ok() {
            let count = u32::from_ne_bytes(count);
            if count != last {
                last = count;
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Instant::now());
            }
        }
        std::thread::sleep(PAUSE);
    }
}
