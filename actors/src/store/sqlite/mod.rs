//! The store in one SQLite file: one thread that writes, a few that read.
//!
//! ```text
//! commit() ─► bounded queue ─► hero-store-writer ─► COMMIT (fsync) ─► Feed ─► answers
//!                                                     └─► hero-store-mover (checkpoints)
//! play(), spans(), … ─► bounded queue ─► hero-store-reader-1, -2
//! ```
//!
//! The writer takes whatever is queued into one transaction ([`writer`]), each batch in a savepoint
//! ([`apply`]): the disk is waited for once for all of them. Readers see every commit that was
//! answered before they were asked.
//!
//! An answer's future does nothing until it is polled; the first poll queues its work, waiting for
//! room without blocking the thread. From then on the work is done even if the future is dropped.
//!
//! This room must never block a caller's thread, answer or publish before COMMIT, or change a file
//! that it does not understand ([`schema`]).

mod apply;
mod apply_library;
mod apply_waits;
pub mod backup;
mod checkpoint;
pub mod examine;
mod failure;
mod jobs;
mod long;
mod parts;
mod read;
mod read_inside;
mod read_list;
mod read_waits;
mod reader;
mod retention;
mod rows;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use futures_util::FutureExt;
use protocol::{
    Play, PlaySid, PlayStatus, VersionSid, WaitToken, Workflow, WorkflowSid, WorkflowVersion,
    overview::{QuestionList, QuestionPage},
    reading::{LogPage, SpanDetail},
    rpc::{
        PlayList, PlayPage, SpanPage, SummaryPage, VersionPage, WorkflowList, WorkflowPage,
        WorkflowVersionList,
    },
};
use rusqlite::Connection;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use self::{
    failure::Outcome,
    jobs::{Counters, Job, Pending},
    reader::Task,
    writer::Writer,
};
use super::{
    Answer, Batch, Change, Committed, Durability, EndedPage, EndedPlace, FactPage, Feed, FindSpans,
    Forgotten, FoundSpans, Health, LibraryEntry, ListChange, LogQuery, Outline, Seq, Snapshot,
    StepPage, Store, StoreError, StoreSize, StoredPlay, Swept, Waiting, Wake, health::Vitals,
};
use crate::figures::Family;

/// The file's name in the data directory.
pub const FILE: &str = "hero_logic.db";
/// SQLite's log, beside it.
const LOG: &str = "hero_logic.db-wal";
/// How many batches may wait for the writer before their callers wait.
const WRITER_QUEUE: usize = 512;
/// How many questions may wait for the readers.
const READER_QUEUE: usize = 1_024;
const READERS: usize = 2;

/// See the module's documentation.
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: Arc<Path>,
    feed: Arc<Feed>,
    vitals: Arc<Vitals>,
    counters: Arc<Counters>,
    closed: AtomicBool,
    /// Why nothing can be written, where it was opened only to be read.
    refusal: Option<StoreError>,
    writer: mpsc::Sender<Job>,
    readers: mpsc::Sender<Task>,
    /// Gone once they are joined.
    threads: AsyncMutex<Option<Threads>>,
}

/// The threads, and for each kind what tells that they have ended: its sender is gone.
struct Threads {
    writer: JoinHandle<Result<(), StoreError>>,
    writer_ended: watch::Receiver<()>,
    readers: Vec<JoinHandle<()>>,
    readers_ended: watch::Receiver<()>,
}

/// How much the writer has done since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    pub transactions: u64,
    pub batches: u64,
    /// Rows that took a number.
    pub rows: u64,
}

