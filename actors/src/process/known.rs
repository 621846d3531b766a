//! Which children this process has started itself (the roots of plays, and helpers), so that a search
//! for what plays left behind passes them by: any other child of a server is an orphan of a play.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::sys;

static KNOWN: Mutex<Option<HashSet<u32>>> = Mutex::new(None);
static SUBREAPER: AtomicBool = AtomicBool::new(false);

/// The set, held: nobody searches for leftovers meanwhile.
pub(super) struct Known(MutexGuard<'static, Option<HashSet<u32>>>);

impl Known {
    pub(super) fn insert(&mut self, pid: u32) {
        self.0.get_or_insert_default().insert(pid);
    }
}

/// Holds the set.
pub(super) fn hold() -> Known {
    Known(KNOWN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A helper of this process while it runs: no play left it behind.
#[derive(Debug)]
pub(super) struct Helper(Option<u32>);

impl Known {
    pub(super) fn helper(&mut self, pid: Option<u32>) -> Helper {
        pid.into_iter().for_each(|pid| self.insert(pid));
        Helper(pid)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.into_iter().for_each(forget);
    }
}

/// Whether this process has started that one and looks after it.
pub(super) fn is_known(pid: u32) -> bool {
    hold().0.as_ref().is_some_and(|known| known.contains(&pid))
}

/// The root of a play is gone and reaped.
pub(super) fn forget(pid: u32) {
    if let Some(known) = hold().0.as_mut() {
        known.remove(&pid);
    }
}

/// Whether orphans come to this process.
pub(super) fn is_subreaper() -> bool {
    SUBREAPER.load(Ordering::Relaxed)
}

/// Makes this process, as a whole a hero_logic server, inherit what its plays leave behind. Not for
/// programs that embed the runtime and have children of their own.
pub fn adopt_orphans() {
    sys::become_subreaper();
    SUBREAPER.store(true, Ordering::Relaxed);
}
