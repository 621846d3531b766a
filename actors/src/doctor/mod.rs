//! What `doctor` looks at: whether flows can run here, and whether what is kept is safe.
//!
//! Each room of checks is a function from a [`Subject`] to [`Check`]s; adding one is one function more in
//! [`look`]. Works where nothing else does (no directory, no Python, a damaged database), so it must
//! never open what it looks at for writing, keep the directory's lock for longer than a look (who wants it
//! waits that long), or wait without a bound.

mod directory;
mod python;
mod store;
mod system;

use std::path::PathBuf;

pub use directory::is_held;
use protocol::{Limits, server::Check};

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Subject {
    pub data_dir: PathBuf,
    /// The interpreter of the configuration.
    pub python: Option<PathBuf>,
    /// The slots of the configuration.
    pub max_plays: Option<u32>,
    /// What a play may use up where nothing else is said.
    pub limits: Limits,
    /// Whether this process has the directory.
    pub own: bool,
}

/// Looks at all of it, some seconds at most.
pub async fn look(subject: &Subject) -> Vec<Check> {
    let blocking = subject.clone();
    let rest = tokio::task::spawn_blocking(move || {
        let mut checks = directory::checks(&blocking);
        checks.extend(store::checks(&blocking));
        checks.extend(system::checks(&blocking));
        checks
    });
    let (mut checks, rest) = futures_util::future::join(python::checks(subject), rest).await;
    match rest {
        Ok(rest) => checks.extend(rest),
        Err(error) => checks.push(Check::broken("doctor", format!("a check failed: {error}"))),
    }
    checks
}

/// Bytes for a person.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut unit, mut whole, mut rest) = (0, bytes, 0);
    while whole >= 1_024 && unit + 1 < UNITS.len() {
        (rest, whole, unit) = (whole % 1_024, whole / 1_024, unit + 1);
    }
    match (unit, whole) {
        (0, _) | (_, 10..) => format!("{whole} {}", UNITS[unit]),
        _ => format!("{whole}.{} {}", rest * 10 / 1_024, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (20 << 20, "20 MiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
