//! How a command ends: the exit code, and the one line that says why it failed.

use std::fmt;

use protocol::{Error, ErrorKind, PlayStatus};

/// The exit codes of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failed,
    Usage,
    AwaitingInput,
    TimedOut,
    Cancelled,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::AwaitingInput => 75,
            Self::TimedOut => 124,
            Self::Cancelled => 130,
        }
    }

    /// The code for a play that stands like this; one that still runs has not succeeded.
    pub(crate) const fn of(status: PlayStatus) -> Self {
        match status {
            PlayStatus::Success => Self::Success,
            PlayStatus::AwaitingResume => Self::AwaitingInput,
            PlayStatus::TimedOut => Self::TimedOut,
            PlayStatus::Cancelled => Self::Cancelled,
            PlayStatus::Failed | PlayStatus::Pending | PlayStatus::Running => Self::Failed,
        }
    }
}

/// Why a command could not do what it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// `failed to …: cause; what to do`. Further lines (candidates, say) are indented.
    pub(crate) message: String,
    /// Whether the connection was lost before there was an answer.
    pub(crate) lost: bool,
    /// What the server answered, for `call` and for telling kinds apart.
    pub(crate) error: Option<Box<Error>>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            lost: false,
            error: None,
        }
    }

    /// Bad usage or input: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Anything else: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// An error of the runtime or the server, met while doing `what`.
    pub(crate) fn of(what: impl fmt::Display, error: Error) -> Self {
        let exit = match error.kind {
            ErrorKind::InvalidInput
            | ErrorKind::InvalidParams
            | ErrorKind::NotFound
            | ErrorKind::TooLarge => Exit::Usage,
            _ => Exit::Failed,
        };
        Self {
            message: format!("failed to {what}: {}", error.message),
            error: Some(Box::new(error)),
            ..Self::new(exit, "")
        }
    }

    /// The connection was lost while doing `what`.
    pub(crate) fn lost(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self {
            lost: true,
            ..Self::failed(format!(
                "failed to {what}: {why}; look at what it did with `hero_logic play ls`"
            ))
        }
    }

    /// Whether the server refused with this kind.
    pub(crate) fn is(&self, kind: ErrorKind) -> bool {
        self.error.as_ref().is_some_and(|e| e.kind == kind)
    }
}

/// What every verb returns.
pub(crate) type Done = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes: Vec<_> = PlayStatus::ALL
            .into_iter()
            .map(|s| (s.as_str(), Exit::of(s).code()))
            .collect();
        assert_eq!(
            codes,
            [
                ("pending", 1),
                ("running", 1),
                ("awaiting_resume", 75),
                ("success", 0),
                ("failed", 1),
                ("timed_out", 124),
                ("cancelled", 130),
            ]
        );
        let refused = Failure::of("run etl.py", Error::not_found("play", "x"));
        assert_eq!(refused.exit.code(), 2);
        assert_eq!(
            refused.message,
            "failed to run etl.py: there is no play \"x\""
        );
    }
}
