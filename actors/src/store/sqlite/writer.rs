//! The writer thread: takes what is queued, writes it in one transaction, publishes, answers.
//!
//! Nothing is published or answered before COMMIT has returned. A batch that is refused is taken back
//! alone; where the transaction fails, everything of it is, and the sequence with it: the number is
//! read from the file at the start of each transaction and nowhere else.

use std::{
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::{
        Batch, Committed, Feed, LibraryChange, PlayChange, Seq, StoreError, health::Vitals,
        rules::publish,
    },
    apply::apply,
    failure::{Context, Failure, Outcome},
};
use crate::{crash_point, figures::Histogram};

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
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
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

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// What became of one batch of a transaction: the last number before it, and its answer.
type Fate = Result<(Seq, Committed), StoreError>;

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) feed: Arc<Feed>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) counters: Arc<Counters>,
    /// The file that was opened; the path may name another one day.
    pub(super) file: Option<FileId>,
    pub(super) path: Arc<Path>,
}

impl Writer {
    /// As [`Writer::run`]; a panic in it, like a failure of the file, is the store's end.
    pub(super) fn guarded(mut self) -> Result<(), StoreError> {
        let (vitals, path) = (self.vitals.clone(), self.path.clone());
        // Nothing of it is used after a panic.
        match catch_unwind(AssertUnwindSafe(move || self.run())) {
            Ok(result) => result,
            Err(_) => {
                let error = StoreError::Failed(format!(
                    "failed to write to {}: the store's thread panicked; see the log, restart hero_logic and \
                     report it",
                    path.display()
                ));
                vitals.failed(&error);
                Err(error)
            }
        }
    }

    /// Until everybody who could send is gone, or [`Job::Close`], or the store has failed.
    fn run(&mut self) -> Result<(), StoreError> {
        while let Some(job) = self.queue.blocking_recv() {
            let mut job = Some(job);
            while let Some(now) = job.take() {
                match now {
                    Job::Commit(pending) => {
                        let (group, further) = self.gather(*pending);
                        self.write(group);
                        job = further;
                    }
                    Job::Turn(work) => work(self),
                    Job::Close => self.queue.close(),
                    #[cfg(test)]
                    Job::Run(work) => work(&self.connection),
                }
            }
            if let Some(error) = self.vitals.failure() {
                // What is queued is answered by being dropped.
                return Err(error);
            }
        }
        self.tidy()
            .map_err(|failure| Context::new("close", &self.path).store_error(failure))
    }

