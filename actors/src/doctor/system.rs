//! What the system lets this process do: limits, processes, the clock.

use std::time::Duration;

use protocol::{EpochMs, LimitName, Limits, server::Check};
use rustix::process::{Resource, getrlimit};

use super::{Subject, size};
use crate::process;

/// 2025-01-01: this program is younger.
const BORN: f64 = 1_735_689_600_000.0;
/// About how many descriptors a play takes.
const FILES_A_PLAY: u64 = 6;

pub(super) fn checks(subject: &Subject) -> Vec<Check> {
    vec![
        open_files(subject),
        processes(),
        memory(subject),
        limits(&subject.limits),
        tree_kill(),
        cgroup(),
        clock(),
    ]
}

fn slots(subject: &Subject) -> u32 {
    subject.max_plays.unwrap_or_else(process::default_max_plays)
}

/// The server raises its own limit to the hard one.
fn open_files(subject: &Subject) -> Check {
    let limit = getrlimit(Resource::Nofile).maximum;
    let shown = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    let wanted = u64::from(slots(subject)) * FILES_A_PLAY + 256;
    let check = if limit.is_some_and(|limit| limit < wanted) {
        Check::warning(
            "open_files",
            format!("{shown} for the server; {wanted} would be needed with all slots taken"),
        )
        .hint("raise it: ulimit -Hn, or LimitNOFILE= in the systemd unit")
    } else {
        Check::ok("open_files", format!("{shown} for the server"))
    };
    check.fact("limit", limit)
}

fn processes() -> Check {
    let limit = getrlimit(Resource::Nproc).current;
    match limit {
        Some(limit) if limit < 512 => {
            Check::warning("processes", format!("this user can have {limit}"))
                .hint("raise it: ulimit -u, or TasksMax= in the systemd unit")
        }
        Some(limit) => Check::ok("processes", format!("this user can have {limit}")),
        None => Check::ok("processes", "no limit"),
    }
    .fact("limit", limit)
}

fn memory(subject: &Subject) -> Check {
    let slots = slots(subject);
    let total = process::total_memory();
    let each = total.map(|total| total / u64::from(slots.max(1)));
    match (total, each) {
        (Some(total), Some(each)) if each < 64 << 20 => Check::warning(
            "slots",
            format!(
                "{slots} plays at once, with {} of memory for each",
                size(each)
            ),
        )
        .hint("lower --max-plays")
        .fact("memory_bytes", total),
        (Some(total), _) => Check::ok(
            "slots",
            format!("{slots} plays at once, {} of memory", size(total)),
        )
        .fact("memory_bytes", total),
        (None, _) => Check::ok("slots", format!("{slots} plays at once")),
    }
    .fact("slots", slots)
}

/// What a play may use up where neither the call nor its flow says anything.
fn limits(limits: &Limits) -> Check {
    let mut words = Vec::new();
    for name in LimitName::ALL {
        let value = limits.get(name);
        words.push(match (name, value) {
            (LimitName::Disk, None) => "disk half of what is free, at least 64 MiB".to_owned(),
            (LimitName::OpenFiles, None) => "open_files the server's own".to_owned(),
            (_, None) => format!("{} no limit", name.as_str()),
            (LimitName::Memory | LimitName::Output | LimitName::Disk, Some(bytes)) => {
                format!("{} {}", name.as_str(), size(bytes))
            }
            (LimitName::Cpu, Some(ms)) => format!("cpu {:?}", Duration::from_millis(ms)),
            (_, Some(count)) => format!("{} {count}", name.as_str()),
        });
    }
    let check = Check::ok("limits", format!("of a play: {}", words.join(", ")));
    LimitName::ALL.into_iter().fold(check, |check, name| {
        check.fact(name.as_str(), limits.get(name))
    })
}

/// What ending a whole tree of processes rests on.
fn tree_kill() -> Check {
    let lacks = process::tree_kill_lacks();
    if lacks.is_empty() {
        return Check::ok(
            "tree_kill",
            "whole process trees can be ended (subreaper, pidfd, /proc/PID/task/TID/children)",
        );
    }
    Check::warning(
        "tree_kill",
        format!("the system lacks: {}", lacks.join(", ")),
    )
    .hint("processes that leave a play's group can outlive it")
    .fact("lacks", lacks)
}

fn cgroup() -> Check {
    match process::delegated_cgroup() {
        Ok(dir) => Check::ok(
            "cgroup",
            format!(
                "version 2, delegated at {}; not made use of, limits are kept by watching",
                dir.display()
            ),
        )
        .fact("path", dir.display().to_string())
        .fact("delegated", true),
        Err(why) => Check::ok("cgroup", format!("{why}; limits are kept by watching"))
            .fact("delegated", false),
    }
}

/// Sids sort by it.
fn clock() -> Check {
    let now = EpochMs::now();
    if now.0 < BORN {
        return Check::broken(
            "clock",
            "the system's clock is set to a time before this program was written",
        )
        .hint("set it: plays are ordered by it");
    }
    Check::ok("clock", "the system's clock is set").fact("now_ms", now.0)
}
