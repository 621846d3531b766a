//! What comes for a play that waits and has no process: the rows that it changes.
//!
//! Pure: no actix, no tokio, the time is an argument. Of a play that has one, the state does the same, by the same rules
//! ([`super::waits`]).

use std::sync::Arc;

use protocol::{EpochMs, PlayStatus, Result};

use super::waits::{Done, Settling, Waits, ending};
use crate::store::{PlayChange, Settled, StoredPlay};

/// What is to be written but for its record; `resting` is then as it stands with that.
///
/// # Errors
/// As [`Waits::settle`].
pub fn settle(
    resting: &mut StoredPlay,
    settling: Settling,
    now: EpochMs,
) -> Result<Vec<PlayChange>> {
    let past = &mut resting.past;
    let mut waits = Waits::new(past.waiting.clone());
    let (wait, kept) = match waits.settle(settling, now)? {
        Done::Kept(signal) => return Ok(vec![PlayChange::Signal(Arc::new(signal))]),
        Done::Settled(wait, kept) => (wait, Some(kept)),
        Done::Over(wait) => (wait, None),
    };
    past.waiting.waits.retain(|open| open.key != wait.key);
    let mut changes = Vec::new();
    if let Some(kept) = &kept {
        let mut open = past.open.iter();
        if let Some(at) = open.position(|(_, span)| span.span_id == wait.span_id) {
            let (ord, mut span) = past.open.remove(at);
            (span.status, span.error) = ending(&wait.start, kept);
            span.end_ms = Some(now.max(span.start_ms));
            let span = Arc::new(span);
            changes.push(PlayChange::Span { ord, span });
        }
        changes.push(PlayChange::Recoveries(0));
        past.recoveries = 0;
    }
    let key = wait.key.clone();
    let settled = Settled { key, kept, at: now };
    changes.push(PlayChange::Settled(Arc::new(settled)));
    if resting.play.status == PlayStatus::AwaitingResume {
        resting.play.status = PlayStatus::Pending;
    }
    Ok(changes)
}
