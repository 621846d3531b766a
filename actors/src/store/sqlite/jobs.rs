//! What the writer is sent, and how much of it goes into one transaction.

use std::sync::atomic::AtomicU64;

#[cfg(test)]
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{Batch, Committed, LibraryChange, PlayChange, StoreError},
    parts::{PART_BYTES, Value},
    writer::Writer,
};
use crate::figures::Histogram;

/// One transaction is closed when it has this many rows …
const MAX_ROWS: usize = 16_384;
/// … or about this many bytes: whoever came first does not wait for ever.
const MAX_BYTES: usize = 8 << 20;

/// What the writer is sent.
pub(super) enum Job {
    Commit(Box<Pending>),
    /// Something of retention, in a transaction of its own.
    Turn(Box<dyn FnOnce(&Writer) + Send>),
    /// Nothing more is taken; what is queued is written.
    Close,
    #[cfg(test)]
    Run(Box<dyn FnOnce(&Connection) + Send>),
}

/// A batch and who waits for it.
pub(super) struct Pending {
    pub(super) batch: Batch,
    /// Its long texts, as they are in the file.
    pub(super) values: Vec<Value>,
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

impl Pending {
    pub(super) fn new(
        batch: Batch,
        answer: oneshot::Sender<Result<Committed, StoreError>>,
    ) -> Self {
        Self {
            batch,
            values: Vec::new(),
            answer,
        }
    }
}

pub(super) fn answer<T>(to: oneshot::Sender<T>, value: T) {
    if to.send(value).is_err() {
        tracing::trace!("nobody waits for this commit any more");
    }
}

/// What the writer has done so far.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) transactions: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) rows: AtomicU64,
    /// Seconds, of one transaction with its publishing.
    pub(super) commit: Histogram,
    /// Batches of one transaction.
    pub(super) group: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            transactions: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            commit: Histogram::new(&[
                0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
            ]),
            group: Histogram::new(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0]),
        }
    }
}

/// What is queued, up to the bounds; with the job that ended it, if it was of another kind.
pub(super) fn gather(
    queue: &mut mpsc::Receiver<Job>,
    first: Pending,
) -> (Vec<Pending>, Option<Job>) {
    let (mut rows, mut bytes) = weight(&first.batch);
    let mut group = vec![first];
    while rows < MAX_ROWS && bytes < MAX_BYTES {
        match queue.try_recv() {
            Ok(Job::Commit(pending)) => {
                let (more_rows, more_bytes) = weight(&pending.batch);
                rows += more_rows;
                bytes += more_bytes;
                group.push(*pending);
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

/// About how much work of a transaction a batch is: rows, and bytes of text. What of it is written
/// in parts is not written with it.
fn weight(batch: &Batch) -> (usize, usize) {
    let of_text = |text: &str| {
        if text.len() > PART_BYTES {
            0
        } else {
            text.len()
        }
    };
    match batch {
        Batch::Create(new) => (1, 1_024 + of_text(&new.play.input_data)),
        Batch::Library(
            LibraryChange::Create { version, .. } | LibraryChange::AddVersion { version, .. },
        ) => (2, 1_024 + version.python_source.len()),
        Batch::Library(_) => (1, 1_024),
        Batch::Play { changes, .. } => {
            let bytes = changes.iter().map(|change| match change {
                PlayChange::Play(play) => 512 + play.output_data.as_deref().map_or(0, of_text),
                PlayChange::Process(_) | PlayChange::Recoveries(_) | PlayChange::SignalTaken(_) => {
                    64
                }
                PlayChange::Wait(_) => 1_024,
                PlayChange::Settled(settled) => {
                    256 + settled.kept.as_ref().map_or(0, |kept| kept.data.len())
                }
                PlayChange::Signal(signal) => 128 + signal.data.len(),
                PlayChange::Step(step) => {
                    256 + step.kept.as_ref().map_or(0, |kept| of_text(&kept.data))
                }
                PlayChange::Span { .. } => 256,
                PlayChange::Log(log) => 64 + log.text.len(),
            });
            (changes.len(), bytes.sum())
        }
    }
}
