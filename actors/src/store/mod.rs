//! The store's port: whole operations, and the feed of what was committed.
//!
//! Everything that outlives a process is a row: plays, spans, logs, workflows. Each row carries the
//! sequence number of its last change; whoever reads a play (waiters, SSE, the command line) reads
//! what was committed, through [`Feed`] and the read methods, and no reader has a path of its own.
//!
//! This room must never let SQL or a type of a database crate out: [`sqlite`] and [`memory`] pass
//! the same conformance suite, and so would another backend.

mod cursor;
mod durability;
pub mod feed;
mod figures;
pub mod health;
pub mod inside;
mod listing;
pub mod memory;
pub mod outline;
pub mod retention;
mod rules;
pub mod sqlite;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use protocol::{
    EpochMs, Error, ErrorKind, Kept, Limits, Log, Play, PlaySid, PlayStatus, ProcessId, Signal,
    Span, Step, VersionSid, Wait, WaitToken, Workflow, WorkflowSid, WorkflowVersion,
    overview::{QuestionList, QuestionPage},
    reading::{LogPage, SpanDetail},
    rpc::{
        PlayList, PlayPage, SpanPage, StartMode, SummaryPage, VersionPage, WorkflowList,
        WorkflowPage, WorkflowVersionList,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::figures::Family;

pub use durability::Durability;
pub use feed::{Change, ChangeBody, Commit, Feed, Subscription};
pub use figures::Totals;
pub use health::Health;
pub use inside::{FindSpans, FoundSpans, LogQuery, LogsOf};
pub use listing::{FactPage, ListBody, ListChange, PlayFacts};
pub use outline::{Outline, Progress};
pub use retention::{EndedPage, EndedPlace, EndedTree, Forgotten, StoreSize, Swept};

/// The number of a change: global to the store, strictly rising, never used twice, not even across
/// a crash.
pub type Seq = u64;

/// A page of plays ends where its inputs and outputs exceed this.
const PAGE_BYTES: usize = 32 << 20;

/// What a store operation answers, once it is known.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// Why the store did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The play has a newer attempt or has ended: this writer's time is over. Nothing was changed.
    #[error("play {play}: attempt {attempt} is no longer the current one")]
    Fenced { play: PlaySid, attempt: u32 },
    #[error("there is no {what} {sid:?}")]
    NotFound { what: &'static str, sid: String },
    /// A name or an idempotency key is taken.
    #[error("{0}")]
    Conflict(String),
    /// A cursor that this store did not hand out, or a batch that contradicts itself.
    #[error("{0}")]
    InvalidInput(String),
    /// The disk is full. Nothing was changed; it can be tried again.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Something else keeps it from being done for the moment (another process holds the file, the
    /// file system refuses). Nothing was changed; it can be tried again.
    #[error("{0}")]
    Trouble(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The store will never write again (see [`Health::Failed`]). Trying again is in vain.
    #[error("{0}")]
    Failed(String),
    /// This batch can't be written, or this question not be answered, now or later; others can.
    #[error("{0}")]
    Backend(String),
}

impl StoreError {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Trouble(_))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NotFound { .. } => ErrorKind::NotFound,
            StoreError::Conflict(_) | StoreError::Fenced { .. } => ErrorKind::Conflict,
            StoreError::InvalidInput(_) => ErrorKind::InvalidInput,
            StoreError::Full(_)
            | StoreError::Trouble(_)
            | StoreError::Closed
            | StoreError::Failed(_) => ErrorKind::Unavailable,
            StoreError::Backend(_) => ErrorKind::Internal,
        };
        Error::new(kind, error.to_string())
    }
}

/// What is written in one piece: all of it or nothing.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "changes of the library are few, a box for each would only be in the way"
)]
pub enum Batch {
    /// A new play. Its parent, where it has one, must be there.
    Create(Box<NewPlay>),
    /// Changes of one play, made in the name of one of its attempts.
    Play {
        fence: Fence,
        changes: Vec<PlayChange>,
    },
    /// A change of the library.
    Library(LibraryChange),
}

/// The right to write: the batch is refused ([`StoreError::Fenced`]) unless `attempt` is the
/// attempt that the play's row has, and the play has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub play: PlaySid,
    pub attempt: u32,
}

/// A play as it is created, with what its processes need to start.
#[derive(Clone, Debug)]
pub struct NewPlay {
    pub play: Play,
    pub launch: Launch,
    /// 1 for a top-level play, else the parent's depth plus 1.
    pub depth: u32,
    /// The process of its first attempt, where one was at hand before it was stored; as
    /// [`PlayChange::Process`].
    pub process: Option<ProcessId>,
    /// The same key names the same play: where the key exists with the same workflow, nothing is
    /// created and [`Committed::existing`] names that play; with another workflow it is a conflict.
    pub idempotency_key: Option<String>,
    /// What it has from another play before it starts.
    pub reuse: Option<Reuse>,
}

