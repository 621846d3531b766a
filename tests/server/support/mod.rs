//! What the tests stand on: a home for a data directory, a server in it, ways to call it.

pub(crate) mod cli;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod sse;

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// How long anything may take that is expected to happen. It says nothing of speed: it is the time
/// after which a test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The path of a flow of `tests/flows`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/flows")
        .join(format!("{name}.py"))
}

pub(crate) fn source(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}
