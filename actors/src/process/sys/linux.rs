//! Linux: death signals, subreapers, pidfds, `/proc`.
#![expect(
    unsafe_code,
    reason = "pre_exec, the raw waitid call and real-time signals have no safe form"
)]

mod start;
mod usage;

pub(crate) use start::{Announcement, detach, end_with_this_process, harden, harden_fork_server};
pub(crate) use usage::{
    Sample, children_of, name, own_resident_bytes, prefer_this_thread, proportional_bytes, sample,
    ticks,
};

use std::{
    ffi::CStr,
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    time::{Duration, Instant},
};

use protocol::ProcessId;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, chmod, openat},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, set_child_subreaper},
};
use tokio::io::unix::AsyncFd;

use super::OwnUsage;

/// Gives its owner every right on a directory; a link in its place is not followed.
pub(crate) fn open_up(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty())?;
    // The system changes no mode by such a descriptor itself.
    chmod(format!("/proc/self/fd/{}", dir.as_raw_fd()), Mode::RWXU)
}

/// The highest mark that can be set.
pub(crate) fn highest_mark() -> Option<u64> {
    let most = rustix::process::getrlimit(rustix::process::Resource::Locks).maximum;
    // Unlimited is the highest number of all.
    Some(most.unwrap_or(u64::MAX >> 1)).filter(|most| *most > 0)
}

/// Whether the process has this mark.
pub(crate) fn has_mark(pid: u32, mark: u64) -> bool {
    let Ok(limits) = fs::read_to_string(format!("/proc/{pid}/limits")) else {
        return false;
    };
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max file locks"));
    // Soft and hard.
    let hard = line.and_then(|line| line.split_ascii_whitespace().nth(1));
    hard.and_then(|hard| hard.parse().ok()) == Some(mark)
}

/// Limits how many files a process, and each that it starts, can have open at once.
pub(crate) fn limit_open_files(pid: u32, most: Option<u64>) -> io::Result<()> {
    if most.is_some() {
        let limit = rustix::process::Rlimit {
            current: most,
            maximum: most,
        };
        let resource = rustix::process::Resource::Nofile;
        rustix::process::prlimit(Some(as_pid(pid)?), resource, limit)?;
    }
    Ok(())
}

/// Whether the process is a child of this one that was not waited for, running or ended.
pub(crate) fn has_child(pid: u32) -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    as_pid(pid).is_ok_and(|pid| waitid(WaitId::Pid(pid), look).is_ok())
}

/// The exit status of a child that was not waited for; blocks until it has ended.
pub(crate) fn wait_for(pid: u32) -> io::Result<std::process::ExitStatus> {
    use std::os::unix::process::ExitStatusExt;
    loop {
        match rustix::process::waitpid(Some(as_pid(pid)?), rustix::process::WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                return Ok(std::process::ExitStatus::from_raw(status.as_raw()));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
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

/// Whether a process can be told from others with its pid, and its descendants be found.
pub(crate) const CAN_WALK: bool = true;

/// What `/proc/PID/stat` tells of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    /// Ended, with all its threads: a leader can leave before them.
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
        zombie: matches!(*fields.first()?, "Z" | "X") && matches!(*fields.get(17)?, "0" | "1"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Pids as the kernel lists them, the oldest first; read as late as they are needed.
#[derive(Debug, Default)]
pub(crate) struct Pids(String);

impl Pids {
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.0
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
    }
}

/// The direct children of a process, of all its threads.
pub(crate) fn children(pid: u32) -> Pids {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Pids::default();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    Pids(lists.collect())
}

/// The children of this process' first thread: to it the kernel gives orphans, and it starts none.
pub(crate) fn adopted() -> Pids {
    let own = std::process::id();
    Pids(fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default())
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

/// Whether the process was started with such an entry in its environment.
pub(crate) fn has_environment(pid: u32, such: impl Fn(&[u8]) -> bool) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|b| *b == 0).any(such))
}

/// A process that can't be mistaken for another that gets its pid later.
#[derive(Debug)]
pub(crate) struct Target {
    pid: Pid,
    /// `None` where there are too many of them for our descriptors: then the pid has to do, which
    /// nobody else gets as long as the process is stopped and below one that is.
    fd: Option<OwnedFd>,
}

impl Target {
    /// `None` where there is no such process any more.
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let pid = as_pid(pid).ok()?;
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Some(Self { pid, fd: Some(fd) }),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Some(Self { pid, fd: None }),
            Err(_) => None,
        }
    }

    /// Whether the process was there to get the signal.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        match &self.fd {
            Some(fd) => rustix::process::pidfd_send_signal(fd, signal).is_ok(),
            None => rustix::process::kill_process(self.pid, signal).is_ok(),
        }
    }

    /// Waits until the process has ended; whether it did within `patience`.
    pub(crate) fn gone_within(&self, patience: Duration) -> bool {
        let Some(fd) = &self.fd else {
            return self.gone_from_proc_within(patience);
        };
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        matches!(poll(&mut fds, Some(&patience)), Ok(1..))
    }

    fn gone_from_proc_within(&self, patience: Duration) -> bool {
        let pid = u32::try_from(self.pid.as_raw_pid()).unwrap_or(0);
        let deadline = Instant::now() + patience;
        loop {
            if stat(pid).is_none_or(|stat| stat.zombie) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What this process is called in process lists (15 bytes at most).
pub(crate) fn call_this_process(name: &str) {
    let named = std::ffi::CString::new(name)
        .map_err(io::Error::from)
        .and_then(|name| Ok(rustix::thread::set_name(&name)?));
    if let Err(error) = named {
        tracing::debug!(%error, "failed to name this process");
    }
}

/// The parent of this process; `None` where it is in another namespace.
pub(crate) fn parent() -> Option<u32> {
    rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
}

/// Blocks until `input` can be read or is closed (true), or nothing came and `watched` has ended
/// (false). Without somebody to watch it does not wait.
pub(crate) fn wait_readable(input: BorrowedFd<'_>, watched: Option<&Target>) -> io::Result<bool> {
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut fds = vec![PollFd::new(&input, PollFlags::IN)];
        let other = watched.and_then(|target| target.fd.as_ref());
        fds.extend(other.map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut fds, watched.is_none().then_some(&at_once)) {
            Ok(_) => return Ok(!fds[0].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
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

/// What the system lacks for ending whole trees of processes; empty where it has all of it.
#[must_use]
pub fn tree_kill_lacks() -> Vec<&'static str> {
    let own = rustix::process::getpid();
    let mut lacks = Vec::new();
    if rustix::process::pidfd_open(own, PidfdFlags::empty()).is_err() {
        lacks.push("pidfd");
    }
    if rustix::process::child_subreaper().is_err() {
        lacks.push("subreaper");
    }
    let pid = own.as_raw_nonzero();
    if fs::read(format!("/proc/{pid}/task/{pid}/children")).is_err() {
        lacks.push("/proc/PID/task/TID/children");
    }
    lacks
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

/// Takes the exit status of a child that nobody else waits for, so that it does not stay a zombie;
/// whether it had ended.
pub(crate) fn reap(pid: u32) -> bool {
    // An error says that it is no child of ours (any more): then there is nothing to reap.
    as_pid(pid).is_ok_and(|pid| {
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG)
            .is_ok_and(|ended| ended.is_some())
    })
}

fn as_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other(format!("{pid} is no pid")))
}
