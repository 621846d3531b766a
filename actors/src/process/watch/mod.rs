//! Watches what live plays use up, and says when one goes beyond a limit.
//!
//! Two threads for all plays of a runtime: one walks their process trees (the root of a play is a child
//! subreaper, so everything that it started is below it), one their directories. The cost regulates
//! itself: a play is looked at every 50 ms, but all of them together may take 2 % of a core, each its
//! equal share; only one that comes near a limit is looked at more often. A play that ends before its
//! first look costs nothing but its entry in a map. A look that panics is logged, and the others go on.
//! Nothing here stops a process: who holds the [`Watching`] hears of the hit and gives the order.

mod disk;
mod memory;
mod patrol;
mod tally;

pub(crate) use disk::held;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use protocol::{LimitHit, LimitName, Limits, ProcessId, ProcessShare};
use tokio::sync::watch;

use self::{memory::Memory, patrol::Pace, tally::Tally};
use super::sys::{self, Sample};

/// The built-in limit of the disk is never below this, bytes.
const LEAST_DISK: u64 = 64 << 20;
/// How many processes a hit names.
const LARGEST: usize = 5;
/// The figure of a limit that a play has to come near to be looked at more often.
const NEAR: u64 = 2;

/// The watch of one runtime. Its threads end when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Owner>);

#[derive(Debug)]
struct Owner(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    plays: Mutex<Plays>,
    /// Told when the first play comes, and at the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Plays {
    entries: HashMap<u64, Arc<Entry>>,
    next: u64,
    closing: bool,
}

/// A play that is watched.
#[derive(Debug)]
struct Entry {
    root: ProcessId,
    limits: Limits,
    /// What counts for the limit of the disk.
    dirs: Vec<PathBuf>,
    since: Instant,
    progress: Mutex<Progress>,
    disk: Mutex<disk::Count>,
    hit: watch::Sender<Option<LimitHit>>,
}

#[derive(Debug, Default)]
struct Progress {
    tally: Tally,
    memory: Memory,
}

/// What a play has used up, as far as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// CPU time of everything that it started.
    pub cpu: Duration,
    /// The part of those that nobody waited for; no figure of the system has it.
    pub lost_cpu: Duration,
    /// All its processes together, bytes; 0 where it was never looked at.
    pub peak_memory_bytes: u64,
    /// At once.
    pub peak_processes: u32,
}

/// The watch over one play; it ends when this is dropped.
#[derive(Debug)]
pub struct Watching {
    shared: Arc<Shared>,
    id: u64,
    entry: Arc<Entry>,
    hits: watch::Receiver<Option<LimitHit>>,
}

