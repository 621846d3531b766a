//! The orders to stop that hold for one attempt: those that its play's actor gives, and the clock's.

use std::time::Duration;

use protocol::{LimitHit, LimitName};
use tokio::{sync::watch, time::Instant};

use super::stop::{StopOrder, StopReason};

/// Counts the wall clock from its creation on.
#[derive(Debug)]
pub(super) struct Orders {
    given: watch::Receiver<Option<StopOrder>>,
    abandoned: bool,
    time_is_up: Instant,
    at_timeout: StopOrder,
    /// What holds now.
    held: Option<StopOrder>,
}

impl Orders {
    pub(super) fn new(
        given: watch::Receiver<Option<StopOrder>>,
        timeout: Duration,
        grace: Duration,
    ) -> Self {
        let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let now = Instant::now();
        Self {
            given,
            abandoned: false,
            // Whoever asks for more than a century gets that.
            time_is_up: now
                .checked_add(timeout)
                .unwrap_or_else(|| now + Duration::from_secs(u64::from(u32::MAX))),
            at_timeout: StopOrder {
                reason: StopReason::Timeout { limit_ms },
                grace,
            },
            held: None,
        }
    }

    /// The order that holds.
    pub(super) fn held(&self) -> Option<&StopOrder> {
        self.held.as_ref()
    }

    pub(super) fn into_reason(self) -> Option<StopReason> {
        self.held.map(|order| order.reason)
    }

    /// The next order, joined with what held before. Safe to cancel.
    pub(super) async fn next(&mut self) -> StopOrder {
        loop {
            let next = tokio::select! {
                changed = self.given.changed(), if !self.abandoned => match changed {
                    Ok(()) => self.given.borrow_and_update().clone(),
                    // Nobody is there any more who could give another.
                    Err(_) => {
                        self.abandoned = true;
                        Some(StopOrder {
                            reason: StopReason::Abandoned { why: "the play's actor is gone".into() },
                            grace: Duration::ZERO,
                        })
                    }
                },
                () = tokio::time::sleep_until(self.time_is_up), if self.held.is_none() => {
                    Some(self.at_timeout.clone())
                }
                else => std::future::pending().await,
            };
            if let Some(next) = next {
                return self.join(next);
            }
        }
    }

    /// The order of a limit that was hit, joined with what held before.
    pub(super) fn limit(&mut self, hit: LimitHit) -> StopOrder {
        // Only who uses up CPU time can be waited for.
        let grace = match hit.name {
            LimitName::Cpu => self.at_timeout.grace,
            _ => Duration::ZERO,
        };
        self.join(StopOrder {
            reason: StopReason::Limit(hit),
            grace,
        })
    }

    fn join(&mut self, next: StopOrder) -> StopOrder {
        let joined = match self.held.take() {
            Some(before) => before.joined_by(&next),
            None => next,
        };
        self.held.insert(joined).clone()
    }
}
