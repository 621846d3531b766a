//! The time, so that tests can have a virtual one.

use protocol::EpochMs;

/// Tells the time.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Runs with tokio's clock, which tests can pause: this time at that instant, and on from there.
    Virtual {
        at_start: EpochMs,
        start: tokio::time::Instant,
    },
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(self) -> EpochMs {
        match self {
            Self::System => EpochMs::now(),
            Self::Virtual { at_start, start } => {
                EpochMs(at_start.0 + start.elapsed().as_secs_f64() * 1_000.0)
            }
        }
    }
}
