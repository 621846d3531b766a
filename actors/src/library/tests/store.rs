//! A store that has a library only, whose commits and whose reading can be held up.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, future::ready};
use protocol::{
    Play, PlaySid, PlayStatus, VersionSid, Workflow, WorkflowSid, WorkflowVersion,
    overview::{QuestionList, QuestionPage},
    rpc::{
        PlayList, PlayPage, SpanPage, SummaryPage, VersionPage, WorkflowList, WorkflowPage,
        WorkflowVersionList,
    },
};
use tokio::sync::watch;

use crate::store::{
    Answer, Batch, Change, Committed, EndedPage, EndedPlace, FactPage, Feed, Forgotten, Health,
    LibraryChange, LibraryEntry, ListChange, Seq, Snapshot, Store, StoreError, StoreSize,
    StoredPlay, Swept, health::Vitals,
};

#[derive(Debug, Default)]
struct Rows {
    seq: Seq,
    workflows: BTreeMap<WorkflowSid, (Workflow, Seq)>,
    versions: BTreeMap<VersionSid, WorkflowVersion>,
    broken: Option<StoreError>,
}

#[derive(Debug)]
pub(super) struct TestStore {
    rows: Arc<Mutex<Rows>>,
    commits_held: watch::Sender<bool>,
    reading_held: watch::Sender<bool>,
    feed: Arc<Feed>,
}

impl TestStore {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            rows: Arc::default(),
            commits_held: watch::Sender::new(false),
            reading_held: watch::Sender::new(false),
            feed: Arc::default(),
        })
    }

    pub(super) fn hold_commits(&self, held: bool) {
        self.commits_held.send_replace(held);
    }

    /// Of the whole library, for the index.
    pub(super) fn hold_reading(&self, held: bool) {
        self.reading_held.send_replace(held);
    }

    /// From now on every commit and every reading of the library fails.
    pub(super) fn break_with(&self, error: Option<StoreError>) {
        self.rows.lock().unwrap().broken = error;
    }

    pub(super) fn seq(&self) -> Seq {
        self.rows.lock().unwrap().seq
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&Rows) -> T) -> Answer<T> {
        ready(Ok(read(&self.rows.lock().unwrap()))).boxed()
    }
}

fn apply(rows: &mut Rows, change: LibraryChange) -> Result<Committed, StoreError> {
    let seq = rows.seq + 1;
    let mut version_number = None;
    let put = |rows: &mut Rows, workflow: Workflow| {
        let taken = |(w, _): &(Workflow, Seq)| w.name == workflow.name && w.sid != workflow.sid;
        if rows.workflows.values().any(taken) {
            return Err(StoreError::Conflict("the name is taken".into()));
        }
        rows.workflows.insert(workflow.sid.clone(), (workflow, seq));
        Ok(())
    };
    match change {
        LibraryChange::Create { workflow, version } => {
            put(rows, workflow)?;
            rows.versions.insert(version.sid.clone(), version);
        }
        LibraryChange::Update(workflow) => put(rows, workflow)?,
        LibraryChange::Delete(sid) => {
            rows.workflows.remove(&sid);
        }
        LibraryChange::AddVersion {
            workflow,
            mut version,
        } => {
            let of_it = |v: &&WorkflowVersion| v.workflow_sid == workflow.sid;
            let count = rows.versions.values().filter(of_it).count();
            version.number = u32::try_from(count).unwrap() + 1;
            version_number = Some(version.number);
            put(rows, workflow)?;
            rows.versions.insert(version.sid.clone(), version);
        }
    }
    rows.seq = seq;
    Ok(Committed {
        seq,
        existing: None,
        version_number,
    })
}

fn closed<T: Send + 'static>() -> Answer<T> {
    ready(Err(StoreError::Closed)).boxed()
}

