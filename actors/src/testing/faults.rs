//! A store in memory that fails when it is told to.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use protocol::{
    Play, PlaySid, PlayStatus, Span, VersionSid, Workflow, WorkflowSid, WorkflowVersion,
    overview::{QuestionList, QuestionPage},
    reading::{LogPage, SpanDetail},
    rpc::{
        PlayList, PlayPage, SpanPage, SummaryPage, VersionPage, WorkflowList, WorkflowPage,
        WorkflowVersionList,
    },
};
use tokio::sync::watch;

use crate::store::{
    Answer, Batch, Change, Committed, EndedPage, EndedPlace, FactPage, Feed, FindSpans, Forgotten,
    FoundSpans, Health, LibraryEntry, ListChange, LogQuery, Outline, Seq, Snapshot, Store,
    StoreError, StoreSize, StoredPlay, Swept, health::Vitals, memory::MemoryStore,
};

/// Which batches are meant.
type Wanted = Box<dyn Fn(&Batch) -> bool + Send>;

/// See the module. Closing it closes only this door, so that another runtime can be started on it.
#[derive(Debug, Default)]
pub struct FaultyStore {
    inner: Arc<MemoryStore>,
    vitals: Vitals,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    closed: bool,
    /// Which commits are answered with what, nothing being written.
    refusal: Option<(Wanted, StoreError)>,
    refused: u64,
    /// How long commits take before anything is written.
    slow: Duration,
    /// How long answers to commits take after the commit was published.
    late: Duration,
    /// How long the answers to counting take after the count was made.
    late_counts: Duration,
}

impl FaultyStore {
    /// The store has failed: every commit is answered with [`StoreError::Failed`], and its health
    /// says so.
    pub fn fail(&self, why: &str) {
        let error = StoreError::Failed(why.to_owned());
        self.refuse(error.clone());
        self.vitals.failed(&error);
    }

    /// From now on every commit is answered with this error, and nothing is written.
    pub fn refuse(&self, error: StoreError) {
        self.refuse_where(|_| true, error);
    }

    /// As [`FaultyStore::refuse`], but only the changes of this play.
    pub fn refuse_play(&self, play: &PlaySid, error: StoreError) {
        let play = play.clone();
        self.refuse_where(
            move |batch| match batch {
                Batch::Create(new) => new.play.sid == play,
                Batch::Play { fence, .. } => fence.play == play,
                Batch::Library(_) => false,
            },
            error,
        );
    }

    /// As [`FaultyStore::refuse`], but only these.
    pub fn refuse_where(&self, which: impl Fn(&Batch) -> bool + Send + 'static, error: StoreError) {
        self.faults().refusal = Some((Box::new(which), error));
    }

    /// Commits succeed again.
    pub fn heal(&self) {
        self.faults().refusal = None;
    }

    /// How many commits were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.faults().refused
    }

    /// Commits are written so much later than they are asked for.
    pub fn write_late(&self, by: Duration) {
        self.faults().slow = by;
    }

    /// The answers to commits come so much later than what was committed is published.
    pub fn answer_late(&self, by: Duration) {
        self.faults().late = by;
    }

    /// The number of plays is answered so much later than it was counted.
    pub fn count_late(&self, by: Duration) {
        self.faults().late_counts = by;
    }

    /// As a server that starts on the same directory finds it.
    pub fn reopen(&self) {
        *self.faults() = Faults::default();
    }

    /// The server is gone: nothing comes through this door any more.
    pub fn shut(&self) {
        self.faults().closed = true;
    }

    /// Another door to the same, as the next server finds it.
    #[must_use]
    pub fn another_door(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            ..Self::default()
        }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    fn unless_closed<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        let faults = self.faults.clone();
        async move {
            if lock(&faults).closed {
                return Err(StoreError::Closed);
            }
            answer.await
        }
        .boxed()
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faults")
    }
}

impl Faults {
    fn check(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        let Some((which, error)) = &self.refusal else {
            return Ok(());
        };
        if !which(batch) {
            return Ok(());
        }
        self.refused += 1;
        Err(error.clone())
    }
}

macro_rules! passed_on {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $answer:ty;)*) => {
        $(fn $name(&self $(, $arg: $type)*) -> Answer<$answer> {
            self.unless_closed(self.inner.$name($($arg),*))
        })*
    };
}