/// Durable steps of another play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reuse {
    pub from: PlaySid,
    /// Those of these keys.
    pub keys: Vec<Box<str>>,
}

/// How the processes of a play are started; kept with the play, for pending ones and for retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    pub env: BTreeMap<String, String>,
    pub python: Option<String>,
    pub start: Option<StartMode>,
    /// Answers given ahead, by the names of waits.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub prefill: Map<String, Value>,
    /// A question that is not answered ahead is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefill_only: bool,
    /// Of a play of nodes and edges: the play whose nodes are not run again where they have succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes_of: Option<PlaySid>,
}

/// One change of a play.
#[derive(Clone, Debug)]
pub enum PlayChange {
    /// The record as it now stands: status, cause, output, attempt, times, usage, skipped. What a
    /// play was created with (workflow, version, input, parents, `created_at`) is not touched.
    Play(Arc<Play>),
    /// The process of the current attempt: pid and start time (clock ticks since boot, from
    /// `/proc/PID/stat`), so that a later server can tell it from another that got its pid. Gone
    /// once the attempt is raised. No reader of the feed sees it, so it takes no number.
    Process(ProcessId),
    /// A span that is new (`ord` counts from 0 in start order, without gaps) or has changed.
    Span { ord: u64, span: Arc<Span> },
    /// A piece of output.
    Log(Arc<Log>),
    /// A durable step that began, or what it came to; by its key. For the next attempt, not for
    /// readers of the feed: it takes no number.
    Step(Arc<Step>),
    /// How often its process or its server died since anything was kept. Takes no number.
    Recoveries(u32),
    /// A step waits for its result; by its key. One that waits already keeps its token, its times and
    /// its default. Takes no number, as do the following.
    Wait(Arc<Wait>),
    /// The waiting of a step is over, and with what. Where it doesn't wait, the whole batch is
    /// refused ([`StoreError::Conflict`]): of several who answer, one does.
    Settled(Arc<Settled>),
    /// A signal came for which nobody waited.
    Signal(Arc<Signal>),
    /// The signal with this id was handed to a step.
    SignalTaken(Box<str>),
}

/// What a wait came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Of its step.
    pub key: Box<str>,
    /// The result of its step; `None`: that has none yet.
    pub kept: Option<Kept>,
    pub at: EpochMs,
}

/// What a play waits for, and what came before it was waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waiting {
    /// Oldest first.
    pub waits: Vec<Wait>,
    /// In the order in which they came.
    pub signals: Vec<Signal>,
}

/// When the waiting of a step is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Wake {
    pub at: EpochMs,
    pub play: PlaySid,
    /// Of its step.
    pub key: Box<str>,
}

/// One change of the library.
#[derive(Clone, Debug)]
pub enum LibraryChange {
    /// A new workflow with its first version. A name that exists is a conflict.
    Create {
        workflow: Workflow,
        version: WorkflowVersion,
    },
    /// Name, description, tags, `updated_at` and current version as they now stand. A name that
    /// exists is a conflict.
    Update(Workflow),
    /// Takes it out of the library and frees its name. Plays and versions of it stay readable.
    Delete(WorkflowSid),
    /// A further version; its `number` is set by the store. `workflow` (with the current version as
    /// it shall now be) is written with it.
    AddVersion {
        workflow: Workflow,
        version: WorkflowVersion,
    },
}

/// What a commit answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of the batch's last change; of the store's, where the batch has none.
    pub seq: Seq,
    /// The play that had this idempotency key before.
    pub existing: Option<PlaySid>,
    /// The number that a new version got.
    pub version_number: Option<u32>,
}

/// A play with what its next process needs.
#[derive(Clone, Debug)]
pub struct StoredPlay {
    pub play: Play,
    pub launch: Launch,
    pub depth: u32,
    /// The process of the current attempt, where one was recorded.
    pub process: Option<ProcessId>,
    pub past: Past,
}

/// What a play has from earlier attempts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// How many spans the play has: the next `ord`.
    pub spans: u64,
    /// Whether it has begun a durable step.
    pub durable: bool,
    /// See [`PlayChange::Recoveries`].
    pub recoveries: u32,
    /// Empty but in a [`Store::resting_play`]: it can change until the play is started, and is read then.
    pub waiting: Waiting,
    /// Spans that earlier attempts left open, by what they waited for. As `waiting`.
    pub open: Vec<(u64, Span)>,
}

/// Some durable steps of a play.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepPage {
    /// By their keys.
    pub steps: Vec<Step>,
    /// There may be further ones behind them.
    pub more: bool,
}

