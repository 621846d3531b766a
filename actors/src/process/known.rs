//! What this process knows of its children, so that a search for what plays left behind takes nobody
//! for an orphan who is none.
//!
//! A server inherits the orphans of its plays. The kernel gives them to its first thread, and keeps
//! what a thread started itself in that thread's own list of children. No process is started on the
//! first thread (see [`super::starter`]), so its children are orphans: all but those that the program
//! had before it became a server, and those that a fork server has handed on (see [`super::warm`]).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::sys;

/// Whose children the first thread had when orphans began to come.
static BEFORE: OnceLock<Vec<u32>> = OnceLock::new();
static CHILDREN: Mutex<Children> = Mutex::new(Children {
    plays: BTreeMap::new(),
    handed_on: BTreeSet::new(),
    fork_servers: BTreeMap::new(),
});

struct Children {
    /// The plays whose processes this process looks after, by the pid of their root.
    plays: BTreeMap<u32, String>,
    /// Spares that have spoken, and plays that were spares.
    handed_on: BTreeSet<u32>,
    /// Fork servers, by pid, which is their session too, and how many spares are to come of each: those
    /// are in that session until they have spoken.
    fork_servers: BTreeMap<u32, usize>,
}

fn children() -> MutexGuard<'static, Children> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// A play's root was started.
pub(super) fn looks_after(root: u32, play: &str) {
    children().plays.insert(root, play.to_owned());
}

/// The root of a play, or a spare, is gone and reaped, and so is what it left behind.
pub(super) fn forget(root: u32) {
    let mut children = children();
    children.plays.remove(&root);
    children.handed_on.remove(&root);
}

/// The plays that this process looks after besides that of this root, by their roots.
pub(super) fn others(root: u32) -> HashMap<u32, String> {
    let children = children();
    let others = children.plays.iter().filter(|(pid, _)| **pid != root);
    others.map(|(pid, play)| (*pid, play.clone())).collect()
}

/// A spare was ordered of this fork server: it may be there before it has spoken. For as long as the
/// result lives.
pub(super) fn expects_spare(fork_server: u32) -> Expected {
    *children().fork_servers.entry(fork_server).or_default() += 1;
    Expected(fork_server)
}

/// See [`expects_spare`].
#[derive(Debug)]
pub(super) struct Expected(u32);

impl Expected {
    /// It has spoken, and is this child.
    pub(super) fn came(self, pid: u32) {
        children().handed_on.insert(pid);
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut children = children();
        if let Some(left) = children.fork_servers.get_mut(&self.0) {
            *left -= 1;
            if *left == 0 {
                children.fork_servers.remove(&self.0);
            }
        }
    }
}

/// Whether this child of the first thread was handed on by a fork server.
pub(super) fn is_handed_on(pid: u32) -> bool {
    children().handed_on.contains(&pid)
}

/// Whether there are spares that have not spoken yet.
pub(super) fn expects_spares() -> bool {
    !children().fork_servers.is_empty()
}

/// Whether a child in this session is a spare that has not spoken yet. What a play left behind can't be
/// in the session of a fork server.
pub(super) fn is_to_be_handed_on(session: u32) -> bool {
    children().fork_servers.contains_key(&session)
}
