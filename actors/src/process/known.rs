//! Which processes are the roots of plays, so that a search for what plays left behind passes them by.

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

/// Whether this pid is the root of a play of this process.
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