impl Watch {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let owner = Owner(shared.clone());
        let of_processes = shared.clone();
        std::thread::Builder::new()
            .name("hero-watch".into())
            .spawn(move || patrol::patrol(&of_processes, Pace::PROCESSES, Entry::look))?;
        std::thread::Builder::new()
            .name("hero-watch-disk".into())
            .spawn(move || patrol::patrol(&shared, Pace::DISK, Entry::look_at_disk))?;
        Ok(Self(Arc::new(owner)))
    }

    /// Watches a play from now on: its process `root`, what that starts, and these directories. Where
    /// nothing is said of the disk, its limit is half of what is free now (64 MiB at least, since a play
    /// that starts on a full disk has not filled it): one play can't fill it.
    #[must_use]
    pub fn over(&self, root: ProcessId, mut limits: Limits, dirs: Vec<PathBuf>) -> Watching {
        if limits.disk_bytes.is_none() {
            let free = dirs.first().and_then(|dir| disk::free(dir));
            limits.disk_bytes = free.map(|free| (free / 2).max(LEAST_DISK));
        }
        let (hit, hits) = watch::channel(None);
        let entry = Arc::new(Entry {
            root,
            limits,
            dirs,
            since: Instant::now(),
            progress: Mutex::default(),
            disk: Mutex::default(),
            hit,
        });
        let shared = self.0.0.clone();
        let mut plays = shared.plays();
        let id = plays.next;
        plays.next += 1;
        plays.entries.insert(id, entry.clone());
        if plays.entries.len() == 1 {
            shared.changed.notify_all();
        }
        drop(plays);
        Watching {
            shared,
            id,
            entry,
            hits,
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.plays().closing = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn plays(&self) -> MutexGuard<'_, Plays> {
        self.plays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// Waits for the first limit that is hit.
    pub async fn hit(&mut self) -> LimitHit {
        let hit = self.hits.wait_for(Option::is_some).await;
        // An error can't be: the sender is held here too.
        let hit = hit.ok().and_then(|hit| hit.clone());
        match hit {
            Some(hit) => hit,
            None => std::future::pending().await,
        }
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let progress = self.entry.progress();
        Seen {
            cpu: sys::ticks(progress.tally.cpu()),
            lost_cpu: sys::ticks(progress.tally.lost()),
            peak_memory_bytes: progress.memory.peak(),
            peak_processes: progress.tally.peak_processes(),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.shared.plays().entries.remove(&self.id);
    }
}

/// How soon a play is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Usual,
    /// It is near a limit.
    Soon,
}

impl Entry {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_hit(&self) -> bool {
        self.hit.borrow().is_some()
    }

    fn tell(&self, hit: LimitHit) {
        tracing::debug!(root = self.root.pid, ?hit, "a play hit a limit");
        self.hit.send_if_modified(|held| {
            let first = held.is_none();
            held.get_or_insert(hit);
            first
        });
    }

    /// Looks at its processes.
    fn look(&self) -> Next {
        let most = self.limits.processes.filter(|_| !self.is_hit());
        let mut samples = walk(self.root, most);
        if samples.is_empty() {
            return Next::Usual;
        }
        if let Some(limit) = most.filter(|most| samples.len() as u64 > *most) {
            // The walk was given up here: there may be many more.
            self.tell(LimitHit {
                name: LimitName::Processes,
                limit,
                measured: samples.len() as u64,
                largest: largest(&samples, |sample| sample.resident_bytes),
            });
            return Next::Soon;
        }
        let mut progress = self.progress();
        for (pid, started) in progress.tally.missing(&samples) {
            samples.extend(sys::sample(pid).filter(|sample| sample.started == started));
        }
        let look = progress.tally.look(&samples);
        let mut next = Next::Usual;
        if let Some(limit) = most
            && look.processes > limit / NEAR
        {
            next = Next::Soon;
        }
        if let Some(limit) = self.limits.cpu_ms {
            let used = u64::try_from(sys::ticks(look.cpu).as_millis()).unwrap_or(u64::MAX);
            if used > limit {
                self.tell(LimitHit {
                    name: LimitName::Cpu,
                    limit,
                    measured: used,
                    largest: Vec::new(),
                });
            } else if limit - used < Pace::PROCESSES.base_ms() * NEAR {
                next = Next::Soon;
            }
        }
        let limit = self.limits.memory_bytes;
        let parts = progress.memory.look(&samples, look.resident_bytes, limit);
        if let Some(limit) = limit {
            if let Some(parts) = parts
                && parts.iter().map(|(_, bytes)| bytes).sum::<u64>() > limit
            {
                self.tell(LimitHit {
                    name: LimitName::Memory,
                    limit,
                    measured: parts.iter().map(|(_, bytes)| bytes).sum(),
                    largest: largest(&parts, |(_, bytes)| *bytes),
                });
            } else if look.resident_bytes > limit / NEAR {
                next = Next::Soon;
            }
        }
        if self.is_hit() { Next::Usual } else { next }
    }

    /// Looks at its directories.
    fn look_at_disk(&self) -> Next {
        let Some(limit) = self.limits.disk_bytes.filter(|_| !self.is_hit()) else {
            return Next::Usual;
        };
        let mut count = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let held = count.look(&self.dirs, limit, disk::Piece::USUAL);
        if let disk::Held::Beyond(measured) = held {
            self.tell(LimitHit {
                name: LimitName::Disk,
                limit,
                measured,
                largest: Vec::new(),
            });
        }
        match held {
            disk::Held::All(held) | disk::Held::AtLeast(held) if held > limit / NEAR => Next::Soon,
            _ => Next::Usual,
        }
    }
}

/// The root and everything below it; nothing, where the root is gone. Given up beyond `most`.
fn walk(root: ProcessId, most: Option<u64>) -> Vec<Sample> {
    let Some(first) = sys::sample(root.pid).filter(|first| first.started == root.started) else {
        return Vec::new();
    };
    let most = most.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    });
    let mut found = vec![first];
    let mut known = HashSet::from([root.pid]);
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        at += 1;
        if parent.zombie {
            continue;
        }
        for pid in sys::children_of(parent.pid, parent.threads) {
            // Between being listed and being looked at it can leave, and its pid can become another's;
            // or its parent left, and it hangs below the root.
            let related = |child: &Sample| child.parent == parent.pid || child.parent == root.pid;
            if known.insert(pid) {
                found.extend(sys::sample(pid).filter(related));
            }
            if found.len() > most {
                return found;
            }
        }
    }
    found
}

trait Pid {
    fn pid(&self) -> u32;
}

impl Pid for Sample {
    fn pid(&self) -> u32 {
        self.pid
    }
}

impl Pid for (u32, u64) {
    fn pid(&self) -> u32 {
        self.0
    }
}

fn largest<T: Pid>(all: &[T], bytes: impl Fn(&T) -> u64) -> Vec<ProcessShare> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|one| std::cmp::Reverse(bytes(one)));
    all.into_iter()
        .take(LARGEST)
        .map(|one| ProcessShare {
            pid: one.pid(),
            name: sys::name(one.pid()),
            memory_bytes: bytes(one),
        })
        .collect()
}
