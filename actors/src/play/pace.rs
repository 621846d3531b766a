//! When what has gathered of a play is committed.
//!
//! Pure. A commit costs a play of a millisecond more than all else that it does, and what one says comes
//! close together: so a few changes wait for those that come right after them, and are written with them.
//! Must never let anybody wait who waits for a commit (the end, a pushed event), nor hold back much.

use std::time::Duration;

use tokio::time::Instant;

/// How long a change waits for others. Whoever follows the play sees it that much later.
pub const LINGER: Duration = Duration::from_millis(5);
/// So many changes do not wait. Each is of one line, of 1 MiB at most.
pub const MANY: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub struct Pace {
    /// Since when something has been waiting.
    since: Option<Instant>,
}

impl Pace {
    /// How long what has gathered (`changes`, at least one) is to wait still; `None`: it is to be
    /// committed now. `urgent`: somebody waits for that.
    pub fn wait(&mut self, changes: usize, urgent: bool, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let left = LINGER.saturating_sub(now.saturating_duration_since(since));
        (!urgent && changes < MANY && !left.is_zero()).then_some(left)
    }

    /// What had gathered is being committed.
    pub fn taken(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_wait_a_moment_and_what_is_awaited_does_not() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(1, false, now), Some(LINGER));
        let half = now + LINGER / 2;
        assert_eq!(pace.wait(2, false, half), Some(LINGER / 2), "of the oldest");
        assert_eq!(pace.wait(2, true, half), None, "somebody waits");
        assert_eq!(pace.wait(MANY, false, half), None, "many");
        assert_eq!(pace.wait(2, false, now + LINGER), None, "long enough");
        pace.taken();
        assert_eq!(pace.wait(1, false, now + LINGER), Some(LINGER));
    }

    proptest! {
        /// Whatever comes whenever, nothing waits longer than it may.
        #[test]
        fn nothing_waits_longer(steps in proptest::collection::vec((0..8_000u64, 1..40usize), 1..100)) {
            let (mut pace, mut now, mut oldest) = (Pace::default(), Instant::now(), None::<Instant>);
            for (micros, changes) in steps {
                now += Duration::from_micros(micros);
                let since = *oldest.get_or_insert(now);
                match pace.wait(changes, false, now) {
                    Some(left) => prop_assert!(now + left <= since + LINGER && !left.is_zero()),
                    None => {
                        pace.taken();
                        oldest = None;
                    }
                }
            }
        }
    }
}
