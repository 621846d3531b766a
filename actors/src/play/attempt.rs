//! The port between a play's actor and its process: one attempt is one child process.
//!
//! The actor orders and listens; [`Attempts`] is what it needs of the world. The real one is
//! [`super::python::PythonAttempts`]; the universe for actor tests has a fake in virtual time.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use protocol::{Limits, PlaySid, ProcessId, WorkflowVersion};
use tokio::sync::watch;

use super::{outcome::Ended, stop::StopOrder};
use crate::{ingest::Sink, store::Launch};

/// What a process needs to be started.
#[derive(Clone, Debug)]
pub struct Brief {
    pub play: PlaySid,
    pub attempt: u32,
    pub workflow_name: String,
    pub version: Arc<WorkflowVersion>,
    /// The flow to call; `None`: as the SDK chooses.
    pub flow_name: Option<String>,
    /// A JSON text: the arguments.
    pub input: String,
    pub parent_span_id: String,
    pub launch: Launch,
    /// Wall-clock time from the start.
    pub timeout: Duration,
    /// Between SIGTERM and SIGKILL when the time is up.
    pub grace: Duration,
    /// Of all sources; what is not given is not limited.
    pub limits: Limits,
}

/// A process that was started.
pub struct Attempt {
    /// `None`: it has none of its own.
    pub process: Option<ProcessId>,
    /// Orders to stop. Dropping it is an order too: nobody is there any more.
    pub stop: watch::Sender<Option<StopOrder>>,
    /// True when the process and all that it started are gone and everything it said was delivered.
    pub gone: watch::Receiver<bool>,
    /// How it ended; resolves when `gone` turns true.
    pub ended: BoxFuture<'static, Ended>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// Starts processes for plays, and keeps their directories.
pub trait Attempts: Send + Sync + std::fmt::Debug + 'static {
    /// Starts a process; what it says goes to `sink`. The error is a sentence for the play's cause.
    fn begin(
        &self,
        brief: Brief,
        sink: Arc<dyn Sink>,
    ) -> BoxFuture<'static, Result<Attempt, String>>;

    /// Reads a JSON text that a play left in its spool directory under this name.
    fn read_spool(&self, play: &PlaySid, name: &str) -> BoxFuture<'static, Result<String, String>>;

    /// The play has ended and all is committed: removes what is not its artifact.
    fn tidy(&self, play: &PlaySid) -> BoxFuture<'static, ()>;

    /// Ends a process that an earlier server left behind, with all that it started.
    fn end_remembered(&self, play: &PlaySid, process: Option<ProcessId>) -> BoxFuture<'static, ()>;
}
