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

use super::{known, mark::Mark, sys};

/// How long processes that keep appearing are hunted, all together.
const HUNT: Duration = Duration::from_secs(30);
/// How many walks in a row must find nobody new, and miss nobody, before all count as found: a list of
/// children is read while they come and go.
const QUIET: u32 = 2;
/// How long killed processes may take to be gone, all together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills `root`, if it is still that one, and all its descendants, and waits until they are gone
/// (zombies are). How many processes were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_tree(root: ProcessId) -> u32 {
    if !sys::CAN_WALK {
        return u32::from(sys::signal_group(root.pid, Signal::KILL));
    }
    Hunt::default().kill_all(|hunt| {
        hunt.stop_root(root);
        // That it has left by itself is no reason to look for it again.
        false
    })
}

/// Kills what this play left behind after its root (a zombie as yet) has ended, and what came to this
/// process that is known to be of no other live play; reaps what has ended there. How many processes
/// were killed. Blocks for some milliseconds.
///
/// What comes here is of a play whose root has ended: a root that lives inherits it instead, unless it
/// told the kernel not to. Of several plays that end at once each takes its own, as far as it can be
/// told (session, environment, the environment of the session's leader); who has got rid of all of
/// these is killed, and counted, by whichever play comes first.
#[must_use]
pub fn kill_leftovers(play_sid: &str, root: u32) -> u32 {
    let marker = marker(play_sid);
    Hunt::default().kill_all(|hunt| match known::before() {
        // Whatever it did to its session and its environment: only plays leave orphans here.
        Some(before) => {
            let adopted = sys::adopted();
            if adopted.iter().all(|pid| !is_orphan(pid, before)) {
                return false;
            }
            // After that: whose orphans are in the list is known, or has seen to their end.
            let others = Others::of(root);
            // Looked at one by one, and no sooner: they may hop on. No play's root is among them, nor
            // any helper: nobody else waits for them.
            let orphans = adopted
                .iter()
                .filter(|pid| is_orphan(*pid, before))
                .filter(|pid| !sys::reap(*pid));
            hunt.stop_such(orphans, |pid, stat| {
                stat.parent == std::process::id()
                    && !is_spare(pid, stat)
                    && (stat.session == root || !others.have(pid, stat))
            })
        }
        None => hunt.stop_these(&such(sys::all_processes(), |pid, stat| {
            stat.session == root || sys::has_environment(pid, |entry| entry == marker)
        })),
    })
}

/// Whether there is anybody whom [`kill_leftovers`] would look at: else it need not be called. Takes some
/// microseconds.
#[must_use]
pub fn may_have_left() -> bool {
    // Also one that has ended counts: others may come of it that are not in the list yet.
    known::before().is_none_or(|before| sys::adopted().iter().any(|pid| is_orphan(pid, before)))
}

/// Whether a child of the first thread came from a play, also one that has ended.
fn is_orphan(pid: u32, before: &[u32]) -> bool {
    // Looked at first: who was to come then, and has spoken since, is known at last.
    let may_be_spare = known::expects_spares();
    let waits = || sys::stat(pid).is_some_and(|stat| !stat.zombie && is_spare(pid, stat));
    if before.contains(&pid) || (may_be_spare && waits()) {
        return false;
    }
    // Asked last: a spare that ends before it has spoken is nobody else's.
    !known::is_handed_on(pid)
}

/// Whether a child with this `stat` is a spare, or was one. It says so before it leaves the session of
/// its fork server: so that is looked at first.
fn is_spare(pid: u32, stat: sys::Stat) -> bool {
    known::is_to_be_handed_on(stat.session) || known::is_handed_on(pid)
}

/// The other plays that this process looks after, until nothing of them is left.
struct Others {
    roots: HashMap<u32, String>,
    markers: HashSet<Vec<u8>>,
}

impl Others {
    fn of(root: u32) -> Self {
        let roots = known::others(root);
        let markers = roots.values().map(|play| marker(play)).collect();
        Self { roots, markers }
    }