impl SqliteStore {
    /// Opens the store of a data directory, makes it where there is none. Its commits are synced.
    ///
    /// # Errors
    /// The file can't be read or written, is damaged, is of a newer version or of another program.
    /// It was not changed then.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, Durability::Fsync)
    }

    /// As [`SqliteStore::open`], with commits of this durability.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(dir: &Path, durability: Durability) -> Result<Self, StoreError> {
        let path: Arc<Path> = dir.join(FILE).into();
        let feed = Arc::new(Feed::default());
        let vitals = Arc::new(Vitals::default());
        let counters = Arc::new(Counters::default());
        let (writer, jobs) = mpsc::channel(WRITER_QUEUE);
        let (readers, tasks) = mpsc::channel(READER_QUEUE);
        let writer_thread = Writer::open((&path, durability), jobs, &feed, &vitals, &counters)?;
        let threads = Threads::start(
            Some(writer_thread),
            (0..READERS)
                .map(|_| schema::open_reader(&path))
                .collect::<Result<_, _>>()?,
            tasks,
        )
        .map_err(|error| no_threads(&error))?;
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                feed,
                vitals,
                counters,
                closed: AtomicBool::new(false),
                refusal: None,
                writer,
                readers,
                threads: AsyncMutex::new(Some(threads)),
            }),
        })
    }

    /// Opens the store of a data directory that nobody has and that can't be written: commits are
    /// refused with this reason.
    ///
    /// # Errors
    /// There is none, or it can't be read, is damaged, is of a newer version or of another program.
    pub fn open_to_read(dir: &Path, why: &str) -> Result<Self, StoreError> {
        let path: Arc<Path> = dir.join(FILE).into();
        let connections = (0..READERS)
            .map(|_| schema::open_idle_reader(&path))
            .collect::<Result<_, _>>()?;
        let (readers, tasks) = mpsc::channel(READER_QUEUE);
        let threads = Threads::start(None, connections, tasks).map_err(|e| no_threads(&e))?;
        let refusal = StoreError::Failed(format!("it is open for reading only: {why}"));
        let vitals = Vitals::default();
        vitals.troubled(&refusal);
        Ok(Self {
            shared: Arc::new(Shared {
                path,
                feed: Arc::default(),
                vitals: Arc::new(vitals),
                counters: Arc::default(),
                closed: AtomicBool::new(false),
                refusal: Some(refusal),
                writer: mpsc::channel(1).0,
                readers,
                threads: AsyncMutex::new(Some(threads)),
            }),
        })
    }

    /// How much the writer has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Counters {
            transactions,
            batches,
            rows,
            ..
        } = &*self.shared.counters;
        Stats {
            transactions: transactions.load(Ordering::Relaxed),
            batches: batches.load(Ordering::Relaxed),
            rows: rows.load(Ordering::Relaxed),
        }
    }

    fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Answer<T> {
        let shared = self.shared.clone();
        async move {
            shared.check_open()?;
            let (answer, answered) = oneshot::channel();
            let task = reader::task(shared.clone(), question, answer);
            let sent = shared.readers.send(task).await;
            sent.map_err(|_| shared.reader_gone())?;
            answered.await.unwrap_or_else(|_| Err(shared.reader_gone()))
        }
        .boxed()
    }
}

impl SqliteStore {
    /// Work in a transaction of its own on the writer's thread, which publishes nothing.
    fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let shared = self.shared.clone();
        async move {
            shared.check_open()?;
            let (answer, answered) = oneshot::channel();
            let job = Job::Turn(Box::new(move |writer: &Writer| {
                if answer.send(work(writer)).is_err() {
                    tracing::trace!("nobody waits for this turn any more");
                }
            }));
            let sent = shared.writer.send(job).await;
            sent.map_err(|_| shared.writer_gone())?;
            answered.await.unwrap_or_else(|_| Err(shared.writer_gone()))
        }
        .boxed()
    }
}

impl Shared {
    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    /// Of one of its files.
    fn bytes(&self, name: &str) -> u64 {
        let path = self.path.with_file_name(name);
        std::fs::metadata(path).map_or(0, |file| file.len())
    }

    /// The writer has dropped what it was sent: it was told to end, or it failed.
    fn writer_gone(&self) -> StoreError {
        if self.closed.load(Ordering::Acquire) {
            return StoreError::Closed;
        }
        let known = self.refusal.clone().or_else(|| self.vitals.failure());
        known.unwrap_or_else(|| {
            StoreError::Failed(format!(
                "failed to write to {}: the store's thread has ended; see the log, restart hero_logic and report it",
                self.path.display()
            ))
        })
    }

