//! The mark that each process of a server's plays carries, whatever it does to its session, its parents
//! and its environment: a hard limit that nobody needs, inherited over fork and exec. Linux takes no notice of `RLIMIT_LOCKS` since 2.4.25 (setrlimit(2)), and shows it in
//! `/proc/PID/limits`.
//!
//! By it the guard, and the next server on a data directory, find what has left the trees of plays whose
//! root had just ended when their server died.

use std::fmt;

use super::sys;

/// One server's; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub(super) u64);

impl Mark {
    /// A new one. `None` where the platform knows no such mark.
    #[must_use]
    pub fn new() -> Option<Self> {
        // A server that runs in a play of another can only set a lower one.
        let most = sys::highest_mark()?;
        let random = uuid::Uuid::new_v4().as_u64_pair().1;
        Some(Self(random % most + 1))
    }

    /// As it was displayed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = u64::from_str_radix(text, 16).ok()?;
        (number != 0).then_some(Self(number))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