impl Store for FaultyStore {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let faults = self.faults.clone();
        let checked = batch.clone();
        let commit = self.inner.commit(batch);
        async move {
            let slow = lock(&faults).slow;
            if !slow.is_zero() {
                tokio::time::sleep(slow).await;
            }
            lock(&faults).check(&checked)?;
            let committed = commit.await;
            let late = lock(&faults).late;
            if !late.is_zero() {
                tokio::time::sleep(late).await;
            }
            committed
        }
        .boxed()
    }

    fn feed(&self) -> &Arc<Feed> {
        self.inner.feed()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.vitals.watch()
    }

    fn count_plays(&self, status: PlayStatus) -> Answer<u64> {
        let count = self.unless_closed(self.inner.count_plays(status));
        let faults = self.faults.clone();
        async move {
            let count = count.await;
            let late = lock(&faults).late_counts;
            if !late.is_zero() {
                tokio::time::sleep(late).await;
            }
            count
        }
        .boxed()
    }

    fn close(&self) -> Answer<()> {
        self.faults().closed = true;
        std::future::ready(Ok(())).boxed()
    }

    passed_on! {
        fn play(&self, sid: &PlaySid) -> Option<Play>;
        fn play_of_key(&self, key: &str) -> Option<PlaySid>;
        fn stored_play(&self, sid: &PlaySid) -> Option<StoredPlay>;
        fn resting_play(&self, sid: &PlaySid) -> Option<StoredPlay>;
        fn plays(&self, query: PlayList) -> PlayPage;
        fn play_summaries(&self, query: PlayList) -> SummaryPage;
        fn play_facts(&self, query: PlayList) -> FactPage;
        fn list_changes(&self, after: Seq, limit: u32) -> Vec<ListChange>;
        fn questions(&self, query: QuestionList) -> QuestionPage;
        fn plays_with_status(&self, status: PlayStatus, after: Option<PlaySid>, limit: u32) -> Vec<PlaySid>;
        fn open_children(&self, sid: &PlaySid) -> Vec<PlaySid>;
        fn spans(&self, sid: &PlaySid, cursor: Option<String>, limit: u32) -> Option<SpanPage>;
        fn open_spans(&self, sid: &PlaySid) -> Vec<(u64, Span)>;
        fn steps(&self, sid: &PlaySid, after: Option<Box<str>>, limit: u32) -> crate::store::StepPage;
        fn step(&self, sid: &PlaySid, key: &str) -> Option<protocol::Step>;
        fn waiting(&self, sid: &PlaySid) -> crate::store::Waiting;
        fn wakes(&self, limit: u32) -> Vec<crate::store::Wake>;
        fn wait_of_child(&self, child: &PlaySid) -> Option<(PlaySid, Box<str>)>;
        fn waits_for_ended(&self, limit: u32) -> Vec<(PlaySid, Box<str>)>;
        fn wait_of_token(&self, token: &protocol::WaitToken) -> Option<(PlaySid, Box<str>)>;
        fn outline(&self, sid: &PlaySid, outline: Outline, limit: u32) -> Option<Outline>;
        fn span(&self, sid: &PlaySid, ord: u64) -> Option<SpanDetail>;
        fn logs(&self, sid: &PlaySid, query: LogQuery) -> Option<LogPage>;
        fn find_spans(&self, sid: &PlaySid, wanted: FindSpans) -> FoundSpans;
        fn snapshot(&self, sid: &PlaySid) -> Option<Snapshot>;
        fn changes(&self, sid: &PlaySid, after: Seq, limit: u32) -> Vec<Change>;
        fn last_seq(&self) -> Seq;
        fn knows(&self, seq: Seq) -> bool;
        fn workflow(&self, sid: &WorkflowSid) -> Option<Workflow>;
        fn workflow_named(&self, name: &str) -> Option<Workflow>;
        fn workflows(&self, query: WorkflowList) -> WorkflowPage;
        fn version(&self, sid: &VersionSid) -> Option<WorkflowVersion>;
        fn versions(&self, query: WorkflowVersionList) -> VersionPage;
        fn library(&self) -> Vec<LibraryEntry>;
        fn ended_trees(&self, after: Option<EndedPlace>, weigh: bool, limit: u32) -> EndedPage;
        fn size(&self) -> StoreSize;
        fn unmeasured(&self, limit: u32) -> Vec<PlaySid>;
        fn measured(&self, sizes: Vec<(PlaySid, u64)>) -> ();
        fn unknown_plays(&self, plays: Vec<PlaySid>) -> Vec<PlaySid>;
        fn forget(&self, plays: Vec<PlaySid>) -> Forgotten;
        fn sweep(&self, cleaned: Vec<PlaySid>) -> Swept;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