    /// What is queued, up to the bounds; with the job that ended it, if it was of another kind.
    fn gather(&mut self, first: Pending) -> (Vec<Pending>, Option<Job>) {
        let (mut rows, mut bytes) = weight(&first.batch);
        let mut group = vec![first];
        while rows < MAX_ROWS && bytes < MAX_BYTES {
            match self.queue.try_recv() {
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

    fn write(&mut self, group: Vec<Pending>) {
        let (began, batches) = (Instant::now(), group.len());
        self.write_or_refuse(group);
        self.counters.commit.observe(began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a queue's length")]
        self.counters.group.observe(batches as f64);
    }

    fn write_or_refuse(&mut self, mut group: Vec<Pending>) {
        if let Some(error) = self.vitals.failure() {
            return refuse(group, &error);
        }
        match self.attempt(|writer| writer.transaction(&group)) {
            Ok(fates) => {
                for (pending, fate) in group.into_iter().zip(fates) {
                    self.tell(pending, fate);
                }
            }
            // Perhaps only one of them is too large for what is left, or can't be written at all.
            Err(StoreError::Full(_) | StoreError::Backend(_)) if group.len() > 1 => {
                for pending in group.drain(..) {
                    self.write_or_refuse(vec![pending]);
                }
            }
            Err(error) => {
                tracing::error!(%error, batches = group.len(), "nothing of a transaction was written");
                refuse(group, &error);
            }
        }
    }

    /// Work in a transaction of its own that publishes nothing.
    pub(super) fn turn<T>(
        &self,
        work: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T, StoreError> {
        if let Some(error) = self.vitals.failure() {
            return Err(error);
        }
        self.attempt(|writer| {
            writer.connection.execute_batch("BEGIN IMMEDIATE")?;
            let done = work(&writer.connection)?;
            writer.connection.execute_batch("COMMIT")?;
            Ok(done)
        })
    }

    /// Does something in a transaction; where it fails, takes it back and notes how the store is.
    fn attempt<T>(&self, work: impl FnOnce(&Self) -> Outcome<T>) -> Result<T, StoreError> {
        let before = self.connection.total_changes();
        let done = self.still_there().and_then(|()| {
            work(self).map_err(|failure| {
                self.roll_back();
                Context::new("write to", &self.path).store_error(failure)
            })
        });
        match &done {
            Ok(_) if self.connection.total_changes() > before => self.vitals.wrote(),
            // All was refused, and nothing is proved by that: trouble may be over, or not.
            Ok(_) if self.vitals.trouble_may_pass() => self.prove(),
            Ok(_) => {}
            Err(error @ StoreError::Failed(_)) => {
                tracing::error!(%error, "the store has failed");
                self.vitals.failed(error);
            }
            Err(error) if error.may_pass() => self.vitals.troubled(error),
            Err(_) => {}
        }
        done
    }

    /// Writes something: whether that can be done again. SQLite does not write what has not changed.
    fn prove(&self) {
        let proved = self
            .connection
            .execute("UPDATE meta SET proofs = proofs + 1", []);
        match proved {
            Ok(_) => self.vitals.wrote(),
            Err(error) => {
                self.roll_back();
                let error = Context::new("write to", &self.path).store_error(error.into());
                if error.may_pass() {
                    self.vitals.troubled(&error);
                } else {
                    tracing::error!(%error, "failed to look whether the store can be written again");
                }
            }
        }
    }

    /// Writing into a file that was deleted or moved away would be answered as done, and be lost.
    fn still_there(&self) -> Result<(), StoreError> {
        if FileId::of(&self.path) == self.file {
            return Ok(());
        }
        Err(StoreError::Failed(format!(
            "failed to write to {}: the file was moved, replaced or deleted while it was in use; put it back, \
             then start again",
            self.path.display()
        )))
    }

    fn transaction(&self, group: &[Pending]) -> Outcome<Vec<Fate>> {
        let run = |sql: &str| -> Outcome<()> {
            self.connection.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        run("BEGIN IMMEDIATE")?;
        crash_point::reached("store_began");
        let start: Seq = self
            .connection
            .prepare_cached("SELECT seq FROM meta")?
            .query_row([], |row| super::rows::unsigned(row, 0))?;
        let mut seq = start;
        let mut fates = Vec::with_capacity(group.len());
        for pending in group {
            let before = seq;
            run("SAVEPOINT batch")?;
            fates.push(match apply(&self.connection, &pending.batch, &mut seq) {
                Ok(committed) => Ok((before, committed)),
                Err(failure) if failure.ends_transaction() => return Err(failure),
                Err(failure) => {
                    run("ROLLBACK TO batch")?;
                    seq = before;
                    Err(Context::new("write to", &self.path).store_error(failure))
                }
            });
            run("RELEASE batch")?;
        }
        if seq != start {
            self.connection
                .prepare_cached("UPDATE meta SET seq = ?1")?
                .execute([seq.cast_signed()])?;
        }
        crash_point::reached("store_committing");
        run("COMMIT")?;
        crash_point::reached("store_committed");
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.counters.rows.fetch_add(seq - start, Ordering::Relaxed);
        self.counters
            .batches
            .fetch_add(group.len() as u64, Ordering::Relaxed);
        Ok(fates)
    }

    /// SQLite has taken back some failed transactions by itself, and others not.
    fn roll_back(&self) {
        if self.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            // Then the next BEGIN fails too, and says so to its callers.
            tracing::error!(%error, "failed to take back a transaction");
        }
    }

    fn tell(&self, pending: Pending, fate: Fate) {
        let result = match fate {
            Ok((before, committed)) => {
                publish(&self.feed, pending.batch, before, &committed);
                crash_point::reached("store_published");
                Ok(committed)
            }
            Err(error) => Err(error),
        };
        answer(pending.answer, result);
    }

    /// Moves the log into the file and lets SQLite look after its statistics.
    fn tidy(&self) -> Result<(), Failure> {
        self.connection.execute_batch("PRAGMA optimize")?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn refuse(group: Vec<Pending>, error: &StoreError) {
    for pending in group {
        answer(pending.answer, Err(error.clone()));
    }
}

fn answer<T>(to: oneshot::Sender<T>, value: T) {
    if to.send(value).is_err() {
        tracing::trace!("nobody waits for this commit any more");
    }
}

/// About how much work a batch is: rows, and bytes of text.
fn weight(batch: &Batch) -> (usize, usize) {
    match batch {
        Batch::Create(new) => (1, 1_024 + new.play.input_data.len()),
        Batch::Library(
            LibraryChange::Create { version, .. } | LibraryChange::AddVersion { version, .. },
        ) => (2, 1_024 + version.python_source.len()),
        Batch::Library(_) => (1, 1_024),
        Batch::Play { changes, .. } => {
            let bytes = changes.iter().map(|change| match change {
                PlayChange::Play(play) => 512 + play.output_data.as_ref().map_or(0, String::len),
                PlayChange::Process(_) => 64,
                PlayChange::Span { .. } => 256,
                PlayChange::Log(log) => 64 + log.text.len(),
            });
            (changes.len(), bytes.sum())
        }
    }
}
