//! The limits of a play that nobody set.
//!
//! Off where only the author can know (memory, CPU time, open files), generous where one play could
//! else take down the machine or the store with it.

use protocol::Limits;

/// Processes at once: enough for any pool (64 workers on the largest machines, some helpers each), and
/// few enough that a fork loop is found and ended in well under a second.
const PROCESSES: u64 = 1_024;
/// Text that is kept of what a play prints and logs, bytes.
const OUTPUT: u64 = 16 << 20;
/// Spans: about 250 bytes of the store each.
const SPANS: u64 = 1_000_000;

/// So often in a row a play is resumed that keeps nothing in between.
pub const RECOVERIES: u32 = 5;

/// What holds where neither the call, the flow nor the server says anything. The disk's limit is
/// half of what is free when the play starts: see [`crate::process::watch`].
#[must_use]
pub fn built_in() -> Limits {
    Limits {
        processes: Some(PROCESSES),
        output_bytes: Some(OUTPUT),
        spans: Some(SPANS),
        ..Limits::default()
    }
}
