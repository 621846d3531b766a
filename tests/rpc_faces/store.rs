//! A store as small as a live stream needs: rows of plays with the number of their last change.

use std::sync::{Arc, Mutex};

use actors::store::{
    Answer, Batch, Change, ChangeBody, Committed, EndedPage, EndedPlace, FactPage, Feed, Forgotten,
    Health, LibraryEntry, ListBody, ListChange, PlayChange, Seq, Snapshot, Store, StoreError,
    StoreSize, StoredPlay, Swept, health::Vitals,
};
use protocol::{
    EpochMs, Log, LogStream, Play, PlaySid, PlayStatus, PlaySummary, Span, SpanId, SpanKind,
    SpanStatus, VersionSid, Workflow, WorkflowSid, WorkflowVersion,
    overview::{QuestionList, QuestionPage},
    rpc::{
        PlayList, PlayPage, SpanPage, SummaryPage, VersionPage, WorkflowList, WorkflowPage,
        WorkflowVersionList,
    },
};

#[derive(Debug, Default)]
pub(crate) struct SmallStore {
    feed: Arc<Feed>,
    rows: Mutex<Rows>,
    /// Written just before and just after each read that a stream makes, one at a time: what a
    /// stream that listens too late, or does not look at numbers, gets wrong.
    pub(crate) meanwhile: Mutex<Vec<ChangeBody>>,
}

#[derive(Debug, Default)]
struct Rows {
    seq: Seq,
    rows: Vec<(PlaySid, Change)>,
}

fn answer<T: Send + 'static>(value: T) -> Answer<T> {
    Box::pin(async { Ok(value) })
}

fn absent<T>() -> Answer<T> {
    Box::pin(async { Err(StoreError::Backend("not in this store".into())) })
}

impl SmallStore {
    /// Writes and publishes, in one piece, as a commit does.
    pub(crate) fn write(&self, play: &PlaySid, bodies: Vec<ChangeBody>) -> Seq {
        let mut rows = self.rows.lock().unwrap();
        let mut changes = Vec::new();
        for body in bodies {
            rows.seq += 1;
            let change = Change {
                seq: rows.seq,
                body,
            };
            rows.rows
                .retain(|(of, old)| of != play || !same_row(&old.body, &change.body));
            rows.rows.push((play.clone(), change.clone()));
            changes.push(change);
        }
        let seq = rows.seq;
        self.feed.publish(play, changes);
        seq
    }

    fn interrupted<T>(&self, play: &PlaySid, read: impl FnOnce() -> T) -> T {
        let write = || {
            let next = self.meanwhile.lock().unwrap().pop();
            next.map(|body| self.write(play, vec![body]))
        };
        write();
        let result = read();
        write();
        result
    }

    fn of(&self, play: &PlaySid) -> (Vec<Change>, Seq) {
        let rows = self.rows.lock().unwrap();
        let mine = rows.rows.iter().filter(|(of, _)| of == play);
        (mine.map(|(_, change)| change.clone()).collect(), rows.seq)
    }
}

fn same_row(a: &ChangeBody, b: &ChangeBody) -> bool {
    match (a, b) {
        (ChangeBody::Play(_), ChangeBody::Play(_)) => true,
        (ChangeBody::Span(a), ChangeBody::Span(b)) => a.span_id == b.span_id,
        _ => false,
    }
}

