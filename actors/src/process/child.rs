//! One child process from its start until it and all that it started are gone.

use std::{io, process::ExitStatus, thread, time::Duration};

use protocol::ProcessId;
use rustix::process::Signal;
use tokio::{sync::watch, time::Instant};

use super::{guard::Guard, known, sys, tree, warm::Adopted};
use crate::crash_point;

/// What a fork may add to the memory that it was made with, bytes.
const SLACK: u64 = 1 << 20;

/// A running child.
#[derive(Debug)]
pub struct Child {
    /// `None` once it is being ended because nobody waits for it.
    child: Option<Root>,
    /// `None` where there was no descriptor for it; never so for one that was handed on.
    watch: Option<sys::ExitWatch>,
    id: ProcessId,
    play_sid: String,
    guard: Option<Guard>,
    /// Its end was seen to, and nothing of it is left.
    over: bool,
    /// Resident memory of this process when it started the child, bytes: the child's own peak is only
    /// known where it is higher, since a process begins with the memory of the one that forked it.
    inherited: u64,
}

/// The process itself, as it came to be a child of this one.
#[derive(Debug)]
enum Root {
    /// Started by this process.
    Started(tokio::process::Child),
    /// Forked by a fork server, and handed on.
    Adopted(Adopted),
}

impl Root {
    /// Kills it, nothing that it started.
    fn kill(&mut self) -> io::Result<()> {
        match self {
            Self::Started(child) => child.start_kill(),
            Self::Adopted(process) => {
                process.kill();
                Ok(())
            }
        }
    }

    /// One that was handed on must have ended: this waits for it on the spot.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Started(child) => child.wait().await,
            Self::Adopted(process) => process.wait(),
        }
    }
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
    /// Whether that is the child's own: else it only says that the child had no more than that, the
    /// memory of this process when it started it.
    pub peak_is_its_own: bool,
    /// How many processes had to be killed, the child among them.
    pub killed: u32,
    /// How many processes were known: the child, and those killed at its end.
    pub processes: u32,
    /// Whether an order to stop was being carried out when it ended.
    pub stopped: bool,
}

impl Child {
    pub(super) fn new(
        child: tokio::process::Child,
        pid: u32,
        play_sid: String,
        guard: Option<Guard>,
        inherited: u64,
    ) -> Self {
        let id = sys::process_id(pid).unwrap_or(ProcessId { pid, started: 0 });
        known::looks_after(pid, &play_sid);
        if let Some(guard) = &guard {
            guard.root(&play_sid, id);
        }
        Self {
            watch: sys::ExitWatch::new(pid).ok(),
            child: Some(Root::Started(child)),
            id,
            play_sid,
            guard,
            over: false,
            inherited,
        }
    }

    /// A process that is about to be told its play; the guard knows it already.
    pub(super) fn adopted(
        root: Adopted,
        watch: sys::ExitWatch,
        play_sid: String,
        guard: Option<Guard>,
    ) -> Self {
        let (id, inherited) = (root.id, root.inherited);
        known::looks_after(id.pid, &play_sid);
        Self {
            watch: Some(watch),
            child: Some(Root::Adopted(root)),
            id,
            play_sid,
            guard,
            over: false,
            inherited,
        }
    }

    /// Whether it was forked ahead of its play.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        matches!(self.child, Some(Root::Adopted(_)))
    }

    /// Which process it is.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Waits for its end. An order in `stop` (the grace) sends SIGTERM to its process group and,
    /// after the grace, SIGKILL to everything below it; a later order can only shorten the grace.
    /// The sender being dropped is an order without grace. At its own end, what it left behind is
    /// killed too; only then this returns.
    pub async fn run(mut self, mut stop: watch::Receiver<Option<Duration>>) -> End {
        let root = self.id;
        let pid = root.pid;
        let watch = self.watch.take();
        let mut kill_at: Option<Instant> = None;
        // Once it was killed: how many were, the child among them.
        let mut killed: Option<u32> = None;
        let mut abandoned = false;
        loop {
            let ended = async {
                match &watch {
                    Some(watch) => watch.ended().await,
                    None => self.wait().await.map(drop),
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
                            // Not in a session of its own yet, it has run nothing.
                            if !sys::signal_group(pid, Signal::TERM) {
                                sys::signal_process(pid, Signal::TERM.as_raw());
                            }
                        }
                        let at = Instant::now() + grace;
                        kill_at = Some(kill_at.map_or(at, |before| before.min(at)));
                    }
                }
                () = tokio::time::sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() && killed.is_none() => {
                    let count = blocking(move || tree::kill_tree(root)).await;
                    killed = Some(count);
                    if count == 0 {
                        self.kill_root();
                    }
                }
            }
        }
        let (cpu, peak_memory_bytes) = watch
            .and_then(|watch| watch.usage().ok())
            .unwrap_or_default();
        crash_point::reached("root_ended");
        let left_behind = if tree::may_have_left() {
            let play_sid = self.play_sid.clone();
            blocking(move || tree::kill_leftovers(&play_sid, pid)).await
        } else {
            0
        };
        let status = self
            .wait()
            .await
            .map_err(|error| format!("failed to learn how process {pid} ended: {error}"));
        self.over = true;
        is_over(pid, &self.play_sid, self.guard.as_ref());
        let killed = killed.unwrap_or(0);
        End {
            status,
            cpu,
            peak_memory_bytes,
            peak_is_its_own: peak_memory_bytes > self.inherited + SLACK,
            killed: killed + left_behind,
            processes: killed.max(1) + left_behind,
            stopped: kill_at.is_some(),
        }
    }

    /// Where the walk could not even begin (no descriptor was free), or it has just left by itself: its
    /// end takes no descriptor, and what it leaves behind is searched for after that.
    fn kill_root(&mut self) {
        if let Some(child) = &mut self.child
            && let Err(error) = child.kill()
        {
            tracing::error!(pid = self.id.pid, %error, "failed to kill the process of a play");
        }
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.child {
            Some(child) => child.wait().await,
            None => Err(io::Error::other("nobody waits for it any more")),
        }
    }
}

/// Nothing of a play is left.
fn is_over(root: u32, play_sid: &str, guard: Option<&Guard>) {
    known::forget(root);
    if let Some(guard) = guard {
        guard.gone(play_sid);
    }
}

impl Drop for Child {
    /// Nobody waits for it any more: it is ended at once, with what it started, on a thread of its own,
    /// as that can take a while and this may be anybody's. Where this process ends before that is done,
    /// the guard does it.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let root = self.id;
        let ending = Ending {
            root,
            play_sid: std::mem::take(&mut self.play_sid),
            guard: self.guard.take(),
            child: self.child.take(),
        };
        // Where there is no thread, it is dropped here.
        if let Err(error) = thread::Builder::new()
            .name("hero-ender".into())
            .spawn(move || drop(ending))
        {
            tracing::error!(root = root.pid, %error, "no thread to end a child that nobody waits for");
        }
    }
}

/// A child that nobody waits for: it is ended where this is dropped, with what it started, and reaped.
struct Ending {
    root: ProcessId,
    play_sid: String,
    guard: Option<Guard>,
    /// Dropped last: until then its pid is nobody else's.
    child: Option<Root>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (root, play) = (self.root, &self.play_sid);
        let killed = tree::kill_tree(root) + tree::kill_leftovers(play, root.pid);
        tracing::debug!(root = root.pid, %play, killed, "ended a child that nobody waits for");
        drop(self.child.take());
        is_over(root.pid, play, self.guard.as_ref());
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