impl Store for TestStore {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let Batch::Library(change) = batch else {
            return closed();
        };
        let (rows, mut held) = (self.rows.clone(), self.commits_held.subscribe());
        async move {
            held.wait_for(|held| !held).await.unwrap();
            let mut rows = rows.lock().unwrap();
            match rows.broken.clone() {
                Some(error) => Err(error),
                None => apply(&mut rows, change),
            }
        }
        .boxed()
    }

    fn library(&self) -> Answer<Vec<LibraryEntry>> {
        let (rows, mut held) = (self.rows.clone(), self.reading_held.subscribe());
        async move {
            held.wait_for(|held| !held).await.unwrap();
            let rows = rows.lock().unwrap();
            if let Some(error) = rows.broken.clone() {
                return Err(error);
            }
            let all = rows.workflows.values().map(|(w, seq)| LibraryEntry {
                sid: w.sid.clone(),
                name: w.name.clone(),
                description: w.description.clone(),
                seq: *seq,
            });
            Ok(all.collect())
        }
        .boxed()
    }

    fn workflow(&self, sid: &WorkflowSid) -> Answer<Option<Workflow>> {
        self.read(|rows| rows.workflows.get(sid).map(|(w, _)| w.clone()))
    }

    fn workflow_named(&self, name: &str) -> Answer<Option<Workflow>> {
        self.read(|rows| {
            let mut all = rows.workflows.values().map(|(w, _)| w);
            all.find(|w| w.name == name).cloned()
        })
    }

    fn version(&self, sid: &VersionSid) -> Answer<Option<WorkflowVersion>> {
        self.read(|rows| rows.versions.get(sid).cloned())
    }

    fn health(&self) -> watch::Receiver<Health> {
        Vitals::default().watch()
    }
    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
    fn ended_trees(&self, _: Option<EndedPlace>, _: bool, _: u32) -> Answer<EndedPage> {
        closed()
    }
    fn size(&self) -> Answer<StoreSize> {
        closed()
    }
    fn unmeasured(&self, _: u32) -> Answer<Vec<PlaySid>> {
        closed()
    }
    fn measured(&self, _: Vec<(PlaySid, u64)>) -> Answer<()> {
        closed()
    }
    fn unknown_plays(&self, _: Vec<PlaySid>) -> Answer<Vec<PlaySid>> {
        closed()
    }
    fn forget(&self, _: Vec<PlaySid>) -> Answer<Forgotten> {
        closed()
    }
    fn sweep(&self, _: Vec<PlaySid>) -> Answer<Swept> {
        closed()
    }
    fn knows(&self, _: Seq) -> Answer<bool> {
        closed()
    }
    fn play(&self, _: &PlaySid) -> Answer<Option<Play>> {
        closed()
    }
    fn stored_play(&self, _: &PlaySid) -> Answer<Option<StoredPlay>> {
        closed()
    }
    fn resting_play(&self, _: &PlaySid) -> Answer<Option<StoredPlay>> {
        closed()
    }
    fn plays(&self, _: PlayList) -> Answer<PlayPage> {
        closed()
    }
    fn play_summaries(&self, _: PlayList) -> Answer<SummaryPage> {
        closed()
    }
    fn play_facts(&self, _: PlayList) -> Answer<FactPage> {
        closed()
    }
    fn list_changes(&self, _: Seq, _: u32) -> Answer<Vec<ListChange>> {
        closed()
    }
    fn questions(&self, _: QuestionList) -> Answer<QuestionPage> {
        closed()
    }
    fn plays_with_status(&self, _: PlayStatus, _: Option<PlaySid>, _: u32) -> Answer<Vec<PlaySid>> {
        closed()
    }
    fn count_plays(&self, _: PlayStatus) -> Answer<u64> {
        closed()
    }
    fn open_children(&self, _: &PlaySid) -> Answer<Vec<PlaySid>> {
        closed()
    }
    fn spans(&self, _: &PlaySid, _: Option<String>, _: u32) -> Answer<Option<SpanPage>> {
        closed()
    }
    fn open_spans(&self, _: &PlaySid) -> Answer<Vec<(u64, protocol::Span)>> {
        closed()
    }
    fn step(&self, _: &PlaySid, _: &str) -> Answer<Option<protocol::Step>> {
        closed()
    }
    fn waiting(&self, _: &PlaySid) -> Answer<crate::store::Waiting> {
        closed()
    }
    fn wakes(&self, _: u32) -> Answer<Vec<crate::store::Wake>> {
        closed()
    }
    fn play_of_key(&self, _: &str) -> Answer<Option<PlaySid>> {
        closed()
    }
    fn wait_of_child(&self, _: &PlaySid) -> Answer<Option<(PlaySid, Box<str>)>> {
        closed()
    }
    fn waits_for_ended(&self, _: u32) -> Answer<Vec<(PlaySid, Box<str>)>> {
        closed()
    }
    fn wait_of_token(&self, _: &protocol::WaitToken) -> Answer<Option<(PlaySid, Box<str>)>> {
        closed()
    }
    fn steps(&self, _: &PlaySid, _: Option<Box<str>>, _: u32) -> Answer<crate::store::StepPage> {
        closed()
    }
    fn outline(
        &self,
        _: &PlaySid,
        _: crate::store::Outline,
        _: u32,
    ) -> Answer<Option<crate::store::Outline>> {
        closed()
    }
    fn span(&self, _: &PlaySid, _: u64) -> Answer<Option<protocol::reading::SpanDetail>> {
        closed()
    }
    fn logs(
        &self,
        _: &PlaySid,
        _: crate::store::LogQuery,
    ) -> Answer<Option<protocol::reading::LogPage>> {
        closed()
    }
    fn find_spans(
        &self,
        _: &PlaySid,
        _: crate::store::FindSpans,
    ) -> Answer<crate::store::FoundSpans> {
        closed()
    }
    fn snapshot(&self, _: &PlaySid) -> Answer<Option<Snapshot>> {
        closed()
    }
    fn changes(&self, _: &PlaySid, _: Seq, _: u32) -> Answer<Vec<Change>> {
        closed()
    }
    fn last_seq(&self) -> Answer<Seq> {
        self.read(|rows| rows.seq)
    }
    fn workflows(&self, _: WorkflowList) -> Answer<WorkflowPage> {
        closed()
    }
    fn versions(&self, _: WorkflowVersionList) -> Answer<VersionPage> {
        closed()
    }
    fn close(&self) -> Answer<()> {
        ready(Ok(())).boxed()
    }
}
