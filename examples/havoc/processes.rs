//! The processes below this one. Havoc is a subreaper: whatever a server or a play starts and loses
//! becomes a child of this process, so nothing can get away unseen, and nothing else is ever touched.

use std::{
    collections::HashSet,
    fs, io,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

/// From now on orphans of what this process starts come here.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(Pid::INIT)).map_err(io::Error::from)
}

/// A process as `/proc` shows it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    pub(crate) name: String,
    pub(crate) zombie: bool,
}

/// What a child of a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Guard,
    /// Forks processes ahead of plays …
    ForkServer,
    /// … and one that waits for its play.
    Spare,
    /// The root process of a play.
    Play,
    /// It looks at a source or an interpreter.
    Other,
}

impl Seen {
    pub(crate) fn role(&self) -> Role {
        match self.name.as_str() {
            "hero-guard" => Role::Guard,
            "hero-fork" if self.session == self.pid => Role::ForkServer,
            "hero-fork" => Role::Spare,
            _ if has_variable(self.pid, "HERO_FLOW_PLAY_SID") => Role::Play,
            _ => Role::Other,
        }
    }
}

fn has_variable(pid: u32, name: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut entries = environment.split(|byte| *byte == 0);
    entries.any(|entry| {
        entry
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"="))
    })
}

fn see(pid: u32) -> Option<Seen> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let (from, to) = (
        text.iter().position(|byte| *byte == b'(')?,
        text.iter().rposition(|byte| *byte == b')')?,
    );
    let rest = std::str::from_utf8(text.get(to + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Seen {
        pid,
        zombie: matches!(state, "Z" | "X"),
        parent: fields.next()?.parse().ok()?,
        // Behind the process group.
        session: fields.nth(1)?.parse().ok()?,
        name: String::from_utf8_lossy(text.get(from + 1..to)?).into_owned(),
    })
}

/// The living children of a process that are there for this.
pub(crate) fn children_for(pid: u32, role: Role) -> Vec<u32> {
    let seen = children(pid).into_iter().filter_map(see);
    let such = seen.filter(|seen| !seen.zombie && seen.role() == role);
    such.map(|seen| seen.pid).collect()
}

/// The direct children of a process, of all its threads.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Everything below a process, zombies too, parents first.
pub(crate) fn below(pid: u32) -> Vec<Seen> {
    let mut level = children(pid);
    let mut found = Vec::new();
    let mut known = HashSet::new();
    while let Some(pid) = level.pop() {
        if known.insert(pid) {
            level.extend(children(pid));
            found.extend(see(pid));
        }
    }
    found
}

/// What lives below this process, except below and including these. Zombies that came here are
/// reaped on the way.
pub(crate) fn strays(except: &[u32]) -> Vec<Seen> {
    let own = std::process::id();
    let mut left = Vec::new();
    for child in children(own) {
        if except.contains(&child) {
            continue;
        }
        match see(child) {
            Some(seen) if seen.zombie => reap(child),
            Some(seen) => {
                left.push(seen);
                left.extend(below(child).into_iter().filter(|seen| !seen.zombie));
            }
            None => {}
        }
    }
    left
}

fn reap(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // An error says that somebody else has waited for it.
        rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok();
    }
}

/// What can be told of processes that are left, to find out why; then they are ended, so that each is
/// told once.
pub(crate) fn put_away(left: &[Seen]) -> String {
    let told: Vec<_> = left
        .iter()
        .map(|seen| {
            let read = |name: &str| {
                let bytes = fs::read(format!("/proc/{}/{name}", seen.pid)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let command: String = read("cmdline").chars().take(60).collect();
            let environ = read("environ");
            let play = environ
                .split(' ')
                .find_map(|entry| entry.strip_prefix("HERO_FLOW_PLAY_SID="));
            let state = read("stat");
            let state = state.rsplit(')').next().unwrap_or_default();
            let state: String = state.chars().take(24).collect();
            format!("{} [{command}]{state} of play {play:?}", seen.pid)
        })
        .collect();
    for seen in left {
        signal(seen.pid, Signal::KILL);
    }
    told.join("; ")
}

/// Waits until nothing but these lives below this process; how long it took, or who is left.
pub(crate) fn wait_for_none(except: &[u32], patience: Duration) -> Result<Duration, Vec<Seen>> {
    let start = Instant::now();
    loop {
        let left = strays(except);
        if left.is_empty() {
            return Ok(start.elapsed());
        }
        if start.elapsed() > patience {
            return Err(left);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a signal to a process that is below this one, and to no other that has its pid by now.
pub(crate) fn signal(pid: u32, signal: Signal) -> bool {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    let Ok(target) = rustix::process::pidfd_open(raw, PidfdFlags::empty()) else {
        return false;
    };
    let own = std::process::id();
    let mut at = pid;
    while at != own {
        match see(at) {
            Some(seen) if seen.parent > 1 => at = seen.parent,
            _ => return false,
        }
    }
    rustix::process::pidfd_send_signal(&target, signal).is_ok()
}

/// Resident memory of a process, bytes.
pub(crate) fn memory(pid: u32) -> u64 {
    let kib = fs::read_to_string(format!("/proc/{pid}/status"))
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        });
    kib.unwrap_or(0) << 10
}