    /// Whether this process is one of theirs, as far as it can be told.
    fn have(&self, pid: u32, stat: sys::Stat) -> bool {
        let is_marked = |pid| sys::has_environment(pid, |entry| self.markers.contains(entry));
        self.roots.contains_key(&stat.session) || is_marked(pid) || is_marked(stat.session)
    }
}

/// Kills what these plays of an earlier server left behind: their roots, where they are still those, and all below
/// them; then what is known by its environment. Nobody knows whose children those processes are by now, so all
/// processes are looked at, once for all plays. How many processes were killed. Blocks for some milliseconds.
#[must_use]
pub fn kill_plays_of_earlier(plays: &[(String, Option<ProcessId>)]) -> u32 {
    let markers: HashSet<Vec<u8>> = plays.iter().map(|(play, _)| marker(play)).collect();
    let roots = plays.iter().filter_map(|(_, root)| *root);
    // Without its start time it could be any process by now.
    let roots: Vec<ProcessId> = roots.filter(|root| root.started != 0).collect();
    let mut hunt = Hunt::default();
    let first = hunt.kill_all(|hunt| {
        roots.iter().for_each(|root| {
            hunt.stop_root(*root);
        });
        false
    });
    let left = hunt.kill_all(|hunt| {
        hunt.stop_these(&such(sys::all_processes(), |pid, _| {
            sys::has_environment(pid, |entry| markers.contains(entry))
        }))
    });
    first + left
}

/// Kills everything of these plays, which nobody looks after any more, and waits until it is gone: one
/// walk over all their trees, then a search for what has left them, or has their server's mark. How many processes were killed.
///
/// A root's pid can be another's by now. So a session is a play's only where its leader is the root,
/// or is gone: as long as anybody is in it, nobody else gets its number.
#[must_use]
pub(super) fn kill_plays(plays: &[(String, ProcessId)], mark: Option<Mark>) -> u32 {
    let markers: HashSet<Vec<u8>> = plays.iter().map(|(play, _)| marker(play)).collect();
    let sessions: HashMap<u32, u64> = plays
        .iter()
        .map(|(_, root)| (root.pid, root.started))
        .collect();
    let is_theirs = |session: u32| {
        sessions.get(&session).is_some_and(|started| {
            sys::stat(session).is_none_or(|leader| leader.started == *started)
        })
    };
    let mut hunt = Hunt::default();
    let first = hunt.kill_all(|hunt| {
        plays.iter().for_each(|(_, root)| {
            hunt.stop_root(*root);
        });
        false
    });
    let left = hunt.kill_all(|hunt| {
        hunt.stop_these(&such(sys::all_processes(), |pid, stat| {
            is_theirs(stat.session)
                || sys::has_environment(pid, |entry| markers.contains(entry))
                || mark.is_some_and(|mark| sys::has_mark(pid, mark.0))
        }))
    });
    first + left
}

/// Kills whatever plays of a server that is gone have left, by its mark. How many processes were killed.
/// Blocks for some milliseconds.
#[must_use]
pub fn kill_marked(mark: Mark) -> u32 {
    kill_plays(&[], Some(mark))
}

