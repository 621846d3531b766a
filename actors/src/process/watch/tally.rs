//! What a tree of processes has used up, from looks at it.
//!
//! Pure. CPU time can't be read off one look: a process that was waited for is gone, and its time
//! stands with whoever waited; one that nobody waited for is gone with its time.

use std::collections::{HashMap, HashSet};

use crate::process::sys::Sample;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By pid and start: CPU time in all, and the part of those it waited for, clock ticks.
    seen: HashMap<(u32, u64), (u64, u64)>,
    /// Of those that went without being waited for, as they were last seen, clock ticks.
    lost: u64,
    /// The most so far, clock ticks.
    cpu: u64,
    peak_processes: u32,
}

/// One look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Zombies too: they have a pid.
    pub(super) processes: u64,
    /// Since the start, clock ticks.
    pub(super) cpu: u64,
    /// What is shared counted for each, bytes.
    pub(super) resident_bytes: u64,
}

impl Tally {
    /// Takes in all processes of the tree as they are now.
    pub(super) fn look(&mut self, samples: &[Sample]) -> Look {
        let mut before = std::mem::take(&mut self.seen);
        let mut waited_since = 0;
        let mut now = 0;
        for sample in samples {
            let id = (sample.pid, sample.started);
            let earlier = before.remove(&id).map_or(0, |(_, waited)| waited);
            waited_since += sample.waited.saturating_sub(earlier);
            now += sample.cpu;
            self.seen.insert(id, (sample.cpu, sample.waited));
        }
        // Who was waited for stands with the one who waited; the rest of those who went is lost.
        let went: u64 = before.values().map(|(cpu, _)| cpu).sum();
        self.lost += went.saturating_sub(waited_since);
        self.cpu = self.cpu.max(now + self.lost);
        self.peak_processes = self
            .peak_processes
            .max(u32::try_from(samples.len()).unwrap_or(u32::MAX));
        Look {
            processes: samples.len() as u64,
            cpu: self.cpu,
            resident_bytes: samples.iter().map(|sample| sample.resident_bytes).sum(),
        }
    }

    /// Those that were there at the last look and are not among these: gone, or passed over because
    /// they were just being handed over to the root.
    pub(super) fn missing(&self, samples: &[Sample]) -> Vec<(u32, u64)> {
        if self.seen.is_empty() {
            return Vec::new();
        }
        let now: HashSet<_> = samples.iter().map(|s| (s.pid, s.started)).collect();
        let missing = self.seen.keys().filter(|id| !now.contains(*id));
        missing.copied().collect()
    }

    /// CPU time since the start, clock ticks.
    pub(super) fn cpu(&self) -> u64 {
        self.cpu
    }

    /// Of those that nobody waited for, clock ticks.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn peak_processes(&self) -> u32 {
        self.peak_processes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(pid: u32, own: u64, waited: u64) -> Sample {
        Sample {
            pid,
            started: 1,
            parent: 1,
            zombie: false,
            cpu: own + waited,
            waited,
            threads: 1,
            resident_bytes: 10,
        }
    }

    #[test]
    fn who_was_waited_for_counts_once() {
        let mut tally = Tally::default();
        tally.look(&[process(1, 5, 0), process(2, 7, 0)]);
        let look = tally.look(&[process(1, 6, 9)]);
        assert_eq!((look.cpu, tally.lost()), (15, 0));
        assert_eq!((look.processes, tally.peak_processes()), (1, 2));
    }

    #[test]
    fn who_nobody_waited_for_counts_as_last_seen() {
        let mut tally = Tally::default();
        tally.look(&[process(1, 5, 0), process(2, 7, 0)]);
        assert_eq!(tally.look(&[process(1, 6, 0)]).cpu, 13);
        // The same pid again is another process.
        let again = Sample {
            started: 2,
            ..process(2, 3, 0)
        };
        assert_eq!(tally.look(&[process(1, 6, 0), again]).cpu, 16);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Fork(prop::sample::Index),
        Work(prop::sample::Index, u64),
        /// It leaves; its parent waits for it, or nobody does.
        Leave(prop::sample::Index, bool),
        Look,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            any::<prop::sample::Index>().prop_map(Act::Fork),
            (any::<prop::sample::Index>(), 0..50u64).prop_map(|(who, ticks)| Act::Work(who, ticks)),
            (any::<prop::sample::Index>(), any::<bool>())
                .prop_map(|(who, waited)| Act::Leave(who, waited)),
            Just(Act::Look),
        ]
    }

    proptest! {
        /// Whatever they do, never more is counted than was used, and never less than the processes
        /// that are there or were waited for have.
        #[test]
        fn cpu_is_bounded_from_both_sides(acts in prop::collection::vec(act(), 0..80)) {
            // (pid, parent, own, waited); the first is the root and stays.
            let mut live: Vec<(u32, u32, u64, u64)> = vec![(1, 0, 0, 0)];
            let (mut next, mut used, mut tally) = (2, 0, Tally::default());
            for act in acts {
                match act {
                    Act::Fork(who) => {
                        let parent = live[who.index(live.len())].0;
                        live.push((next, parent, 0, 0));
                        next += 1;
                    }
                    Act::Work(who, ticks) => {
                        let at = who.index(live.len());
                        live[at].2 += ticks;
                        used += ticks;
                    }
                    Act::Leave(who, waited) => {
                        let at = who.index(live.len());
                        if at == 0 { continue; }
                        let gone = live.remove(at);
                        for other in &mut live {
                            if other.1 == gone.0 { other.1 = 1; }
                        }
                        if waited && let Some(parent) = live.iter_mut().find(|p| p.0 == gone.1) {
                            parent.3 += gone.2 + gone.3;
                        }
                    }
                    Act::Look => {
                        let samples: Vec<_> = live.iter().map(|p| process(p.0, p.2, p.3)).collect();
                        let look = tally.look(&samples);
                        let there: u64 = samples.iter().map(|s| s.cpu).sum();
                        prop_assert!(look.cpu <= used, "{} of {used}", look.cpu);
                        prop_assert!(look.cpu >= there);
                    }
                }
            }
        }
    }
}
