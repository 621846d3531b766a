//! What processes use up, as `/proc` tells it.

use std::{fs, io::Read, path::Path, time::Duration};

/// One process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) started: u64,
    pub(crate) parent: u32,
    pub(crate) zombie: bool,
    /// CPU time, user and system, clock ticks: its own, and that of the children it waited for.
    pub(crate) cpu: u64,
    /// The part of the children.
    pub(crate) waited: u64,
    pub(crate) threads: u32,
    /// Resident memory, what it shares included, bytes.
    pub(crate) resident_bytes: u64,
}

/// `None` where there is no such process.
pub(crate) fn sample(pid: u32) -> Option<Sample> {
    let mut buffer = [0; 1_024];
    let text = read_small(format!("/proc/{pid}/stat"), &mut buffer)?;
    // The command name is in parentheses and may hold anything, parentheses too.
    let after_name = text.iter().rposition(|b| *b == b')')?;
    let mut fields = std::str::from_utf8(text.get(after_name + 2..)?)
        .ok()?
        .split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    // From here on, `nth` skips what is not wanted; the numbers are those of proc(5), from 1.
    let utime: u64 = fields.nth(14 - 5)?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    let cutime: i64 = fields.next()?.parse().ok()?;
    let cstime: i64 = fields.next()?.parse().ok()?;
    let threads = fields.nth(20 - 18)?.parse().unwrap_or(1);
    let started = fields.nth(22 - 21)?.parse().ok()?;
    let resident: i64 = fields.nth(24 - 23)?.parse().ok()?;
    let waited = cutime.unsigned_abs() + cstime.unsigned_abs();
    Some(Sample {
        pid,
        started,
        parent,
        zombie,
        cpu: utime + stime + waited,
        waited,
        threads,
        resident_bytes: resident.unsigned_abs() * rustix::param::page_size() as u64,
    })
}

/// The direct children of a process of so many threads.
pub(crate) fn children_of(pid: u32, threads: u32) -> Vec<u32> {
    if threads > 1 {
        return super::children(pid).iter().collect();
    }
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Memory of a process, of what is shared its part, swapped memory too, bytes. Costs about a
/// millisecond for each 100 MiB. `None` where it can't be looked at.
pub(crate) fn proportional_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok())
    };
    Some((kib("Pss:")? + kib("SwapPss:").unwrap_or(0)) << 10)
}

/// As the kernel has it: the first 15 bytes of the program's name.
pub(crate) fn name(pid: u32) -> String {
    let mut buffer = [0; 64];
    read_small(format!("/proc/{pid}/comm"), &mut buffer)
        .map(|name| String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
        .unwrap_or_default()
}

/// Resident memory of this process, bytes; 0 where it is not known.
pub(crate) fn own_resident_bytes() -> u64 {
    let mut buffer = [0; 128];
    read_small("/proc/self/statm", &mut buffer)
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * rustix::param::page_size() as u64)
}

pub(crate) fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(
        ticks.saturating_mul(1_000) / rustix::param::clock_ticks_per_second().max(1),
    )
}

/// The first read is all of it: such files are made in one piece.
fn read_small(path: impl AsRef<Path>, buffer: &mut [u8]) -> Option<&[u8]> {
    let read = fs::File::open(path).ok()?.read(buffer).ok()?;
    buffer.get(..read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let own = sample(std::process::id()).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert_eq!(
            Some(own.started),
            super::super::process_id(own.pid).map(|id| id.started)
        );
        assert!(!own.zombie && own.threads >= 1);
        let resident = own_resident_bytes();
        assert!(own.resident_bytes > resident / 2 && own.resident_bytes < resident * 2);
        let part = proportional_bytes(own.pid).unwrap();
        assert!(part > 0 && part < resident * 2);
        assert!(!name(own.pid).is_empty());
        assert_eq!(sample(u32::MAX >> 1), None);
    }
}
