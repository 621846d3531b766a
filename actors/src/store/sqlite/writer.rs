//! The writer thread: takes what is queued, writes it in one transaction, publishes, answers.
//!
//! Nothing is published or answered before COMMIT has returned. A batch that is refused is taken back
//! alone; where the transaction fails, everything of it is, and the sequence with it: the number is
//! read from the file at the start of each transaction and nowhere else. A batch with a long text takes
//! several turns ([`long`]), each of which also takes what is queued meanwhile.

use std::{
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{
    super::{Committed, Durability, Feed, Seq, StoreError, health::Vitals, rules::publish},
    apply::apply,
    checkpoint::Mover,
    failure::{Context, Failure, Outcome},
    jobs::{Counters, Job, Pending, answer, gather},
    long::{self, Step},
    parts, schema,
};
use crate::crash_point;

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
    /// Dropped before the connection, which is the last to go.
    _mover: Mover,
    connection: Connection,
    queue: mpsc::Receiver<Job>,
    /// Batches with long texts.
    pub(super) long: long::Queue,
    /// Batches that have waited behind those, to be written next.
    ready: Vec<Pending>,
    feed: Arc<Feed>,
    vitals: Arc<Vitals>,
    counters: Arc<Counters>,
    /// The file that was opened; the path may name another one day.
    file: Option<FileId>,
    path: Arc<Path>,
}