/// A play, its spans (in start order) and logs, as they stood together at `seq`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub play: Play,
    pub spans: Vec<Span>,
    pub logs: Vec<Log>,
    /// Everything up to this number is in it.
    pub seq: Seq,
}

/// A workflow as the search index needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryEntry {
    pub sid: WorkflowSid,
    pub name: String,
    pub description: String,
    /// The number of its latest change.
    pub seq: Seq,
}

/// Waits until whatever was handed to the writer before is written, or never will be: by a batch that
/// is refused, and so changes nothing.
///
/// # Errors
/// Why nothing can be written.
pub async fn settle(store: &dyn Store) -> Result<(), StoreError> {
    let fence = Fence {
        play: PlaySid::from(""),
        attempt: 0,
    };
    let changes = Vec::new();
    match store.commit(Batch::Play { fence, changes }).await {
        Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Fenced { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A place where plays and workflows are kept.
///
/// Every method returns at once, and nothing happens before its answer is first polled: that queues
/// the work for the store's own threads, waiting for room without blocking the caller's. From then
/// on it is done even if the answer is dropped. Batches of one caller that awaits each are applied in
/// its order.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Writes a batch; answered after it is durable. What was committed is then published on
    /// [`Store::feed`], before the answer.
    fn commit(&self, batch: Batch) -> Answer<Committed>;
    /// The committed changes, as they happen.
    fn feed(&self) -> &Arc<Feed>;
    /// How the store is, and as it changes. [`Health::Failed`] is final: the system is to stop.
    fn health(&self) -> watch::Receiver<Health>;

    fn play(&self, sid: &PlaySid) -> Answer<Option<Play>>;
    /// The play that was created with this idempotency key, if it is still there.
    fn play_of_key(&self, key: &str) -> Answer<Option<PlaySid>>;
    /// See [`StoredPlay`].
    fn stored_play(&self, sid: &PlaySid) -> Answer<Option<StoredPlay>>;
    /// As [`Self::stored_play`], with what it waits for and has left open, as all of it stands together.
    fn resting_play(&self, sid: &PlaySid) -> Answer<Option<StoredPlay>>;
    /// Newest first. A page ends early where its inputs and outputs exceed 32 MiB.
    /// Where a text is searched for, it ends after some thousand plays that were looked at, found or not.
    fn plays(&self, query: PlayList) -> Answer<PlayPage>;
    /// As [`Self::plays`], without what is long.
    fn play_summaries(&self, query: PlayList) -> Answer<SummaryPage>;
    /// As [`Self::plays`], what is counted of them; as many as can be read quickly, whatever the limit.
    fn play_facts(&self, query: PlayList) -> Answer<FactPage>;
    /// The plays and workflows that changed after `after`, each as it now stands, in the order of their last change,
    /// at most `limit`; fewer: there are no more.
    fn list_changes(&self, after: Seq, limit: u32) -> Answer<Vec<ListChange>>;
    /// Plays that have this status, in their order of creation, after `after`.
    fn plays_with_status(
        &self,
        status: PlayStatus,
        after: Option<PlaySid>,
        limit: u32,
    ) -> Answer<Vec<PlaySid>>;
    /// How many plays have this status.
    fn count_plays(&self, status: PlayStatus) -> Answer<u64>;
    /// Plays started by this one that have not ended.
    fn open_children(&self, sid: &PlaySid) -> Answer<Vec<PlaySid>>;
    /// A page of a play's spans in start order, each with its logs. Logs from before the first span
    /// (`span_id` `""`) are with the first span. `None`: no such play.
    fn spans(&self, sid: &PlaySid, cursor: Option<String>, limit: u32) -> Answer<Option<SpanPage>>;
    /// The spans of a play that are `running`, each with its `ord`. An unknown play has none.
    fn open_spans(&self, sid: &PlaySid) -> Answer<Vec<(u64, Span)>>;
    /// The durable steps of a play, by key, after `after`; fewer than `limit` where their results are
    /// long. An unknown play has none.
    fn steps(&self, sid: &PlaySid, after: Option<Box<str>>, limit: u32) -> Answer<StepPage>;
    /// One of them.
    fn step(&self, sid: &PlaySid, key: &str) -> Answer<Option<Step>>;
    /// What a play waits for. An unknown play, and one that has ended, wait for nothing.
    fn waiting(&self, sid: &PlaySid) -> Answer<Waiting>;
    /// The waits that are over first, at most `limit`.
    fn wakes(&self, limit: u32) -> Answer<Vec<Wake>>;
    /// The open wait for the end of this play: the waiting play, and the key of its step.
    fn wait_of_child(&self, child: &PlaySid) -> Answer<Option<(PlaySid, Box<str>)>>;
    /// Open waits for plays that have ended, at most `limit`. They are there only where a server died between the one
    /// and the other.
    fn waits_for_ended(&self, limit: u32) -> Answer<Vec<(PlaySid, Box<str>)>>;
    /// The open wait that has this token: its play, and the key of its step.
    fn wait_of_token(&self, token: &WaitToken) -> Answer<Option<(PlaySid, Box<str>)>>;
    /// The open questions of all plays, oldest first. A page ends early where they exceed 32 MiB.
    fn questions(&self, query: QuestionList) -> Answer<QuestionPage>;
    /// Reads on in a play's outline, at most so many spans, until it is [`Progress::Current`]; such a one
    /// is brought up to date. A new one to begin with. `None`: no such play.
    fn outline(&self, sid: &PlaySid, outline: Outline, limit: u32) -> Answer<Option<Outline>>;
    /// The span that has this ordinal, and how much it has logged.
    fn span(&self, sid: &PlaySid, ord: u64) -> Answer<Option<SpanDetail>>;
    /// A page of a play's logs, in the order in which they were written, or the other way round. It can end
    /// early, even without an item, and goes on behind its cursor. `None`: no such play.
    fn logs(&self, sid: &PlaySid, query: LogQuery) -> Answer<Option<LogPage>>;
    /// Spans that contain a text, in start order. Looks at some thousands and says how to go on. An unknown
    /// play has none.
    fn find_spans(&self, sid: &PlaySid, wanted: FindSpans) -> Answer<FoundSpans>;
    /// `None`: no such play.
    fn snapshot(&self, sid: &PlaySid) -> Answer<Option<Snapshot>>;
    /// The rows of a play that changed after `after`, each as it now stands, in the order of their
    /// last change, at most `limit`.
    fn changes(&self, sid: &PlaySid, after: Seq, limit: u32) -> Answer<Vec<Change>>;
    /// The number of the latest committed change.
    fn last_seq(&self) -> Answer<Seq>;

    /// Whether what was changed up to this number is all in the store: it was given here, and not
    /// lost by a restore from an older copy.
    fn knows(&self, seq: Seq) -> Answer<bool>;

    fn workflow(&self, sid: &WorkflowSid) -> Answer<Option<Workflow>>;
    fn workflow_named(&self, name: &str) -> Answer<Option<Workflow>>;
    /// Newest first, by the latest change. None that is there from the first page on is missed; one
    /// that changes meanwhile can come twice.
    fn workflows(&self, query: WorkflowList) -> Answer<WorkflowPage>;
    fn version(&self, sid: &VersionSid) -> Answer<Option<WorkflowVersion>>;
    /// Newest first; also those of a deleted workflow. An unknown one has an empty page.
    fn versions(&self, query: WorkflowVersionList) -> Answer<VersionPage>;
    /// Every workflow of the library, for the index; newest first.
    fn library(&self) -> Answer<Vec<LibraryEntry>>;

    /// How often it has committed something since it was opened.
    fn commits(&self) -> u64 {
        0
    }

    /// How many bytes its files have.
    fn file_bytes(&self) -> u64 {
        0
    }

    /// What the backend counts of itself, besides what [`Feed::families`] tells.
    fn figures(&self) -> Vec<Family> {
        Vec::new()
    }

    /// Trees of plays that have ended, by when their roots ended, oldest first; `weigh`: with their
    /// bytes.
    fn ended_trees(&self, after: Option<EndedPlace>, weigh: bool, limit: u32) -> Answer<EndedPage>;
    /// How much there is.
    fn size(&self) -> Answer<StoreSize>;
    /// Plays that have ended and whose directories nobody has measured yet.
    fn unmeasured(&self, limit: u32) -> Answer<Vec<PlaySid>>;
    /// Remembers how many bytes the directories of these plays hold: of those that have ended and are
    /// still there.
    fn measured(&self, sizes: Vec<(PlaySid, u64)>) -> Answer<()>;
    /// Those of which the store knows nothing, not even that something of them is to be swept away.
    fn unknown_plays(&self, plays: Vec<PlaySid>) -> Answer<Vec<PlaySid>>;
    /// Forgets plays, in this order: children have to come before their parents. One that has not
    /// ended, or has started another that is still there, is refused. Takes a short turn of the
    /// writer; what it did not come to is answered as left. Forgetting takes no number and is not
    /// published: nothing can follow a play that has ended.
    fn forget(&self, plays: Vec<PlaySid>) -> Answer<Forgotten>;
    /// A short turn of sweeping away what is left of forgotten plays; of those in `cleaned`, which
    /// it had answered as emptied, the last trace.
    fn sweep(&self, cleaned: Vec<PlaySid>) -> Answer<Swept>;

    /// Writes what is queued, closes the files, joins the threads. Every other method then answers
    /// [`StoreError::Closed`]; closing again is no error.
    fn close(&self) -> Answer<()>;
}