impl Store for SmallStore {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let (play, bodies) = match batch {
            Batch::Create(new) => (
                new.play.sid.clone(),
                vec![ChangeBody::Play(Arc::new(new.play))],
            ),
            Batch::Play { fence, changes } => {
                let bodies = changes.into_iter().filter_map(|change| match change {
                    PlayChange::Play(play) => Some(ChangeBody::Play(play)),
                    PlayChange::Span { span, .. } => Some(ChangeBody::Span(span)),
                    PlayChange::Log(log) => Some(ChangeBody::Log(log)),
                    PlayChange::Process(_)
                    | PlayChange::Step(_)
                    | PlayChange::Recoveries(_)
                    | PlayChange::Wait(_)
                    | PlayChange::Settled(_)
                    | PlayChange::Signal(_)
                    | PlayChange::SignalTaken(_) => None,
                });
                (fence.play, bodies.collect())
            }
            Batch::Library(_) => return absent(),
        };
        let seq = self.write(&play, bodies);
        answer(Committed {
            seq,
            existing: None,
            version_number: None,
        })
    }
    fn health(&self) -> tokio::sync::watch::Receiver<Health> {
        Vitals::default().watch()
    }
    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
    fn step(&self, _: &PlaySid, _: &str) -> Answer<Option<protocol::Step>> {
        absent()
    }
    fn waiting(&self, _: &PlaySid) -> Answer<actors::store::Waiting> {
        absent()
    }
    fn wakes(&self, _: u32) -> Answer<Vec<actors::store::Wake>> {
        absent()
    }
    fn wait_of_child(&self, _: &PlaySid) -> Answer<Option<(PlaySid, Box<str>)>> {
        absent()
    }
    fn waits_for_ended(&self, _: u32) -> Answer<Vec<(PlaySid, Box<str>)>> {
        absent()
    }
    fn wait_of_token(&self, _: &protocol::WaitToken) -> Answer<Option<(PlaySid, Box<str>)>> {
        absent()
    }
    fn steps(&self, _: &PlaySid, _: Option<Box<str>>, _: u32) -> Answer<actors::store::StepPage> {
        absent()
    }
    fn ended_trees(&self, _: Option<EndedPlace>, _: bool, _: u32) -> Answer<EndedPage> {
        absent()
    }
    fn size(&self) -> Answer<StoreSize> {
        absent()
    }
    fn unmeasured(&self, _: u32) -> Answer<Vec<PlaySid>> {
        absent()
    }
    fn measured(&self, _: Vec<(PlaySid, u64)>) -> Answer<()> {
        absent()
    }
    fn unknown_plays(&self, _: Vec<PlaySid>) -> Answer<Vec<PlaySid>> {
        absent()
    }
    fn forget(&self, _: Vec<PlaySid>) -> Answer<Forgotten> {
        absent()
    }
    fn sweep(&self, _: Vec<PlaySid>) -> Answer<Swept> {
        absent()
    }
    fn knows(&self, seq: Seq) -> Answer<bool> {
        let known = seq <= self.rows.lock().unwrap().seq;
        answer(known)
    }
    fn play(&self, sid: &PlaySid) -> Answer<Option<Play>> {
        answer(self.of(sid).0.iter().find_map(|change| match &change.body {
            ChangeBody::Play(play) => Some((**play).clone()),
            _ => None,
        }))
    }
    fn open_spans(&self, _: &PlaySid) -> Answer<Vec<(u64, Span)>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn outline(
        &self,
        _: &PlaySid,
        _: actors::store::Outline,
        _: u32,
    ) -> Answer<Option<actors::store::Outline>> {
        absent()
    }
    fn span(&self, _: &PlaySid, _: u64) -> Answer<Option<protocol::reading::SpanDetail>> {
        absent()
    }
    fn logs(
        &self,
        _: &PlaySid,
        _: actors::store::LogQuery,
    ) -> Answer<Option<protocol::reading::LogPage>> {
        absent()
    }
    fn find_spans(
        &self,
        _: &PlaySid,
        _: actors::store::FindSpans,
    ) -> Answer<actors::store::FoundSpans> {
        absent()
    }
    fn snapshot(&self, sid: &PlaySid) -> Answer<Option<Snapshot>> {
        let (changes, seq) = self.interrupted(sid, || self.of(sid));
        let (mut found, mut spans, mut logs) = (None, Vec::new(), Vec::new());
        for change in changes {
            match change.body {
                ChangeBody::Play(play) => found = Some((*play).clone()),
                ChangeBody::Span(span) => spans.push((*span).clone()),
                ChangeBody::Log(log) => logs.push((*log).clone()),
            }
        }
        answer(found.map(|play| Snapshot {
            play,
            spans,
            logs,
            seq,
        }))
    }
    fn changes(&self, sid: &PlaySid, after: Seq, limit: u32) -> Answer<Vec<Change>> {
        let mut changes = self.interrupted(sid, || self.of(sid).0);
        changes.retain(|change| change.seq > after);
        changes.sort_by_key(|change| change.seq);
        // Shorter pages than asked for are allowed.
        changes.truncate((limit as usize).min(3));
        answer(changes)
    }
    fn last_seq(&self) -> Answer<Seq> {
        answer(self.rows.lock().unwrap().seq)
    }
    fn close(&self) -> Answer<()> {
        answer(())
    }

    fn play_of_key(&self, _: &str) -> Answer<Option<PlaySid>> {
        absent()
    }
    fn stored_play(&self, _: &PlaySid) -> Answer<Option<StoredPlay>> {
        absent()
    }
    fn resting_play(&self, _: &PlaySid) -> Answer<Option<StoredPlay>> {
        absent()
    }
    fn plays(&self, _: PlayList) -> Answer<PlayPage> {
        absent()
    }
    fn plays_with_status(&self, _: PlayStatus, _: Option<PlaySid>, _: u32) -> Answer<Vec<PlaySid>> {
        absent()
    }
    fn count_plays(&self, _: PlayStatus) -> Answer<u64> {
        absent()
    }
    fn open_children(&self, _: &PlaySid) -> Answer<Vec<PlaySid>> {
        absent()
    }
    fn spans(&self, _: &PlaySid, _: Option<String>, _: u32) -> Answer<Option<SpanPage>> {
        absent()
    }
    fn workflow(&self, _: &WorkflowSid) -> Answer<Option<Workflow>> {
        absent()
    }
    fn workflow_named(&self, _: &str) -> Answer<Option<Workflow>> {
        absent()
    }
    fn workflows(&self, _: WorkflowList) -> Answer<WorkflowPage> {
        absent()
    }
    fn version(&self, _: &VersionSid) -> Answer<Option<WorkflowVersion>> {
        absent()
    }
    fn versions(&self, _: WorkflowVersionList) -> Answer<VersionPage> {
        absent()
    }
    fn play_summaries(&self, _: PlayList) -> Answer<SummaryPage> {
        absent()
    }
    fn play_facts(&self, _: PlayList) -> Answer<FactPage> {
        absent()
    }
    fn list_changes(&self, after: Seq, limit: u32) -> Answer<Vec<ListChange>> {
        let rows = self.rows.lock().unwrap();
        let changed = rows.rows.iter().filter(|(_, change)| change.seq > after);
        let changed = changed.filter_map(|(_, change)| match &change.body {
            ChangeBody::Play(play) => Some(ListChange {
                seq: change.seq,
                body: ListBody::Play(Box::new(PlaySummary::new(play, []))),
            }),
            _ => None,
        });
        let mut changed: Vec<_> = changed.collect();
        changed.sort_by_key(|change| change.seq);
        changed.truncate(limit as usize);
        answer(changed)
    }
    fn questions(&self, _: QuestionList) -> Answer<QuestionPage> {
        absent()
    }
    fn library(&self) -> Answer<Vec<LibraryEntry>> {
        absent()
    }
}

