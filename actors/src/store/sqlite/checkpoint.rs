//! The thread that moves the log into the database, beside the commits and not within them.
//!
//! A checkpoint within a commit makes it, and everybody whose batch is in it, wait for milliseconds. So
//! the writer only says how long the log is. The log is written from its beginning again once all of
//! it was moved while nobody wrote; under a load without a pause that would never be, so there the
//! writer moves the rest, which is little, at [`LONG`].
//!
//! It must never shorten the log: to write over what is there costs half of what it costs to let a
//! file grow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use rusqlite::{Connection, hooks::Wal, wal::CheckpointMode};

use super::failure::{Failure, Outcome};

/// With so many pages that are not moved yet, some are. 4 MiB.
const ENOUGH: u32 = 1_024;
/// With so many pages in the log, the writer moves what is left. 16 MiB.
const LONG: u32 = 4_096;
/// Nothing was written for so long: a moment to move all of it.
const PAUSE: Duration = Duration::from_millis(50);
/// After a failure, such as a full disk.
const AGAIN: Duration = Duration::from_secs(1);

/// What the writer tells of the log.
#[derive(Debug, Default)]
struct Log {
    /// How many pages it has since the last commit.
    pages: AtomicU32,
    /// How many of them were moved.
    moved: AtomicU32,
    closing: AtomicBool,
}

impl Log {
    fn unmoved(&self) -> u32 {
        let pages = self.pages.load(Ordering::Acquire);
        let moved = self.moved.load(Ordering::Acquire);
        // What was moved of the log before it was begun anew says nothing.
        pages.checked_sub(moved).unwrap_or(pages)
    }
}

/// The thread; it ends when this is dropped.
pub(super) struct Mover {
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts it, with a connection of its own, and has the writer's tell it of the commits.
    pub(super) fn start(own: Connection, writer: &mut Connection) -> Outcome<Self> {
        let log = Arc::new(Log::default());
        let its = log.clone();
        let thread = thread::Builder::new()
            .name("hero-store-mover".to_owned())
            .spawn(move || run(&own, &its))
            .map_err(|error| Failure::refused(format!("failed to start a thread: {error}")))?;
        let (told, mover) = (log.clone(), thread.thread().clone());
        let started = Self {
            log,
            thread: Some(thread),
        };
        writer.wal_hook(Some(move |wal: &mut Wal, pages| {
            committed(&told, &mover, wal, u32::try_from(pages).unwrap_or(0));
            Ok(())
        }))?;
        Ok(started)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.log.closing.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(
                    "the thread that moves the store's log had panicked; please report it"
                );
            }
        }
    }
}

/// On the writer's thread, after each commit.
fn committed(log: &Log, mover: &Thread, wal: &mut Wal, pages: u32) {
    if pages < log.pages.swap(pages, Ordering::AcqRel) {
        log.moved.store(0, Ordering::Release);
    }
    if pages >= LONG {
        // Refused while the thread is at it; then the next commit tries it again.
        match wal.checkpoint_v2(CheckpointMode::PASSIVE) {
            Ok((_, moved)) => log
                .moved
                .store(u32::try_from(moved).unwrap_or(0), Ordering::Release),
            Err(error) => tracing::trace!(%error, "the rest of the log was not moved"),
        }
    } else if log.unmoved() >= ENOUGH {
        mover.unpark();
    }
}

fn run(connection: &Connection, log: &Log) {
    while !log.closing.load(Ordering::Acquire) {
        let pages = log.pages.load(Ordering::Acquire);
        let unmoved = log.unmoved();
        if pages < ENOUGH || unmoved == 0 {
            thread::park();
            continue;
        }
        if unmoved < ENOUGH || pages >= LONG {
            // What is left can be moved when nobody writes, or by the writer itself.
            thread::park_timeout(PAUSE);
            if log.pages.load(Ordering::Acquire) != pages {
                continue;
            }
        }
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            row.get::<_, i64>(2)
        });
        let before = log.moved.load(Ordering::Acquire);
        match moved.map(|moved| u32::try_from(moved).unwrap_or(0)) {
            Ok(moved) if moved != before => log.moved.store(moved, Ordering::Release),
            // Somebody still reads what it would write over.
            Ok(_) => thread::park_timeout(AGAIN),
            Err(error) => {
                tracing::debug!(%error, "failed to move the store's log into the file; trying again");
                thread::park_timeout(AGAIN);
            }
        }
    }
}
