//! When which play is looked at.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{Entry, Next, Shared};
use crate::process::sys;

/// How often plays are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two looks at a play, at least.
    base: Duration,
    /// The same for one that is near a limit.
    soon: Duration,
}

/// All plays together may cost one part in so many of a core.
const SHARE: u32 = 50;
/// Those that are near a limit, one in so many.
const SHARE_SOON: u32 = 5;
/// Between two looks at a play, whatever they cost.
const LONGEST: Duration = Duration::from_secs(2);

impl Pace {
    pub(super) const PROCESSES: Self = Self {
        base: Duration::from_millis(50),
        soon: Duration::from_millis(5),
    };
    /// A directory is not filled as fast as memory is.
    pub(super) const DISK: Self = Self {
        base: Duration::from_millis(250),
        soon: Duration::from_millis(25),
    };

    pub(super) fn base_ms(self) -> u64 {
        u64::try_from(self.base.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a play is left alone after a look that took `took`, where `plays` share the cost.
    fn pause(self, next: Next, took: Duration, plays: usize) -> Duration {
        let plays = u32::try_from(plays).unwrap_or(u32::MAX);
        match next {
            Next::Usual => self
                .base
                .max(took.saturating_mul(SHARE).saturating_mul(plays))
                .min(LONGEST),
            Next::Soon => self
                .soon
                .max(took.saturating_mul(SHARE_SOON).saturating_mul(plays))
                .min(LONGEST),
        }
    }
}

/// Looks at the plays, each when it is due, until the watch is over.
pub(super) fn patrol(shared: &Shared, pace: Pace, look: impl Fn(&Entry) -> Next) {
    sys::prefer_this_thread();
    let mut due: HashMap<u64, Instant> = HashMap::new();
    let mut wake = Instant::now();
    let mut panics = 0_u64;
    while let Some(plays) = wait(shared, wake) {
        due.retain(|id, _| plays.contains_key(id));
        let mut near = false;
        for (id, entry) in &plays {
            let began = Instant::now();
            let at = due.entry(*id).or_insert(entry.since + pace.base);
            if *at > began {
                continue;
            }
            let used = cpu_time();
            // Without the watch, no limit of any play would hold.
            let Ok(next) = catch_unwind(AssertUnwindSafe(|| look(entry))) else {
                panics += 1;
                tracing::error!(
                    root = entry.root.pid,
                    panics,
                    "a look at a play panicked; its limits may not be kept. Please report this"
                );
                *at = Instant::now() + LONGEST;
                continue;
            };
            // Time, not duration: where there are too few cores for all, waiting for one is no cost.
            let took = cpu_time().saturating_sub(used);
            near |= next == Next::Soon;
            *at = Instant::now() + pace.pause(next, took, plays.len());
        }
        // Plays that are due at about the same time are looked at together: waking up costs too.
        let now = Instant::now();
        let first = due.values().min().copied().unwrap_or(now);
        let least = if near { pace.soon } else { pace.base / 2 };
        wake = first.clamp(now + least, now + pace.base);
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Sleeps until then, or for as long as there is no play; `None` at the end.
fn wait(shared: &Shared, until: Instant) -> Option<HashMap<u64, Arc<Entry>>> {
    let mut plays = shared.plays();
    loop {
        if plays.closing {
            return None;
        }
        let left = until.saturating_duration_since(Instant::now());
        if !plays.entries.is_empty() && left.is_zero() {
            return Some(plays.entries.clone());
        }
        plays = if plays.entries.is_empty() {
            shared
                .changed
                .wait(plays)
                .unwrap_or_else(PoisonError::into_inner)
        } else {
            shared
                .changed
                .wait_timeout(plays, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        };
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use protocol::{Limits, ProcessId};

    use super::{super::Watch, *};

    #[test]
    fn a_look_that_panics_ends_no_other() {
        let watch = Watch::start().unwrap();
        let over = |pid| {
            let root = ProcessId { pid, started: 1 };
            watch.over(root, Limits::default(), Vec::new())
        };
        // Both were there before the patrol began.
        let plays = [over(u32::MAX >> 1), over(u32::MAX >> 2)];
        let shared = watch.0.0.clone();
        let (looked, looks) = mpsc::channel();
        let patrol = thread::spawn(move || {
            patrol(&shared, Pace::PROCESSES, |entry| {
                looked.send(entry.root.pid).unwrap();
                assert_ne!(entry.root.pid, u32::MAX >> 2, "a panic that is meant");
                Next::Soon
            });
        });
        let patience = Duration::from_secs(60);
        let mut panicked = 0;
        let mut others = 0;
        while panicked < 2 || others < 10 {
            match looks.recv_timeout(patience).unwrap() {
                pid if pid == u32::MAX >> 2 => panicked += 1,
                _ => others += 1,
            }
        }
        drop((plays, watch));
        patrol.join().unwrap();
    }

    #[test]
    fn all_plays_together_cost_their_share_at_most() {
        let (pace, took) = (Pace::PROCESSES, Duration::from_micros(20));
        assert_eq!(pace.pause(Next::Usual, took, 1), pace.base);
        assert_eq!(pace.pause(Next::Soon, took, 1), pace.soon);
        for plays in [100, 1_000, 2_000] {
            let pause = pace.pause(Next::Usual, took, plays);
            let load =
                took.as_secs_f64() * f64::from(u32::try_from(plays).unwrap()) / pause.as_secs_f64();
            assert!(load <= 0.041, "{plays}: {load}");
        }
        let slow = Duration::from_millis(30);
        assert_eq!(pace.pause(Next::Usual, slow, 1), slow * SHARE);
        assert_eq!(pace.pause(Next::Usual, slow, 10_000), LONGEST);
        assert_eq!(pace.pause(Next::Soon, slow, 1), slow * SHARE_SOON);
    }
}
