//! Where there is no `/proc` and no pidfd: the process group is what can be ended.
#![expect(unsafe_code, reason = "pre_exec and kill by number have no safe form")]

use std::{
    ffi::CStr,
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use protocol::ProcessId;
use rustix::{
    fs::{AtFlags, Mode, chmodat},
    io::Errno,
    process::{Pid, Signal},
};

use super::OwnUsage;

/// Gives its owner every right on a directory; a link in its place is not followed.
pub(crate) fn open_up(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    chmodat(parent, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
}

#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    pub(crate) pipe: Arc<OwnedFd>,
    pub(crate) words: String,
}

/// Nobody is frozen here: the server itself tells the guard.
pub(crate) fn harden(
    command: &mut tokio::process::Command,
    _announcement: Option<Announcement>,
    open_files: Option<u64>,
    _mark: Option<u64>,
) {
    // SAFETY: only async-signal-safe system calls, nothing allocates.
    unsafe {
        command.pre_exec(move || super::tier_zero(open_files));
    }
}

/// No such limit on this platform.
pub(crate) fn highest_mark() -> Option<u64> {
    None
}

pub(crate) fn has_mark(_pid: u32, _mark: u64) -> bool {
    false
}

/// There are no fork servers on this platform: nothing could be the parent of what they hand on.
pub(crate) fn harden_fork_server(_command: &mut tokio::process::Command, _mark: Option<u64>) {}

/// Only for what a fork server has handed on.
pub(crate) fn limit_open_files(_pid: u32, _most: Option<u64>) -> io::Result<()> {
    Err(io::Error::other("no fork servers on this platform"))
}

/// Only for what a fork server has handed on.
pub(crate) fn has_child(_pid: u32) -> bool {
    false
}

/// Only for what a fork server has handed on.
pub(crate) fn wait_for(_pid: u32) -> io::Result<std::process::ExitStatus> {
    Err(io::Error::other("no fork servers on this platform"))
}

/// Not known how on this platform: it ends when it has answered.
pub(crate) fn end_with_this_process(_command: &mut tokio::process::Command) {}

pub(crate) fn detach(command: &mut std::process::Command) {
    // SAFETY: only async-signal-safe system calls, nothing allocates.
    unsafe {
        command.pre_exec(|| {
            super::tier_zero(None)?;
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                if libc::signal(signal, libc::SIG_IGN) == libc::SIG_ERR {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// Not offered by this platform: nothing to do.
pub(crate) fn become_subreaper() {}

/// Not known on this platform.
#[must_use]
pub fn total_memory() -> Option<u64> {
    None
}

/// The end is heard from the child itself; its usage is not known.
#[derive(Debug)]
pub(crate) struct ExitWatch;

impl ExitWatch {
    pub(crate) fn new(_pid: u32) -> io::Result<Self> {
        Err(io::Error::other("no pidfd on this platform"))
    }

    pub(crate) async fn ended(&self) -> io::Result<()> {
        Err(io::Error::other("no pidfd on this platform"))
    }

    pub(crate) fn usage(&self) -> io::Result<(Duration, u64)> {
        Ok((Duration::ZERO, 0))
    }
}

/// The platform does not tell start times: 0.
#[must_use]
pub fn process_id(pid: u32) -> Option<ProcessId> {
    as_pid(pid)
        .is_ok_and(|pid| rustix::process::test_kill_process(pid).is_ok())
        .then_some(ProcessId { pid, started: 0 })
}

/// Only process groups can be ended here.
pub(crate) const CAN_WALK: bool = false;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) zombie: bool,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    pub(crate) started: u64,
}

pub(crate) fn stat(_pid: u32) -> Option<Stat> {
    None
}

#[derive(Debug, Default)]
pub(crate) struct Pids;

impl Pids {
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        std::iter::empty()
    }
}

pub(crate) fn children(_pid: u32) -> Pids {
    Pids
}

pub(crate) fn adopted() -> Pids {
    Pids
}

pub(crate) fn all_processes() -> Vec<u32> {
    Vec::new()
}

pub(crate) fn has_environment(_pid: u32, _such: impl Fn(&[u8]) -> bool) -> bool {
    false
}

#[derive(Debug)]
pub(crate) struct Target {
    pid: Pid,
}

impl Target {
    pub(crate) fn open(pid: u32) -> Option<Self> {
        as_pid(pid).ok().map(|pid| Self { pid })
    }

    pub(crate) fn signal(&self, signal: Signal) -> bool {
        // Its group is what can be reached here.
        rustix::process::kill_process_group(self.pid, signal).is_ok()
            || rustix::process::kill_process(self.pid, signal).is_ok()
    }

    pub(crate) fn gone_within(&self, _patience: Duration) -> bool {
        true
    }
}

/// Not offered by this platform: nothing to do.
pub(crate) fn call_this_process(_name: &str) {}

pub(crate) fn parent() -> Option<u32> {
    rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
}

/// The end of the pipe is the only sign here.
pub(crate) fn wait_readable(_input: BorrowedFd<'_>, _watched: Option<&Target>) -> io::Result<bool> {
    Ok(true)
}

/// The question for stacks: SIGINFO, which does nothing to a process that does not expect it.
pub(crate) const STACK_SIGNAL: i32 = 29;

/// Not to be learned here, and harmless (see [`STACK_SIGNAL`]).
pub(crate) fn catches(_pid: u32, _signal: i32) -> bool {
    true
}

pub(crate) fn handling(_pid: u32, _signal: i32) -> usize {
    0
}

/// As far as can be known: the runner has made it.
pub(crate) fn has_open(_pid: u32, path: &Path) -> bool {
    path.exists()
}

pub(crate) fn signal_process(pid: u32, signal: i32) -> bool {
    // SAFETY: kill takes plain numbers and touches no memory of ours.
    as_pid(pid).is_ok_and(|pid| unsafe { libc::kill(pid.as_raw_pid(), signal) } == 0)
}

/// Only the process group can be ended here.
#[must_use]
pub fn tree_kill_lacks() -> Vec<&'static str> {
    vec!["pidfd", "subreaper", "/proc/PID/task/TID/children"]
}

/// Not told by this platform.
#[must_use]
pub fn own_usage() -> OwnUsage {
    OwnUsage::default()
}

pub(crate) fn signal_group(pid: u32, signal: Signal) -> bool {
    as_pid(pid).is_ok_and(|pid| rustix::process::kill_process_group(pid, signal).is_ok())
}

pub(crate) fn reap(_pid: u32) -> bool {
    false
}

fn as_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other(format!("{pid} is no pid")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) pid: u32,
    pub(crate) started: u64,
    pub(crate) parent: u32,
    pub(crate) zombie: bool,
    pub(crate) cpu: u64,
    pub(crate) waited: u64,
    pub(crate) threads: u32,
    pub(crate) resident_bytes: u64,
}

/// Not told by this platform: no process is seen, so no limit is hit.
pub(crate) fn sample(_pid: u32) -> Option<Sample> {
    None
}

pub(crate) fn children_of(_pid: u32, _threads: u32) -> Vec<u32> {
    Vec::new()
}

pub(crate) fn proportional_bytes(_pid: u32) -> Option<u64> {
    None
}

pub(crate) fn name(_pid: u32) -> String {
    String::new()
}

pub(crate) fn own_resident_bytes() -> u64 {
    0
}

pub(crate) fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(10))
}

/// Not known how on this platform.
pub(crate) fn prefer_this_thread() {}