pub(crate) fn play(sid: &PlaySid, status: PlayStatus) -> ChangeBody {
    ChangeBody::Play(Arc::new(Play {
        sid: sid.clone(),
        workflow_sid: "w".into(),
        workflow_name: "flow".into(),
        version_sid: "v".into(),
        flow_name: None,
        status,
        cause: None,
        input_data: "{}".into(),
        output_data: None,
        parent_play_sid: None,
        parent_span_id: String::new(),
        retry_of: None,
        origin: "rpc".into(),
        attempt: 1,
        created_at: EpochMs(1.0),
        started_at: None,
        completed_at: None,
        duration_ms: None,
        usage: None,
        skipped: None,
    }))
}

pub(crate) fn span(id: u64, status: SpanStatus) -> ChangeBody {
    ChangeBody::Span(Arc::new(Span {
        span_id: SpanId::from(format!("1.{id}")),
        parent_id: String::new(),
        name: "step".into(),
        kind: SpanKind::Step,
        status,
        start_ms: EpochMs(1.0),
        end_ms: None,
        tags: protocol::Tags::default(),
        error: None,
        source_file: None,
        source_line: None,
        rpc_service: None,
        rpc_method: None,
        child_play_sid: None,
    }))
}

pub(crate) fn log(text: impl Into<String>) -> ChangeBody {
    ChangeBody::Log(Arc::new(Log {
        span_id: "1.1".into(),
        ts_ms: EpochMs(1.0),
        stream: LogStream::Log,
        text: text.into(),
    }))
}
