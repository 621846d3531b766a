//! One child process from its start until it and all that it started are gone.

use std::{process::ExitStatus, time::Duration};

use protocol::ProcessId;
use rustix::process::Signal;
use tokio::{sync::watch, time::Instant};

use super::{known, sys, tree};

/// A running child.
#[derive(Debug)]
pub struct Child {
    child: tokio::process::Child,
    id: ProcessId,
    play_sid: String,
}

/// How a child ended.
#[derive(Debug)]
pub struct End {
    /// The exit status, or why it could not be learned.
    pub status: Result<ExitStatus, String>,
    /// CPU time, user and system, of the child and the children that it waited for.
    pub cpu: Duration,
    /// Peak resident memory of the largest of them, bytes; 0 where the platform does not tell.
    pub peak_memory_bytes: u64,
    /// How many processes had to be killed, the child among them.
    pub killed: u32,
    /// How many processes were known: the child, and those killed at its end.
    pub processes: u32,
    /// Whether an order to stop was being carried out when it ended.
    pub stopped: bool,
}

impl Child {
    pub(super) fn new(child: tokio::process::Child, pid: u32, play_sid: String) -> Self {
        let id = sys::process_id(pid).unwrap_or(ProcessId { pid, started: 0 });
        Self {
            child,
            id,
            play_sid,
        }
    }

    /// Which process it is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Nobody wants it: ends it at once. It is reaped by the reactor.
    pub(super) fn kill_now(&mut self) {
        let killed = tree::kill_tree(self.id.pid);
        tracing::debug!(killed, "ended a child that nobody wanted");
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "a child that nobody wanted was gone already");
        }
        known::forget(self.id.pid);
    }

    /// Waits for its end. An order in `stop` (the grace) sends SIGTERM to its process group and,
    /// after the grace, SIGKILL to everything below it; a later order can only shorten the grace.
    /// The sender being dropped is an order without grace. At its own end, what it left behind is
    /// killed too; only then this returns.
    pub async fn run(mut self, mut stop: watch::Receiver<Option<Duration>>) -> End {
        let pid = self.id.pid;
        let watch = sys::ExitWatch::new(pid);
        let mut kill_at: Option<Instant> = None;
        // With the child itself among them, or 0.
        let mut killed = 0;
        let mut abandoned = false;
        loop {
            let ended = async {
                match &watch {
                    Ok(watch) => watch.ended().await,
                    Err(_) => self.child.wait().await.map(drop),
                }
            };
            tokio::select! {
                result = ended => {
                    if let Err(error) = result {
                        tracing::error!(pid, %error, "failed to watch a child");
                    }
                    break;
                }
                changed = stop.changed(), if !abandoned => {
                    abandoned = changed.is_err();
                    let order = if abandoned { Some(Duration::ZERO) } else { *stop.borrow_and_update() };
                    if let Some(grace) = order {
                        if kill_at.is_none() && !grace.is_zero() {
                            sys::signal_group(pid, Signal::TERM);
                        }
                        let at = Instant::now() + grace;
                        kill_at = Some(kill_at.map_or(at, |before| before.min(at)));
                    }
                }
                () = tokio::time::sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() && killed == 0 => {
                    killed += blocking(move || tree::kill_tree(pid)).await.max(1);
                }
            }
        }
        let (cpu, peak_memory_bytes) = watch
            .ok()
            .and_then(|watch| watch.usage().ok())
            .unwrap_or_default();
        let play_sid = std::mem::take(&mut self.play_sid);
        let left_behind = blocking(move || tree::kill_leftovers(&play_sid, pid)).await;
        let status = self
            .child
            .wait()
            .await
            .map_err(|error| format!("failed to learn how process {pid} ended: {error}"));
        known::forget(pid);
        End {
            status,
            cpu,
            peak_memory_bytes,
            killed: killed + left_behind,
            processes: killed.max(1) + left_behind,
            stopped: kill_at.is_some(),
        }
    }
}

async fn blocking(work: impl FnOnce() -> u32 + Send + 'static) -> u32 {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "failed to end a process tree");
            0
        })
}
