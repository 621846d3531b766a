//! What becomes of a play that is interrupted: the rules that may be others one day, in one place.

use super::play::Play;

/// So often in a row a play goes on that keeps nothing in between.
pub const RECOVERIES: u32 = 5;

/// How an attempt was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A signal ended its process.
    Process,
    /// The server died.
    Server,
    /// The server was stopped.
    Stop,
}

impl Cut {
    /// Whether it counts as a sign that it would happen again.
    #[must_use]
    pub fn counts(self) -> bool {
        self != Self::Stop
    }
}

/// Whether a play goes on in a further attempt: whenever its server went, and where it has kept something when its
/// process was killed by itself.
#[must_use]
pub fn goes_on(play: &Play, cut: Cut) -> bool {
    match cut {
        Cut::Server | Cut::Stop => true,
        Cut::Process => play
            .process
            .as_ref()
            .is_some_and(|process| process.has_kept),
    }
}
