//! Processes as the system shows them.

use std::{collections::BTreeMap, fs};

use rustix::process::{Pid, Signal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) command: String,
}

/// The living processes (no zombies) that mention a text in their arguments or environment.
pub(crate) fn mentioning(text: &str) -> Vec<Seen> {
    let own = std::process::id();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own && is_alive(*pid))
        .filter_map(|pid| {
            let read = |name: &str| {
                let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let command = read("cmdline");
            (command.contains(text) || read("environ").contains(text))
                .then_some(Seen { pid, command })
        })
        .collect()
}

/// Whether this process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .iter()
        .rposition(|byte| *byte == b')')
        .and_then(|at| stat.get(at + 2));
    !matches!(state, None | Some(b'Z' | b'X'))
}

/// Sends a signal; a process that is gone already is none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    if let Err(error) = rustix::process::kill_process(pid, signal) {
        assert_eq!(error, rustix::io::Errno::SRCH);
    }
}

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) session: u32,
    /// In the kernel's ticks: with it, a pid can't be mistaken for another's.
    pub(crate) started: u64,
}

pub(crate) fn stat(pid: u32) -> Option<Stat> {
    Stat::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl Stat {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let fields: Vec<_> = text.rsplit(") ").next()?.split(' ').collect();
        Some(Self {
            state: fields[0].chars().next()?,
            session: fields[3].parse().ok()?,
            started: fields[19].parse().ok()?,
        })
    }
}

/// A process, whoever gets its pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) started: u64,
}

impl Process {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    pub(crate) fn is_alive(self) -> bool {
        is_alive(self.pid) && Self::of(self.pid) == Some(self)
    }
}

/// The children of all threads of a process, zombies among them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            let pids = list
                .split_ascii_whitespace()
                .map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<_>>()
        })
        .collect()
}

/// What a process has open, by number.
pub(crate) fn descriptors(pid: u32) -> BTreeMap<u32, String> {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeMap::new();
    };
    open.flatten()
        .filter_map(|entry| {
            let file = fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, file.display().to_string()))
        })
        .collect()
}
