//! What the platform offers: Linux has all of it, others as much as keeps the promises that they can.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::*;

#[cfg(target_os = "linux")]
pub use linux::{own_usage, process_id, total_memory, tree_kill_lacks};
#[cfg(not(target_os = "linux"))]
pub use portable::{own_usage, process_id, total_memory, tree_kill_lacks};

use std::{io, sync::OnceLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What this process takes up; `None` where the platform does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnUsage {
    pub resident_bytes: Option<u64>,
    pub open_files: Option<u64>,
}

/// How many plays run at once by default: twice the cores (plays often wait), but no more than have 64 MiB of memory each.
#[must_use]
pub fn default_max_plays() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let by_memory = total_memory().map_or(u64::MAX, |bytes| bytes / (64 << 20));
    u32::try_from((cores * 2).max(4).min(by_memory.max(1))).unwrap_or(u32::MAX)
}

static OPEN_FILES_BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises this process' soft limit of open files to the hard one: about six descriptors a play, one
/// a waiter. Children get the limit that was there before.
pub fn raise_open_files_limit() {
    let before = OPEN_FILES_BEFORE.get_or_init(|| getrlimit(Resource::Nofile));
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "failed to raise the limit of open files; many plays at once may run out of them");
    }
}

/// How many files a child can be allowed to have open at once: as many as this process itself; `None`
/// where that has no limit.
pub(crate) fn most_open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// What the processes of plays are marked with; see [`super::mark`].
#[cfg(target_os = "linux")]
fn set_mark(mark: Option<u64>) {
    let limit = Rlimit {
        current: mark,
        maximum: mark,
    };
    // Where it is refused (a sandbox, a limit that was lowered meanwhile) a play runs without.
    if mark.is_some() {
        setrlimit(Resource::Locks, limit).ok();
    }
}

/// What every child does between fork and exec: only calls that are safe there. `open_files`: how many
/// it, and each process that it starts, can have open at once.
fn tier_zero(open_files: Option<u64>) -> io::Result<()> {
    rustix::process::setsid()?;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    if let Some(before) = OPEN_FILES_BEFORE.get() {
        setrlimit(Resource::Nofile, *before)?;
    }
    if open_files.is_some() {
        let limit = Rlimit {
            current: open_files,
            maximum: open_files,
        };
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}
