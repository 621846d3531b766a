//! How often an actor may be replaced: pure.
//!
//! The rule is OTP's: more than [`RESTARTS`] deaths within [`WINDOW`] are no accident, and the next
//! one up has to deal with it. Here that is the server, which stops. A rebuilt registry has found its
//! plays and its queue again in well under a second, so five in ten seconds leave it half of the
//! time to work; and since a message is not delivered to more than three registries in a row
//! ([`super::Seat::ask`]), no single message can bring the server down.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How many deaths are forgiven …
pub const RESTARTS: usize = 5;
/// … within this time.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The deaths that are not forgotten yet.
#[derive(Debug, Default)]
pub struct Intensity(VecDeque<Instant>);

impl Intensity {
    /// One more death; whether it is forgiven.
    pub fn forgives(&mut self, now: Instant) -> bool {
        while self
            .0
            .front()
            .is_some_and(|death| now.duration_since(*death) > WINDOW)
        {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len() <= RESTARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_ten_seconds_are_forgiven_and_old_ones_forgotten() {
        let mut deaths = Intensity::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for death in 0..5 {
            assert!(deaths.forgives(at(death)));
        }
        assert!(!deaths.forgives(at(9_999)));
        let mut deaths = Intensity::default();
        for death in 0..1_000 {
            assert!(deaths.forgives(at(death * 2_001)), "death {death}");
        }
        assert!(Intensity::default().forgives(at(0)));
    }
}
