//! What the benchmark has started and not ended yet: ended when it is told to leave halfway.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal};

use crate::Done;

/// How something that was started is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// A peer: the process group that it leads.
    Peer(u32),
    /// A server of hero_logic: it ends all that it started.
    Server(u32),
}

static STARTED: Mutex<Vec<Started>> = Mutex::new(Vec::new());

pub(crate) fn add(one: Started) {
    STARTED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(one);
}

/// It has ended and was waited for: its number may be somebody else's from now on.
pub(crate) fn remove(it: Started) {
    STARTED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|one| *one != it);
}

impl Started {
    pub(crate) fn signal(self, signal: Signal) -> std::io::Result<()> {
        let pid = |id| i32::try_from(id).ok().and_then(Pid::from_raw);
        match self {
            Self::Peer(leader) => pid(leader).map_or(Ok(()), |group| {
                rustix::process::kill_process_group(group, signal)
            })?,
            Self::Server(id) => {
                pid(id).map_or(Ok(()), |pid| rustix::process::kill_process(pid, signal))?
            }
        }
        Ok(())
    }

    fn end(self) -> std::io::Result<()> {
        match self {
            // It may be stopped; then nothing else reaches it.
            Self::Peer(_) => self.signal(Signal::KILL),
            Self::Server(_) => self.signal(Signal::TERM),
        }
    }
}

/// On Ctrl-C and SIGTERM, all of it is ended and this directory deleted, then this program leaves.
pub(crate) fn end_on_signals(scratch: &Path) -> Done<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let scratch = scratch.to_owned();
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        Ok::<_, std::io::Error>((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    })?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            let all = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
            for one in all.iter() {
                one.end().ok();
            }
            // An idle server leaves at once; of one with plays the directory may stay.
            std::thread::sleep(Duration::from_secs(1));
            std::fs::remove_dir_all(&scratch).ok();
            std::process::exit(130);
        })?;
    Ok(())
}
