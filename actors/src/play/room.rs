//! What is written so that a play can start waits for space where the disk is full, as everything does that is
//! to be kept: a play that has come far is not lost to a disk that was full for a moment.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// The room that one start needs.
#[derive(Debug, Default)]
pub(super) struct Room {
    awaited: AtomicBool,
}

impl Room {
    /// It waits at this moment, and nothing of it is under way: it may be given up.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Does the work, again and again while there is no space for it.
    pub(super) async fn make<T, F>(&self, mut work: impl FnMut() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let mut told = false;
        loop {
            let error = match work().await {
                Err(error) if is_full(&error) => error,
                done => return done,
            };
            if !told {
                told = true;
                tracing::warn!(%error, "there is no space to start the play; it waits");
            }
            self.awaited.store(true, Ordering::Relaxed);
            tokio::time::sleep(AGAIN).await;
            self.awaited.store(false, Ordering::Relaxed);
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