impl Writer {
    /// Opens the file, makes it where there is none.
    pub(super) fn open(
        (path, durability): (&Arc<Path>, Durability),
        queue: mpsc::Receiver<Job>,
        feed: &Arc<Feed>,
        vitals: &Arc<Vitals>,
        counters: &Arc<Counters>,
    ) -> Result<Self, StoreError> {
        let mut connection = schema::open_writer(path, durability)?;
        let mut start = || Mover::start(schema::open_mover(path)?, &mut connection);
        let mover = start().map_err(|failure| Context::new("open", path).store_error(failure))?;
        let next_value = parts::next_value(&connection)
            .map_err(|error| Context::new("open", path).store_error(error.into()))?;
        Ok(Self {
            _mover: mover,
            connection,
            queue,
            long: long::Queue::new(next_value),
            ready: Vec::new(),
            feed: feed.clone(),
            vitals: vitals.clone(),
            counters: counters.clone(),
            file: FileId::of(path),
            path: path.clone(),
        })
    }

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
        let mut further = None;
        while let Some(job) = self.next(&mut further) {
            match job {
                Some(Job::Commit(pending)) => {
                    let (group, other) = gather(&mut self.queue, *pending);
                    further = other;
                    self.write(group);
                }
                Some(Job::Turn(work)) => work(self),
                Some(Job::Close) => self.queue.close(),
                #[cfg(test)]
                Some(Job::Run(work)) => work(&self.connection),
                None => self.write(Vec::new()),
            }
            if let Some(error) = self.vitals.failure() {
                // What is queued is answered by being dropped.
                return Err(error);
            }
        }
        self.tidy()
            .map_err(|failure| Context::new("close", &self.path).store_error(failure))
    }

    /// The next job; waits for it only where nothing is left to do, and ends only then.
    fn next(&mut self, further: &mut Option<Job>) -> Option<Option<Job>> {
        if let Some(job) = further.take() {
            return Some(Some(job));
        }
        if self.long.is_empty() && self.ready.is_empty() {
            return self.queue.blocking_recv().map(Some);
        }
        Some(self.queue.try_recv().ok())
    }

    /// One turn: these batches, those that have waited, and a step of a long one.
    fn write(&mut self, group: Vec<Pending>) {
        let began = Instant::now();
        let ready = std::mem::take(&mut self.ready);
        let mut group: Vec<Pending> = ready
            .into_iter()
            .chain(group)
            .filter_map(|pending| self.long.admit(pending))
            .collect();
        if let Some((written, behind)) = self.long.written() {
            group.push(written);
            self.ready.extend(behind);
        }
        let batches = group.len();
        self.take_turn(group);
        while let Some((removed, result, behind)) = self.long.removed() {
            answer(removed.answer, result);
            self.ready.extend(behind);
        }
        self.counters.commit.observe(began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a queue's length")]
        self.counters.group.observe(batches as f64);
    }

    fn take_turn(&mut self, group: Vec<Pending>) {
        let Some(step) = self.long.step() else {
            return self.write_or_refuse(group);
        };
        if let Some(error) = self.vitals.failure() {
            return self.refuse(group, &error);
        }
        let together = self.attempt(|writer| writer.transaction(&group, Some(&step)));
        match together {
            Ok((fates, more)) => {
                self.long.stepped(more);
                self.tell_all(group, fates);
            }
            // Perhaps it is the part alone that is too large for what is left.
            Err(StoreError::Full(_) | StoreError::Backend(_)) if !group.is_empty() => {
                let alone = self.attempt(|writer| writer.transaction(&[], Some(&step)));
                match alone {
                    Ok((_, more)) => self.long.stepped(more),
                    Err(error) => self.long.failed(error),
                }
                self.write_or_refuse(group);
            }
            Err(error) => {
                self.long.failed(error.clone());
                self.refuse(group, &error);
            }
        }
    }

    fn write_or_refuse(&mut self, mut group: Vec<Pending>) {
        if group.is_empty() {
            return;
        }
        if let Some(error) = self.vitals.failure() {
            return self.refuse(group, &error);
        }
        match self.attempt(|writer| writer.transaction(&group, None)) {
            Ok((fates, _)) => self.tell_all(group, fates),
            // Perhaps only one of them is too large for what is left, or can't be written at all.
            Err(StoreError::Full(_) | StoreError::Backend(_)) if group.len() > 1 => {
                for pending in group.drain(..) {
                    self.write_or_refuse(vec![pending]);
                }
            }
            Err(error) => self.refuse(group, &error),
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

    /// What became of each batch, and what the step says.
    fn transaction(
        &self,
        group: &[Pending],
        step: Option<&Step<'_>>,
    ) -> Outcome<(Vec<Fate>, bool)> {
        let run = |sql: &str| -> Outcome<()> {
            self.connection.prepare_cached(sql)?.execute([])?;
            Ok(())
        };
        run("BEGIN IMMEDIATE")?;
        crash_point::reached("store_began");
        let more = match step {
            Some(step) => step.take(&self.connection)?,
            None => false,
        };
        let start: Seq = self
            .connection
            .prepare_cached("SELECT seq FROM meta")?
            .query_row([], |row| super::rows::unsigned(row, 0))?;
        let mut seq = start;
        let mut fates = Vec::with_capacity(group.len());
        for pending in group {
            let before = seq;
            run("SAVEPOINT batch")?;
            fates.push(
                match apply(&self.connection, &pending.batch, &pending.values, &mut seq) {
                    Ok(committed) => Ok((before, committed)),
                    Err(failure) if failure.ends_transaction() => return Err(failure),
                    Err(failure) => {
                        run("ROLLBACK TO batch")?;
                        seq = before;
                        Err(Context::new("write to", &self.path).store_error(failure))
                    }
                },
            );
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
        if step.is_some() {
            crash_point::reached("store_part_committed");
        }
        self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        self.counters.rows.fetch_add(seq - start, Ordering::Relaxed);
        self.counters
            .batches
            .fetch_add(group.len() as u64, Ordering::Relaxed);
        Ok((fates, more))
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

    fn tell_all(&mut self, group: Vec<Pending>, fates: Vec<Fate>) {
        for (pending, fate) in group.into_iter().zip(fates) {
            self.tell(pending, fate);
        }
    }

    fn tell(&mut self, pending: Pending, fate: Fate) {
        match fate {
            Ok((before, committed)) if committed.existing.is_none() => {
                publish(&self.feed, pending.batch, before, &committed);
                crash_point::reached("store_published");
                answer(pending.answer, Ok(committed));
            }
            fate => self.undone(pending, fate.map(|(_, committed)| committed)),
        }
    }

    fn refuse(&mut self, group: Vec<Pending>, error: &StoreError) {
        tracing::error!(%error, batches = group.len(), "nothing of a transaction was written");
        for pending in group {
            self.undone(pending, Err(error.clone()));
        }
    }

    /// Answers a batch of which nothing was written, once its values have gone too.
    fn undone(&mut self, pending: Pending, result: Result<Committed, StoreError>) {
        if pending.values.is_empty() {
            answer(pending.answer, result);
        } else {
            self.long.remove(pending, result);
        }
    }

    /// Moves the log into the file and lets SQLite look after its statistics.
    fn tidy(&self) -> Result<(), Failure> {
        self.connection.execute_batch("PRAGMA optimize")?;
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }
}
