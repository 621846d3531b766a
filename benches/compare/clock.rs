//! The time as all processes of this machine see it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of the epoch, as Python's `time.time()` has them.
pub(crate) fn epoch() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
