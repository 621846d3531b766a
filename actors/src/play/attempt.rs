//! The port between a play's actor and its process: one attempt is one child process.
//!
//! The actor orders and listens; [`Attempts`] is what it needs of the world. The real one is
//! [`super::python::PythonAttempts`]; the universe for actor tests has a fake in virtual time.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::{Limits, PlaySid, ProcessId, WorkflowVersion};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use super::{
    outcome::{Ended, Exit},
    stop::StopOrder,
};
use crate::{
    ingest::Sink,
    store::{Launch, Store},
};

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
    /// Where the steps are that earlier attempts have kept; `None`: there was none.
    pub kept: Option<Arc<dyn Store>>,
}

/// A process that is being started.
pub struct Attempt {
    /// Which one, once it has started; `None`: it has none of its own, or could not be started.
    pub process: BoxFuture<'static, Option<ProcessId>>,
    /// True when the process and all that it started are gone and everything it said was delivered.
    pub gone: watch::Receiver<bool>,
    /// How it ended; resolves when `gone` turns true.
    pub ended: BoxFuture<'static, Ended>,
}

impl Attempt {
    /// Runs it on `io`. `run` tells which process it has become, and resolves when that is gone with
    /// all that it started.
    pub fn drive<F>(io: &Handle, run: impl FnOnce(oneshot::Sender<ProcessId>) -> F) -> Self
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        let (tell, process) = oneshot::channel();
        let (gone_tx, gone) = watch::channel(false);
        // Moved once, not held twice.
        let running = Box::pin(run(tell));
        let running = io.spawn(async move {
            let ended = running.await;
            gone_tx.send_replace(true);
            ended
        });
        let lost = |error| Exit::Unknown(format!("the watch over the play failed: {error}"));
        let ended = running.map(move |ended| {
            ended.unwrap_or_else(|error| Ended::without_process(lost(error), None))
        });
        Self {
            process: process.map(std::result::Result::ok).boxed(),
            gone,
            ended: ended.boxed(),
        }
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempt")
    }
}

/// Starts processes for plays, and keeps their directories.
pub trait Attempts: Send + Sync + std::fmt::Debug + 'static {
    /// Starts a process; what it says goes to `sink`. `orders` hold from now on, also while it is only
    /// being started, and so does the brief's timeout; that nobody is left who could give an order is
    /// one too.
    fn begin(
        &self,
        brief: Brief,
        sink: Arc<dyn Sink>,
        orders: watch::Receiver<Option<StopOrder>>,
    ) -> Attempt;

    /// Reads a JSON text that a play left in its spool directory under this name.
    fn read_spool(&self, play: &PlaySid, name: &str) -> BoxFuture<'static, Result<String, String>>;

    /// The play has ended and all is committed: removes what is not its artifact.
    fn tidy(&self, play: &PlaySid) -> BoxFuture<'static, ()>;

    /// Ends what an earlier server left behind of plays, with all that it started; of each its process, where it is known.
    fn end_remembered(&self, plays: Vec<(PlaySid, Option<ProcessId>)>) -> BoxFuture<'static, ()>;
}
