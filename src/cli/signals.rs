//! What the person at the terminal, or the system, asks of a running command by signals.

use std::{fs, io};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};

use super::exit::Failure;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C, SIGTERM, the terminal was closed.
    Stop,
    /// Ctrl-\.
    Kill,
    /// Ctrl-Z.
    Suspend,
}

const ALL: [(SignalKind, Asked); 5] = [
    (SignalKind::interrupt(), Asked::Stop),
    (SignalKind::terminate(), Asked::Stop),
    (SignalKind::hangup(), Asked::Stop),
    (SignalKind::quit(), Asked::Kill),
    (SignalKind::from_raw(SIGTSTP), Asked::Suspend),
];
const SIGTSTP: i32 = rustix::process::Signal::TSTP.as_raw();

/// Listens from its creation on.
#[derive(Debug)]
pub(crate) struct Signals {
    asked: mpsc::Receiver<Asked>,
    _tasks: JoinSet<()>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, asked) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let ignored = ignored();
        for (kind, means) in ALL {
            // `nohup`, and shells for what they start in the background, ignore for us.
            if ignored & (1 << (kind.as_raw_value() - 1)) != 0 {
                continue;
            }
            let mut signals = signal(kind).map_err(|error| {
                Failure::failed(format!("failed to listen to signals: {error}"))
            })?;
            let sender = sender.clone();
            tasks.spawn(async move {
                while signals.recv().await.is_some() {
                    // A full queue means that we were asked often enough already.
                    if sender
                        .try_send(means)
                        .is_err_and(|e| matches!(e, mpsc::error::TrySendError::Closed(_)))
                    {
                        return;
                    }
                }
            });
        }
        // Where every signal is ignored, the queue stays open and empty.
        tasks.spawn(async move { sender.closed().await });
        Ok(Self {
            asked,
            _tasks: tasks,
        })
    }

    /// The next request; never, where there is none. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

/// Stops this process until the shell continues it.
pub(crate) fn suspend() -> io::Result<()> {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)
        .map_err(Into::into)
}

/// The signals that were ignored when this process was started, one bit each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
