//! Linux: death signals, subreapers, pidfds, `/proc`.
#![expect(
    unsafe_code,
    reason = "pre_exec, the raw waitid call and real-time signals have no safe form"
)]

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    time::Duration,
};

use protocol::ProcessId;
use rustix::{
    process::{Pid, PidfdFlags, Signal, set_child_subreaper},
    thread::set_no_new_privs,
};
use tokio::io::unix::AsyncFd;

use super::OwnUsage;

/// Makes `command` start with tier 0: see the room.
pub(crate) fn harden(command: &mut tokio::process::Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            super::tier_zero()?;
            set_no_new_privs(true)?;
            // What it leaves behind on the way becomes ours to find, not init's.
            set_child_subreaper(Some(Pid::INIT))?;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::other("the server is gone"));
            }
            Ok(())
        });
    }
}

/// Makes this process inherit the orphans of its plays, so that they can be found and ended.
pub(crate) fn become_subreaper() {
    if let Err(error) = set_child_subreaper(Some(Pid::INIT)) {
        tracing::warn!(%error, "failed to become a subreaper; what plays leave behind is searched in /proc");
    }
}

/// The machine's memory, bytes.
#[must_use]
pub fn total_memory() -> Option<u64> {
    let about = rustix::system::sysinfo();
    Some(about.totalram.saturating_mul(about.mem_unit.into()))
}

/// Resolves when a process is there to be waited for, and knows what it used up.
#[derive(Debug)]
pub(crate) struct ExitWatch {
    fd: AsyncFd<OwnedFd>,
}

impl ExitWatch {
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        let fd = rustix::process::pidfd_open(as_pid(pid)?, PidfdFlags::NONBLOCK)?;
        // SAFETY: the descriptor is ours alone, and closed by `AsyncFd` after it was deregistered.
        Ok(Self {
            fd: unsafe { AsyncFd::register(fd) }?,
        })
    }

    /// Waits until the process has ended; it stays a zombie, so its pid can't be reused.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        drop(self.fd.readable().await?);
        Ok(())
    }

    /// CPU time and peak memory (bytes) of the ended process and the children it waited for.
    pub(crate) fn usage(&self) -> io::Result<(Duration, u64)> {
        // SAFETY: both structs are plain data for which all zeroes is a value.
        let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
        // SAFETY: the pointers are to live structs of the right type; WNOWAIT leaves the zombie for
        // whoever owns the child. The raw call has a fifth argument that libc's wrapper lacks.
        let code = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                self.fd.get_ref().as_raw_fd(),
                &raw mut info,
                libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
                &raw mut usage,
            )
        };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        let time = |t: libc::timeval| {
            Duration::new(
                t.tv_sec.unsigned_abs(),
                u32::try_from(t.tv_usec.unsigned_abs() * 1_000).unwrap_or(0),
            )
        };
        Ok((
            time(usage.ru_utime) + time(usage.ru_stime),
            usage.ru_maxrss.unsigned_abs() * 1_024,
        ))
    }
}

/// Which process has this pid now; `None` where none has (a zombie still has).
#[must_use]
pub fn process_id(pid: u32) -> Option<ProcessId> {
    stat(pid).map(|stat| ProcessId {
        pid,
        started: stat.started,
    })
}

/// What `/proc/PID/stat` tells of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) zombie: bool,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    pub(crate) started: u64,
}

pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may hold anything, parentheses too.
    let after_name = text.iter().rposition(|b| *b == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(text.get(after_name + 2..)?)
        .ok()?
        .split_ascii_whitespace()
        .collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The direct children of a process, of all its threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Every process of the system.
pub(crate) fn all_processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether the process was started with this variable in its environment.
pub(crate) fn has_environment(pid: u32, assignment: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|b| *b == 0)
            .any(|entry| entry == assignment.as_bytes())
    })
}

/// A process that can't be mistaken for another that gets its pid later.
#[derive(Debug)]
pub(crate) struct Target {
    fd: OwnedFd,
}

impl Target {
    /// `None` where there is no such process any more.
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let fd = rustix::process::pidfd_open(as_pid(pid).ok()?, PidfdFlags::empty()).ok()?;
        Some(Self { fd })
    }

    /// Whether the process was there to get the signal.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        rustix::process::pidfd_send_signal(&self.fd, signal).is_ok()
    }

    /// Waits until the process has ended; whether it did within `patience`.
    pub(crate) fn gone_within(&self, patience: Duration) -> bool {
        let mut fds = [rustix::event::PollFd::new(
            &self.fd,
            rustix::event::PollFlags::IN,
        )];
        let patience = rustix::event::Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        matches!(rustix::event::poll(&mut fds, Some(&patience)), Ok(1..))
    }
}

/// The question for stacks. A real-time signal that neither libc keeps for itself; by its number, since
/// the play's libc can be another than ours.
pub(crate) const STACK_SIGNAL: i32 = 42;

/// Whether the process has a handler for this signal: others would be ended by it.
pub(crate) fn catches(pid: u32, signal: i32) -> bool {
    signal_set(&format!("/proc/{pid}/status"), "SigCgt:").is_some_and(|set| has(set, signal))
}

/// In how many threads of the process this signal is blocked, as it is while its handler runs, or
/// still to be delivered.
pub(crate) fn handling(pid: u32, signal: i32) -> usize {
    let is_in = |path: &str, name| signal_set(path, name).is_some_and(|set| has(set, signal));
    let pending = is_in(&format!("/proc/{pid}/status"), "ShdPnd:");
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let blocked = threads
        .flatten()
        .filter(|thread| is_in(&format!("{}/status", thread.path().display()), "SigBlk:"));
    blocked.count() + usize::from(pending)
}

/// A line of a status file that holds a set of signals.
fn signal_set(path: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn has(set: u64, signal: i32) -> bool {
    set >> (signal - 1) & 1 == 1
}

/// Whether the process has this file open.
pub(crate) fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(wanted) = fs::metadata(path) else {
        return false;
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    descriptors.flatten().any(|descriptor| {
        let link = descriptor.path();
        // Only what is named so is looked at closely: others may stand on a file system that hangs.
        fs::read_link(&link).is_ok_and(|to| to.file_name() == path.file_name())
            && fs::metadata(&link)
                .is_ok_and(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
    })
}

/// Sends a signal, also a real-time one, to a child that is not reaped.
pub(crate) fn signal_process(pid: u32, signal: i32) -> bool {
    // SAFETY: kill takes plain numbers and touches no memory of ours.
    as_pid(pid).is_ok_and(|pid| unsafe { libc::kill(pid.as_raw_pid(), signal) } == 0)
}

/// What this process takes up.
#[must_use]
pub fn own_usage() -> OwnUsage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        let kib: u64 = line
            .strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()?;
        Some(kib << 10)
    });
    OwnUsage {
        resident_bytes: resident,
        // Without the one that reads them.
        open_files: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|descriptors| (descriptors.count() as u64).saturating_sub(1)),
    }
}

/// Sends a signal to a process group.
pub(crate) fn signal_group(pid: u32, signal: Signal) -> bool {
    as_pid(pid).is_ok_and(|pid| rustix::process::kill_process_group(pid, signal).is_ok())
}

/// Takes the exit status of a child that nobody else waits for, so that it does not stay a zombie.
pub(crate) fn reap(pid: u32) {
    if let Ok(pid) = as_pid(pid) {
        // An error says that it is no child of ours (any more): then there is nothing to reap.
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG).ok();
    }
}

fn as_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other(format!("{pid} is no pid")))
}
