//! What `/proc` tells of processes: memory and CPU time.

use std::{collections::HashSet, fs, time::Duration};

/// Bytes of memory of a process, as `smaps_rollup` has them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Its own, and its share of what it has in common with others.
    pub(crate) proportional: u64,
    /// What is gone with it.
    pub(crate) private: u64,
}

/// None where the process is gone, or the kernel does not tell.
pub(crate) fn memory(pid: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        proportional: field("Pss:")?,
        private: field("Private_Clean:")? + field("Private_Dirty:")?,
    })
}

/// The proportional memory of a process and all below it.
pub(crate) fn memory_of_tree(pid: u32) -> u64 {
    std::iter::once(pid)
        .chain(below(pid))
        .filter_map(memory)
        .map(|memory| memory.proportional)
        .sum()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            let pids = list.split_ascii_whitespace().map(str::parse);
            pids.filter_map(Result::ok).collect::<Vec<u32>>()
        })
        .collect()
}

/// Everything below a process.
pub(crate) fn below(pid: u32) -> Vec<u32> {
    let mut level = children(pid);
    let mut found = Vec::new();
    let mut known = HashSet::new();
    while let Some(pid) = level.pop() {
        if known.insert(pid) {
            level.extend(children(pid));
            found.push(pid);
        }
    }
    found
}

/// Whether two processes run the same program.
pub(crate) fn same_program(one: u32, other: u32) -> bool {
    let program = |pid| fs::read_link(format!("/proc/{pid}/exe"));
    matches!((program(one), program(other)), (Ok(one), Ok(other)) if one == other)
}

/// The CPU time that a process has used, without its children's; in steps of 10 ms.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let tick = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_micros((user + system) * 1_000_000 / tick))
}
