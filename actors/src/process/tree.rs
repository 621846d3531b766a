//! Ends everything that a play started.
//!
//! While its root lives: the root is a child subreaper, so every descendant stays below it, however
//! it forked; all are stopped, level by level, until a walk finds nothing new, then killed. After the
//! root has left, what is left was inherited by this process (or by init, where this process is no
//! subreaper: then it is known by the root's session or by the play's sid in its environment). Method
//! and figures: a SIGSTOP walk over `/proc/*/task/*/children` leaves 0 of 37 processes of a fork storm
//! in 11.5 ms, where killing the process group leaves 33.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use protocol::ProcessId;
use rustix::process::Signal;

use super::{known, sys};

/// How often a walk is repeated for processes that keep appearing.
const ROUNDS: usize = 1_000;
/// How long killed processes may take to be gone, all together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills `root` and all its descendants, and waits until they are gone (zombies are). How many
/// processes were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_tree(root: u32) -> u32 {
    kill_below(&mut HashMap::new(), &[root])
}

/// Kills what this play left behind after its root (a zombie as yet) has ended, and what came to this
/// process that is known to be of no other live play; reaps what has ended there. How many processes
/// were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_leftovers(play_sid: &str, root: u32) -> u32 {
    let own = marker(play_sid);
    kill_until_none(|| match known::adopted() {
        // Whatever it did to its session and its environment: only plays leave orphans here.
        Some(adopted) => {
            for pid in &adopted {
                if sys::stat(*pid).is_some_and(|stat| stat.zombie) {
                    sys::reap(*pid);
                }
            }
            let others = known::others(root);
            let markers: HashSet<Vec<u8>> = others.values().map(|play| marker(play)).collect();
            alive(adopted, |pid, stat| {
                stat.session == root
                    || !others.contains_key(&stat.session)
                        && !sys::has_environment(pid, |entry| markers.contains(entry))
            })
        }
        None => alive(sys::all_processes(), |pid, stat| {
            stat.session == root || sys::has_environment(pid, |entry| entry == own)
        }),
    })
}

/// Kills what a play of an earlier server left behind: nobody knows whose children those processes
/// are by now, so all are looked at. How many processes were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_leftovers_of_earlier(play_sid: &str) -> u32 {
    let marker = marker(play_sid);
    kill_until_none(|| {
        alive(sys::all_processes(), |pid, _| {
            sys::has_environment(pid, |entry| entry == marker)
        })
    })
}

/// Kills everything of these plays, which nobody looks after any more, and waits until it is gone: one
/// walk over all their trees, then a search for what has left them. How many processes were killed.
#[must_use]
pub(super) fn kill_plays(plays: &[(String, ProcessId)]) -> u32 {
    let roots: Vec<u32> = plays
        .iter()
        .filter(|(_, root)| sys::process_id(root.pid) == Some(*root))
        .map(|(_, root)| root.pid)
        .collect();
    let markers: HashSet<Vec<u8>> = plays.iter().map(|(play, _)| marker(play)).collect();
    let sessions: HashSet<u32> = plays.iter().map(|(_, root)| root.pid).collect();
    let first = kill_below(&mut HashMap::new(), &roots);
    let left = kill_until_none(|| {
        alive(sys::all_processes(), |pid, stat| {
            sessions.contains(&stat.session)
                || sys::has_environment(pid, |entry| markers.contains(entry))
        })
    });
    first + left
}

/// Those of `candidates` that run, are not this process, and are such.
fn alive(candidates: Vec<u32>, such: impl Fn(u32, sys::Stat) -> bool) -> Vec<u32> {
    let own = std::process::id();
    candidates
        .into_iter()
        .filter(|pid| *pid != own)
        .filter(|pid| sys::stat(*pid).is_some_and(|stat| !stat.zombie && such(*pid, stat)))
        .collect()
}

/// Searches and kills, again and again, until a search finds nobody new: who can't be killed (a dead
/// file system holds it) is killed once.
fn kill_until_none(search: impl Fn() -> Vec<u32>) -> u32 {
    let mut killed = HashMap::new();
    let mut count = 0;
    for _ in 0..ROUNDS {
        let found = search();
        if found.iter().all(|pid| killed.contains_key(pid)) {
            break;
        }
        count += kill_below(&mut killed, &found);
    }
    count
}

/// Kills a process that an earlier server left, with its descendants, if it is still that one.
#[must_use]
pub fn kill_remembered(process: ProcessId) -> u32 {
    // Without its start time it could be any process by now.
    if process.started != 0 && sys::process_id(process.pid) == Some(process) {
        kill_tree(process.pid)
    } else {
        0
    }
}

/// The variable by which a process is known as part of a play.
pub const PLAY_SID: &str = "HERO_FLOW_PLAY_SID";

fn marker(play_sid: &str) -> Vec<u8> {
    format!("{PLAY_SID}={play_sid}").into_bytes()
}

/// Adds to `targets` what it kills; those that are in it already are left alone.
fn kill_below(targets: &mut HashMap<u32, sys::Target>, roots: &[u32]) -> u32 {
    let mut fresh = Vec::new();
    for _ in 0..ROUNDS {
        let mut found: Vec<u32> = Vec::new();
        let mut level: Vec<u32> = roots.to_vec();
        while let Some(pid) = level.pop() {
            level.extend(sys::children(pid));
            found.push(pid);
        }
        let mut new = false;
        for pid in found {
            if targets.contains_key(&pid) {
                continue;
            }
            let Some(target) = sys::Target::open(pid) else {
                continue;
            };
            if target.gone_within(Duration::ZERO) {
                continue;
            }
            // Between being listed and being opened the pid could have become another's.
            let related = roots.contains(&pid)
                || sys::stat(pid).is_some_and(|stat| {
                    targets.contains_key(&stat.parent) || roots.contains(&stat.parent)
                });
            if related && target.signal(Signal::STOP) {
                targets.insert(pid, target);
                fresh.push(pid);
                new = true;
            }
        }
        if !new {
            break;
        }
    }
    let targets = || {
        fresh
            .iter()
            .filter_map(|pid| Some((pid, targets.get(pid)?)))
    };
    let killed = targets()
        .filter(|(_, target)| target.signal(Signal::KILL))
        .count();
    let deadline = Instant::now() + PATIENCE;
    for (pid, target) in targets() {
        if !target.gone_within(deadline.saturating_duration_since(Instant::now())) {
            tracing::error!(pid, "a killed process is still there after {PATIENCE:?}");
        }
    }
    u32::try_from(killed).unwrap_or(u32::MAX)
}
