//! What this process knows of its children, so that a search for what plays left behind takes nobody
//! for an orphan who is none.
//!
//! A server inherits the orphans of its plays. The kernel gives them to its first thread, and keeps
//! what a thread started itself in that thread's own list of children. No process is started on the
//! first thread (see [`super::starter`]), so its children are orphans: all but those that the program
//! had before it became a server.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::sys;

/// Whose children the first thread had when orphans began to come.
static BEFORE: OnceLock<Vec<u32>> = OnceLock::new();
/// The plays whose processes this process looks after, by the pid of their root.
static ROOTS: Mutex<Option<HashMap<u32, String>>> = Mutex::new(None);

/// Makes this process, as a whole a hero_logic server, inherit what its plays leave behind. Not for
/// programs that embed the runtime and have children of their own.
pub fn adopt_orphans() {
    BEFORE.get_or_init(|| {
        sys::become_subreaper();
        sys::adopted().iter().collect()
    });
}

/// Children of the first thread that are no orphans; `None` where no orphans come.
pub(super) fn before() -> Option<&'static [u32]> {
    BEFORE.get().map(Vec::as_slice)
}

fn roots() -> MutexGuard<'static, Option<HashMap<u32, String>>> {
    ROOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A play's root was started.
pub(super) fn looks_after(root: u32, play: &str) {
    roots()
        .get_or_insert_default()
        .insert(root, play.to_owned());
}

/// The root of a play is gone and reaped, and so is what it left behind.
pub(super) fn forget(root: u32) {
    if let Some(roots) = roots().as_mut() {
        roots.remove(&root);
    }
}

/// The plays that this process looks after besides that of this root, by their roots.
pub(super) fn others(root: u32) -> HashMap<u32, String> {
    let mut others = roots().clone().unwrap_or_default();
    others.remove(&root);
    others
}
