//! How much memory a tree of processes has.
//!
//! What each process has resident is cheap to read, but counts shared memory for each that shares it:
//! forked children share nearly all at first. The fair figure (of what is shared, each its part) costs a
//! millisecond for each 100 MiB; so it is taken only where the cheap one says that a limit or the
//! highest figure so far is passed, and not more often than its cost allows.

use std::time::{Duration, Instant};

use crate::process::sys::{self, Sample};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    peak: u64,
    last: Option<Measured>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Instant,
    took: Duration,
    /// The cheap figure then, bytes.
    resident: u64,
    /// The fair one, bytes.
    fair: u64,
}

/// How many processes a tree may have for the fair figure to be taken for the peak alone.
const FEW: usize = 64;
/// The fair figure may cost one part in so many of the time.
const SHARE: u32 = 20;
/// What a tree may grow beyond its peak before the fair figure is taken for it, bytes, and as a part.
const GROWTH: (u64, u64) = (1 << 20, 20);

/// After how long the fair figure is taken again for a tree that has not grown: what is shared can
/// become each one's own.
const AGAIN: Duration = Duration::from_secs(1);

impl Memory {
    /// The most so far, bytes.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// Takes in a look; `resident` is the cheap sum. Where the fair figure was taken: by process.
    pub(super) fn look(
        &mut self,
        samples: &[Sample],
        resident: u64,
        limit: Option<u64>,
    ) -> Option<Vec<(u32, u64)>> {
        let over = limit.filter(|limit| resident > *limit);
        let alone = samples.len() == 1;
        if alone && over.is_none() {
            self.peak = self.peak.max(resident);
            return None;
        }
        let beyond = |figure: u64| resident > figure + GROWTH.0.max(figure / GROWTH.1);
        let higher = samples.len() <= FEW
            && beyond(self.peak)
            && self
                .last
                .is_none_or(|last| beyond(last.resident) || last.at.elapsed() > AGAIN);
        if !(self.may_measure(resident, over) && (over.is_some() || higher)) {
            return None;
        }
        let began = Instant::now();
        let parts: Vec<_> = samples
            .iter()
            .filter(|sample| !sample.zombie)
            .map(|sample| {
                let fair = sys::proportional_bytes(sample.pid);
                // Where it can't be read, the process may have left since the look: then it has nothing.
                let resident =
                    || sys::sample(sample.pid).filter(|now| now.started == sample.started);
                let bytes = fair.or_else(|| resident().map(|now| now.resident_bytes));
                (sample.pid, bytes.unwrap_or(0))
            })
            .collect();
        let fair = parts.iter().map(|(_, bytes)| bytes).sum();
        self.last = Some(Measured {
            at: Instant::now(),
            took: began.elapsed(),
            resident,
            fair,
        });
        self.peak = self.peak.max(if alone { resident } else { fair });
        Some(parts)
    }

    /// Whether the cost allows it, or growth has made it urgent: half of what was left to the limit.
    fn may_measure(&self, resident: u64, over: Option<u64>) -> bool {
        self.last.is_none_or(|last| {
            let urgent = over.is_some_and(|limit| {
                resident.saturating_sub(last.resident) > limit.saturating_sub(last.fair) / 2
            });
            urgent || last.at.elapsed() > last.took.saturating_mul(SHARE)
        })
    }
}