    /// A reader has dropped its question: it was told to end, or the question panicked.
    fn reader_gone(&self) -> StoreError {
        if self.closed.load(Ordering::Acquire) {
            return StoreError::Closed;
        }
        StoreError::Backend(format!(
            "failed to read from {}: the store's thread panicked; see the log and report it",
            self.path.display()
        ))
    }

    /// Readers first: the last connection to go, the writer's, puts the files in order.
    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        let mut slot = self.threads.lock().await;
        let Some(threads) = slot.as_mut() else {
            return Ok(());
        };
        // Where the receiver is gone already, its thread has ended, which is all that is wanted.
        drop(self.readers.send(Task::Close).await);
        while threads.readers_ended.changed().await.is_ok() {}
        drop(self.writer.send(Job::Close).await);
        while threads.writer_ended.changed().await.is_ok() {}
        let Some(threads) = slot.take() else {
            return Ok(());
        };
        // They have nothing left to do, so this takes no time.
        let mut panicked = false;
        for reader in threads.readers {
            panicked |= reader.join().is_err();
        }
        match threads.writer.join() {
            Ok(result) if !panicked => result,
            _ => Err(StoreError::Backend(format!(
                "failed to close {}: a thread of the store had panicked; see the log and report it",
                self.path.display()
            ))),
        }
    }
}

impl Threads {
    fn start(
        writer: Option<Writer>,
        readers: Vec<Connection>,
        tasks: mpsc::Receiver<Task>,
    ) -> io::Result<Self> {
        let (ending, readers_ended) = watch::channel(());
        let tasks = Arc::new(Mutex::new(tasks));
        let readers = (1..)
            .zip(readers)
            .map(|(number, connection)| {
                let (tasks, ending) = (tasks.clone(), ending.clone());
                thread::Builder::new()
                    .name(format!("hero-store-reader-{number}"))
                    .spawn(move || {
                        reader::run(&connection, &tasks);
                        drop(connection);
                        drop(ending);
                    })
            })
            .collect::<io::Result<_>>()?;
        let (ending, writer_ended) = watch::channel(());
        let writer = thread::Builder::new()
            .name("hero-store-writer".to_owned())
            .spawn(move || {
                let result = writer.map_or(Ok(()), Writer::guarded);
                drop(ending);
                result
            })?;
        Ok(Self {
            writer,
            writer_ended,
            readers,
            readers_ended,
        })
    }
}

fn no_threads(error: &io::Error) -> StoreError {
    StoreError::Trouble(format!(
        "failed to start the store's threads: {error}; raise the limit of processes (ulimit -u)"
    ))
}

