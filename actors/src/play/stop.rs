//! Why and how a play is being stopped.
//!
//! Pure. The first reason is the reason; later orders can only shorten the grace, never lengthen it
//! and never take a stop back.

use std::time::Duration;

use protocol::{LimitHit, PlayStatus};

/// Why we stop a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Its wall-clock time is up; the limit in milliseconds.
    Timeout { limit_ms: u64 },
    /// It has used up more than it may.
    Limit(LimitHit),
    /// Somebody asked for it, or its parent ended.
    Cancelled { by: String },
    /// The server stops.
    Shutdown,
    /// The play's actor is gone or can't go on.
    Abandoned { why: String },
}

impl StopReason {
    /// What the play becomes by it.
    #[must_use]
    pub fn status(&self) -> PlayStatus {
        match self {
            Self::Timeout { .. } => PlayStatus::TimedOut,
            Self::Cancelled { .. } => PlayStatus::Cancelled,
            Self::Limit(_) | Self::Shutdown | Self::Abandoned { .. } => PlayStatus::Failed,
        }
    }
}

/// An order to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopOrder {
    pub reason: StopReason,
    /// Between SIGTERM and SIGKILL; zero kills at once.
    pub grace: Duration,
}

impl StopOrder {
    /// What holds when `later` comes while `self` is being carried out.
    #[must_use]
    pub fn joined_by(self, later: &Self) -> Self {
        Self {
            grace: self.grace.min(later.grace),
            reason: self.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_the_grace_only_shrinks() {
        let order = |by: &str, seconds| StopOrder {
            reason: StopReason::Cancelled { by: by.into() },
            grace: Duration::from_secs(seconds),
        };
        let first = order("a", 5);
        assert_eq!(first.clone().joined_by(&order("b", 0)), order("a", 0));
        assert_eq!(first.clone().joined_by(&order("b", 9)), order("a", 5));
    }
}