/// Those of `candidates` that run, are not this process, and are such.
fn such(candidates: Vec<u32>, such: impl Fn(u32, sys::Stat) -> bool) -> Vec<ProcessId> {
    let own = std::process::id();
    candidates
        .into_iter()
        .filter(|pid| *pid != own)
        .filter_map(|pid| {
            let stat = sys::stat(pid).filter(|stat| !stat.zombie && such(pid, *stat))?;
            let started = stat.started;
            Some(ProcessId { pid, started })
        })
        .collect()
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

    /// `search` stops whom it finds; all below them are stopped too, until nobody new is found and nobody
    /// gets away; then all are killed and waited for. That again, until a search finds nobody: who can't be killed (a dead
    /// file system holds it) is killed once. How many were killed.
    fn kill_all(&mut self, search: impl Fn(&mut Self) -> bool) -> u32 {
        let until = Instant::now() + HUNT;
        let mut killed = 0;
        loop {
            let mut quiet = 0;
            while quiet < QUIET && Instant::now() < until {
                let before = self.fresh.len();
                let missed = search(self) | self.stop_below();
                let found = self.fresh.len() > before;
                quiet = if found || missed { 0 } else { quiet + 1 };
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

    /// Stops the root of a play, if it is still that one, and in one call, that no fork escapes, all those
    /// that have not left its group. The walk is for those that have; with a thousand processes that fork
    /// on, each running in its turn, it would hardly come to run itself.
    fn stop_root(&mut self, root: ProcessId) -> bool {
        // Not known (0): then it is a child of ours that was not waited for, and nobody else's pid.
        let is_it = |stat: sys::Stat| root.started == 0 || stat.started == root.started;
        if !sys::stat(root.pid).is_some_and(is_it) {
            return false;
        }
        self.stop_such([root.pid], |pid, stat| {
            let is_root = is_it(stat);
            // As long as it is there, and it is stopped here, no other group has its number.
            if is_root && !sys::signal_group(pid, Signal::STOP) {
                tracing::debug!(root = pid, "the group of a play's root was gone");
            }
            is_root
        })
    }

    /// Stops those of `found` (the oldest first) that are still the same.
    fn stop_these(&mut self, found: &[ProcessId]) -> bool {
        let mut missed = false;
        for one in found.iter().rev() {
            missed |= self.stop_such([one.pid], |_, stat| stat.started == one.started);
        }
        missed
    }

    /// Stops those of `found` (the oldest first) that are such when they are stopped; others go on.
    /// Whether somebody had left before that, perhaps not without having forked.
    fn stop_such(
        &mut self,
        found: impl IntoIterator<Item = u32, IntoIter: DoubleEndedIterator>,
        such: impl Fn(u32, sys::Stat) -> bool,
    ) -> bool {
        let mut missed = false;
        // The newest first: whoever leaves as soon as it has forked must be met before that.
        for pid in found.into_iter().rev() {
            if self.ended.contains(&pid) || self.has(pid) {
                continue;
            }
            let target = sys::Target::open(pid).filter(|target| {
                target.signal(Signal::STOP) && !target.gone_within(Duration::ZERO)
            });
            let Some(target) = target else {
                missed = true;
                continue;
            };
            // Between being listed and being opened the pid could have become another's.
            if sys::stat(pid).is_some_and(|stat| such(pid, stat)) {
                self.targets.insert(pid, target);
                self.fresh.push(pid);
            } else {
                target.signal(Signal::CONT);
            }
        }
        missed
    }

    /// Stops whoever is below those that were stopped, each before its children are looked for.
    fn stop_below(&mut self) -> bool {
        let mut missed = false;
        let mut next = 0;
        while let Some(pid) = self.fresh.get(next).copied() {
            next += 1;
            let children = sys::children(pid);
            missed |= self.stop_such(children.iter(), |_, stat| stat.parent == pid);
            let ended: Vec<_> = children
                .iter()
                .filter(|child| !self.ended.contains(child) && !self.has(*child))
                .filter(|child| {
                    sys::stat(*child).is_some_and(|stat| stat.zombie && stat.parent == pid)
                })
                .collect();
            self.ended.extend(ended);
        }
        missed
    }

    fn kill(&mut self) -> u32 {
        let fresh = std::mem::take(&mut self.fresh);
        self.ended.clear();
        let killed = fresh
            .iter()
            .filter_map(|pid| self.targets.get(pid))
            .filter(|target| target.signal(Signal::KILL))
            .count();
        let deadline = Instant::now() + PATIENCE;
        for pid in &fresh {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.targets.get(pid) {
                // It is held on to, so that it is not killed again and again.
                Some(target) if !target.gone_within(left) => {
                    tracing::error!(pid, "a killed process is still there after {PATIENCE:?}");
                }
                // Its descriptor is given back at once: a storm leaves thousands.
                _ => drop(self.targets.remove(pid)),
            }
        }
        u32::try_from(killed).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