/// Without [`Store::close`], the threads end by themselves once the last store and the last answer
/// are dropped, and write what is queued before.
impl Store for SqliteStore {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let shared = self.shared.clone();
        async move {
            shared.check_open()?;
            let (answer, answered) = oneshot::channel();
            let sent = shared
                .writer
                .send(Job::Commit(Box::new(Pending::new(batch, answer))));
            sent.await.map_err(|_| shared.writer_gone())?;
            answered.await.unwrap_or_else(|_| Err(shared.writer_gone()))
        }
        .boxed()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.shared.feed
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.shared.vitals.watch()
    }

    fn commits(&self) -> u64 {
        self.stats().transactions
    }

    fn file_bytes(&self) -> u64 {
        self.shared.bytes(FILE) + self.shared.bytes(LOG)
    }

    fn figures(&self) -> Vec<Family> {
        let shared = &self.shared;
        let stats = self.stats();
        let queued = |room: usize, of: usize| of.saturating_sub(room);
        vec![
            Family::histogram(
                "store_commit_seconds",
                "Time of a transaction, with telling those who wait for it.",
                &shared.counters.commit,
            ),
            Family::histogram(
                "store_commit_batches",
                "Batches written in one transaction.",
                &shared.counters.group,
            ),
            Family::counter("store_rows_total", "Rows that were written.").of(stats.rows),
            Family::gauge("store_queue", "What waits for the store's threads.")
                .and(
                    &[("thread", "writer")],
                    queued(shared.writer.capacity(), WRITER_QUEUE),
                )
                .and(
                    &[("thread", "reader")],
                    queued(shared.readers.capacity(), READER_QUEUE),
                ),
            Family::gauge("store_bytes", "Size of the store's files.")
                .and(&[("file", "database")], shared.bytes(FILE))
                .and(&[("file", "log")], shared.bytes(LOG)),
            Family::gauge("store_sound", "1 while the store can write, else 0.")
                .of(u32::from(*shared.vitals.watch().borrow() == Health::Sound)),
        ]
    }

    fn play(&self, sid: &PlaySid) -> Answer<Option<Play>> {
        let sid = sid.clone();
        self.read(move |c| read::play(c, &sid))
    }

    fn play_of_key(&self, key: &str) -> Answer<Option<PlaySid>> {
        let key = key.to_owned();
        self.read(move |c| read::play_of_key(c, &key))
    }

    fn stored_play(&self, sid: &PlaySid) -> Answer<Option<StoredPlay>> {
        let sid = sid.clone();
        self.read(move |c| read::stored_play(c, &sid))
    }

    fn resting_play(&self, sid: &PlaySid) -> Answer<Option<StoredPlay>> {
        let sid = sid.clone();
        self.read(move |c| read_waits::resting_play(c, &sid))
    }

    fn plays(&self, query: PlayList) -> Answer<PlayPage> {
        self.read(move |c| read_list::plays(c, &query))
    }

    fn play_summaries(&self, query: PlayList) -> Answer<SummaryPage> {
        self.read(move |c| read_list::summaries(c, &query))
    }

    fn play_facts(&self, query: PlayList) -> Answer<FactPage> {
        self.read(move |c| read_list::facts(c, &query))
    }

    fn list_changes(&self, after: Seq, limit: u32) -> Answer<Vec<ListChange>> {
        self.read(move |c| read_list::changes(c, after, limit))
    }

    fn plays_with_status(
        &self,
        status: PlayStatus,
        after: Option<PlaySid>,
        limit: u32,
    ) -> Answer<Vec<PlaySid>> {
        self.read(move |c| read::plays_with_status(c, status, after.as_ref(), limit))
    }

    fn count_plays(&self, status: PlayStatus) -> Answer<u64> {
        self.read(move |c| read::count_plays(c, status))
    }

    fn open_children(&self, sid: &PlaySid) -> Answer<Vec<PlaySid>> {
        let sid = sid.clone();
        self.read(move |c| read::open_children(c, &sid))
    }

    fn spans(&self, sid: &PlaySid, cursor: Option<String>, limit: u32) -> Answer<Option<SpanPage>> {
        let sid = sid.clone();
        self.read(move |c| read::spans(c, &sid, cursor.as_deref(), limit))
    }

    fn open_spans(&self, sid: &PlaySid) -> Answer<Vec<(u64, protocol::Span)>> {
        let sid = sid.clone();
        self.read(move |c| read::open_spans(c, &sid))
    }

    fn steps(&self, sid: &PlaySid, after: Option<Box<str>>, limit: u32) -> Answer<StepPage> {
        let sid = sid.clone();
        self.read(move |c| read::steps(c, &sid, after.as_deref(), limit))
    }

    fn step(&self, sid: &PlaySid, key: &str) -> Answer<Option<protocol::Step>> {
        let (sid, key) = (sid.clone(), key.to_owned());
        self.read(move |c| read::step(c, &sid, &key))
    }

    fn waiting(&self, sid: &PlaySid) -> Answer<Waiting> {
        let sid = sid.clone();
        self.read(move |c| read_waits::waiting(c, &sid))
    }

    fn wakes(&self, limit: u32) -> Answer<Vec<Wake>> {
        self.read(move |c| read_waits::wakes(c, limit))
    }

    fn wait_of_child(&self, child: &PlaySid) -> Answer<Option<(PlaySid, Box<str>)>> {
        let child = child.clone();
        self.read(move |c| read_waits::of_child(c, &child))
    }

    fn waits_for_ended(&self, limit: u32) -> Answer<Vec<(PlaySid, Box<str>)>> {
        self.read(move |c| read_waits::for_ended(c, limit))
    }

    fn wait_of_token(&self, token: &WaitToken) -> Answer<Option<(PlaySid, Box<str>)>> {
        let token = token.clone();
        self.read(move |c| read_waits::of_token(c, &token))
    }

    fn questions(&self, query: QuestionList) -> Answer<QuestionPage> {
        self.read(move |c| read_waits::questions(c, &query))
    }

    fn outline(&self, sid: &PlaySid, outline: Outline, limit: u32) -> Answer<Option<Outline>> {
        let sid = sid.clone();
        self.read(move |c| read_inside::outline(c, &sid, outline, limit))
    }

    fn span(&self, sid: &PlaySid, ord: u64) -> Answer<Option<SpanDetail>> {
        let sid = sid.clone();
        self.read(move |c| read_inside::span(c, &sid, ord))
    }

    fn logs(&self, sid: &PlaySid, query: LogQuery) -> Answer<Option<LogPage>> {
        let sid = sid.clone();
        self.read(move |c| read_inside::logs(c, &sid, &query))
    }

    fn find_spans(&self, sid: &PlaySid, wanted: FindSpans) -> Answer<FoundSpans> {
        let sid = sid.clone();
        self.read(move |c| read_inside::find_spans(c, &sid, &wanted))
    }

    fn snapshot(&self, sid: &PlaySid) -> Answer<Option<Snapshot>> {
        let sid = sid.clone();
        self.read(move |c| read::snapshot(c, &sid))
    }

    fn changes(&self, sid: &PlaySid, after: Seq, limit: u32) -> Answer<Vec<Change>> {
        let sid = sid.clone();
        self.read(move |c| read::changes(c, &sid, after, limit))
    }

    fn last_seq(&self) -> Answer<Seq> {
        self.read(read::last_seq)
    }

    fn knows(&self, seq: Seq) -> Answer<bool> {
        self.read(move |c| read::knows(c, seq))
    }

    fn workflow(&self, sid: &WorkflowSid) -> Answer<Option<Workflow>> {
        let sid = sid.clone();
        self.read(move |c| read::workflow(c, &sid))
    }

    fn workflow_named(&self, name: &str) -> Answer<Option<Workflow>> {
        let name = name.to_owned();
        self.read(move |c| read::workflow_named(c, &name))
    }

    fn workflows(&self, query: WorkflowList) -> Answer<WorkflowPage> {
        self.read(move |c| read::workflows(c, &query))
    }

    fn version(&self, sid: &VersionSid) -> Answer<Option<WorkflowVersion>> {
        let sid = sid.clone();
        self.read(move |c| read::version(c, &sid))
    }

    fn versions(&self, query: WorkflowVersionList) -> Answer<VersionPage> {
        self.read(move |c| read::versions(c, &query))
    }

    fn library(&self) -> Answer<Vec<LibraryEntry>> {
        self.read(read::library)
    }

    fn ended_trees(&self, after: Option<EndedPlace>, weigh: bool, limit: u32) -> Answer<EndedPage> {
        self.read(move |c| retention::ended_trees(c, after.as_ref(), weigh, limit))
    }

    fn size(&self) -> Answer<StoreSize> {
        self.read(retention::size)
    }

    fn unmeasured(&self, limit: u32) -> Answer<Vec<PlaySid>> {
        self.read(move |c| retention::unmeasured(c, limit))
    }

    fn measured(&self, sizes: Vec<(PlaySid, u64)>) -> Answer<()> {
        self.turn(move |writer| writer.turn(|c| retention::measured(c, &sizes)))
    }

    fn unknown_plays(&self, plays: Vec<PlaySid>) -> Answer<Vec<PlaySid>> {
        self.read(move |c| retention::unknown_plays(c, plays))
    }

    fn forget(&self, plays: Vec<PlaySid>) -> Answer<Forgotten> {
        self.turn(move |writer| writer.turn(|c| retention::forget(c, &plays)))
    }

    fn sweep(&self, cleaned: Vec<PlaySid>) -> Answer<Swept> {
        self.turn(move |writer| {
            let written = writer.long.values();
            writer.turn(|c| retention::sweep(c, &cleaned, &written))
        })
    }

    fn close(&self) -> Answer<()> {
        let shared = self.shared.clone();
        async move { shared.close().await }.boxed()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.shared.path)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
