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

/// How long processes that keep appearing are hunted, all together.
const HUNT: Duration = Duration::from_secs(30);
/// How long killed processes may take to be gone, all together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills `root` and all its descendants, and waits until they are gone (zombies are). How many
/// processes were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_tree(root: u32) -> u32 {
    Hunt::default().kill_all(|hunt| hunt.stop_such([root], |_, _| true))
}

/// Kills what this play left behind after its root (a zombie as yet) has ended, and what came to this
/// process that is known to be of no other live play; reaps what has ended there. How many processes
/// were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_leftovers(play_sid: &str, root: u32) -> u32 {
    let marker = marker(play_sid);
    let others = known::others(root);
    let other_markers: HashSet<_> = others.values().map(|play| self::marker(play)).collect();
    Hunt::default().kill_all(|hunt| match known::before() {
        // Whatever it did to its session and its environment: only plays leave orphans here.
        Some(before) => {
            let adopted = sys::adopted();
            // No play's root is among them, nor any helper: nobody else waits for them.
            let orphans = adopted
                .iter()
                .filter(|pid| !before.contains(pid) && !sys::reap(*pid));
            hunt.stop_such(orphans, |pid, stat| {
                let of_another = others.contains_key(&stat.session)
                    || sys::has_environment(pid, |entry| other_markers.contains(entry));
                stat.parent == std::process::id() && (stat.session == root || !of_another)
            });
        }
        None => hunt.stop_such(
            such(sys::all_processes(), |pid, stat| {
                stat.session == root || sys::has_environment(pid, |entry| entry == marker)
            }),
            |_, _| true,
        ),
    })
}

/// Kills what a play of an earlier server left behind: nobody knows whose children those processes
/// are by now, so all are looked at. How many processes were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_leftovers_of_earlier(play_sid: &str) -> u32 {
    let marker = marker(play_sid);
    Hunt::default().kill_all(|hunt| {
        let left = such(sys::all_processes(), |pid, _| {
            sys::has_environment(pid, |entry| entry == marker)
        });
        hunt.stop_such(left, |_, _| true);
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
    let mut hunt = Hunt::default();
    let first = hunt.kill_all(|hunt| hunt.stop_such(roots.clone(), |_, _| true));
    let left = hunt.kill_all(|hunt| {
        let left = such(sys::all_processes(), |pid, stat| {
            sessions.contains(&stat.session)
                || sys::has_environment(pid, |entry| markers.contains(entry))
        });
        hunt.stop_such(left, |_, _| true);
    });
    first + left
}

/// Those of `candidates` that run, are not this process, and are such.
fn such(candidates: Vec<u32>, such: impl Fn(u32, sys::Stat) -> bool) -> Vec<u32> {
    let own = std::process::id();
    candidates
        .into_iter()
        .filter(|pid| *pid != own)
        .filter(|pid| sys::stat(*pid).is_some_and(|stat| !stat.zombie && such(*pid, stat)))
        .collect()
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

/// Those that were found, stopped and killed so far.
#[derive(Default)]
struct Hunt {
    targets: HashMap<u32, sys::Target>,
    /// Not killed as yet.
    fresh: Vec<u32>,
    /// Children of those that had ended before: as long as their parents are stopped, nobody reaps them,
    /// and a storm leaves thousands.
    ended: HashSet<u32>,
}

impl Hunt {
    /// Whether this one was stopped, and is still there.
    fn has(&self, pid: u32) -> bool {
        // A number can be another's by now: a storm of forks goes through all of them in seconds.
        self.targets
            .get(&pid)
            .is_some_and(|target| !target.gone_within(Duration::ZERO))
    }

    /// `search` stops whom it finds; all below them are stopped too, until nobody new is found; then all
    /// are killed and waited for. That again, until a search finds nobody: who can't be killed (a dead
    /// file system holds it) is killed once. How many were killed.
    fn kill_all(&mut self, search: impl Fn(&mut Self)) -> u32 {
        let until = Instant::now() + HUNT;
        let mut killed = 0;
        loop {
            loop {
                let before = self.fresh.len();
                search(self);
                self.stop_below();
                if self.fresh.len() == before || Instant::now() >= until {
                    break;
                }
            }
            if self.fresh.is_empty() {
                return killed;
            }
            killed += self.kill();
            if Instant::now() >= until {
                tracing::error!("processes keep appearing after {HUNT:?} of killing them");
                return killed;
            }
        }
    }

    /// Stops those of `found` (the oldest first) that are such when they are stopped; others go on.
    fn stop_such(
        &mut self,
        found: impl IntoIterator<Item = u32, IntoIter: DoubleEndedIterator>,
        such: impl Fn(u32, sys::Stat) -> bool,
    ) {
        // The newest first: whoever leaves as soon as it has forked must be met before that.
        for pid in found.into_iter().rev() {
            if self.ended.contains(&pid) || self.has(pid) {
                continue;
            }
            let Some(target) = sys::Target::open(pid) else {
                continue;
            };
            if !target.signal(Signal::STOP) || target.gone_within(Duration::ZERO) {
                continue;
            }
            // Between being listed and being opened the pid could have become another's.
            if sys::stat(pid).is_some_and(|stat| such(pid, stat)) {
                self.targets.insert(pid, target);
                self.fresh.push(pid);
            } else {
                target.signal(Signal::CONT);
            }
        }
    }

    /// Stops whoever is below those that were stopped, each before its children are looked for.
    fn stop_below(&mut self) {
        let mut next = 0;
        while let Some(pid) = self.fresh.get(next).copied() {
            next += 1;
            let children = sys::children(pid);
            self.stop_such(children.iter(), |_, stat| stat.parent == pid);
            let ended = children
                .iter()
                .filter(|child| !self.targets.contains_key(child));
            let ended: Vec<_> = ended
                .filter(|child| !self.ended.contains(child))
                .filter(|child| {
                    sys::stat(*child).is_some_and(|stat| stat.zombie && stat.parent == pid)
                })
                .collect();
            self.ended.extend(ended);
        }
    }

    fn kill(&mut self) -> u32 {
        let fresh = std::mem::take(&mut self.fresh);
        self.ended.clear();
        let targets = || {
            fresh
                .iter()
                .filter_map(|pid| Some((pid, self.targets.get(pid)?)))
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
}
