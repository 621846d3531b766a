//! The store in memory: the same port without threads or files, for tests of actors in virtual time.
//!
//! Every answer is ready at its first poll; nothing happens before. The rows are kept in the order
//! in which they are asked for and looked through from end to end: plain before fast. Must never be
//! what a real runtime keeps its plays in.

mod inside;
mod lists;
mod retention;
mod rows;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use protocol::{
    Play, PlaySid, PlayStatus, Step, VersionSid, WaitToken, Workflow, WorkflowSid, WorkflowVersion,
    overview::{QuestionList, QuestionPage},
    reading::{LogPage, SpanDetail},
    rpc::{
        PlayList, PlayPage, SpanPage, SummaryPage, VersionPage, WorkflowList, WorkflowPage,
        WorkflowVersionList,
    },
};

use tokio::sync::watch;

use self::rows::{PlayRow, Rows};
use super::{
    Answer, Batch, Change, Committed, EndedPage, EndedPlace, FactPage, Feed, FindSpans, Forgotten,
    FoundSpans, Health, LibraryEntry, ListChange, LogQuery, Outline, Seq, Snapshot, StepPage,
    Store, StoreError, StoreSize, StoredPlay, Swept, Waiting, Wake, cursor, health::Vitals, rules,
};

/// See the module's documentation.
#[derive(Default)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Default)]
struct Shared {
    feed: Arc<Feed>,
    vitals: Vitals,
    closed: AtomicBool,
    /// Held from a commit to the end of its publication, so that the feed is in the order of commits.
    order: Mutex<()>,
    /// Not held while listeners are called.
    rows: Mutex<Rows>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Rows) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let shared = self.0.clone();
        async move {
            shared.check_open()?;
            question(&lock(&shared.rows))
        }
        .boxed()
    }

    /// Changes that are not published.
    fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Rows) -> T + Send + 'static,
    ) -> Answer<T> {
        let shared = self.0.clone();
        async move {
            let _order = lock(&shared.order);
            shared.check_open()?;
            Ok(change(&mut lock(&shared.rows)))
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

    fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let _order = lock(&self.order);
        self.check_open()?;
        let (before, committed) = {
            let mut rows = lock(&self.rows);
            (rows.seq, rows.apply(&batch)?)
        };
        rules::publish(&self.feed, batch, before, &committed);
        Ok(committed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch) -> Answer<Committed> {
        let shared = self.0.clone();
        async move { shared.commit(batch) }.boxed()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.0.feed
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.0.vitals.watch()
    }

    fn play(&self, sid: &PlaySid) -> Answer<Option<Play>> {
        let sid = sid.clone();
        self.read(move |rows| Ok(rows.plays.get(&sid).map(|row| row.play.clone())))
    }

    fn play_of_key(&self, key: &str) -> Answer<Option<PlaySid>> {
        let key = key.to_owned();
        self.read(move |rows| Ok(rows.keys.get(&key).cloned()))
    }

    fn stored_play(&self, sid: &PlaySid) -> Answer<Option<StoredPlay>> {
        let sid = sid.clone();
        self.read(move |rows| Ok(rows.plays.get(&sid).map(PlayRow::stored)))
    }

    fn resting_play(&self, sid: &PlaySid) -> Answer<Option<StoredPlay>> {
        let sid = sid.clone();
        self.read(move |rows| {
            Ok(rows.plays.get(&sid).map(|row| {
                let mut stored = row.stored();
                stored.past.waiting = row.waiting();
                stored.past.open = row.open_spans();
                stored
            }))
        })
    }

    fn plays(&self, query: PlayList) -> Answer<PlayPage> {
        self.read(move |rows| rows.plays(&query))
    }

    fn play_summaries(&self, query: PlayList) -> Answer<SummaryPage> {
        self.read(move |rows| rows.summaries(&query))
    }

    fn play_facts(&self, query: PlayList) -> Answer<FactPage> {
        self.read(move |rows| rows.facts(query))
    }

    fn list_changes(&self, after: Seq, limit: u32) -> Answer<Vec<ListChange>> {
        self.read(move |rows| Ok(rows.list_changes(after, limit)))
    }

    fn plays_with_status(
        &self,
        status: PlayStatus,
        after: Option<PlaySid>,
        limit: u32,
    ) -> Answer<Vec<PlaySid>> {
        self.read(move |rows| {
            let found = rows.with_status(status);
            let found = found.filter(|sid| after.as_ref().is_none_or(|after| *sid > after));
            Ok(found.take(limit as usize).cloned().collect())
        })
    }

    fn count_plays(&self, status: PlayStatus) -> Answer<u64> {
        self.read(move |rows| Ok(rows.with_status(status).count() as u64))
    }

    fn open_children(&self, sid: &PlaySid) -> Answer<Vec<PlaySid>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let plays = rows.plays.values().map(|row| &row.play);
            let open = plays.filter(|play| {
                play.parent_play_sid.as_ref() == Some(&sid) && !play.status.is_terminal()
            });
            Ok(open.map(|play| play.sid.clone()).collect())
        })
    }

    fn spans(&self, sid: &PlaySid, cursor: Option<String>, limit: u32) -> Answer<Option<SpanPage>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let after = cursor::span(cursor.as_deref())?;
            Ok(rows.plays.get(&sid).map(|row| row.spans(after, limit)))
        })
    }

    fn open_spans(&self, sid: &PlaySid) -> Answer<Vec<(u64, protocol::Span)>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let row = rows.plays.get(&sid);
            Ok(row.map(PlayRow::open_spans).unwrap_or_default())
        })
    }

    fn steps(&self, sid: &PlaySid, after: Option<Box<str>>, limit: u32) -> Answer<StepPage> {
        let sid = sid.clone();
        self.read(move |rows| {
            let steps = rows.plays.get(&sid).into_iter().flat_map(|row| &row.steps);
            let after = after.unwrap_or_default();
            let behind = steps.filter(|(key, _)| ***key > *after);
            let steps = behind.map(|(_, step)| Step::clone(step));
            let steps: Vec<_> = steps.take(limit as usize).collect();
            let more = steps.len() >= limit as usize;
            Ok(StepPage { steps, more })
        })
    }

    fn step(&self, sid: &PlaySid, key: &str) -> Answer<Option<Step>> {
        let (sid, key) = (sid.clone(), key.to_owned());
        self.read(move |rows| {
            let step = rows.plays.get(&sid).and_then(|row| row.steps.get(&*key));
            Ok(step.map(|step| Step::clone(step)))
        })
    }

    fn waiting(&self, sid: &PlaySid) -> Answer<Waiting> {
        let sid = sid.clone();
        self.read(move |rows| {
            let row = rows.plays.get(&sid);
            Ok(row.map(PlayRow::waiting).unwrap_or_default())
        })
    }

    fn wakes(&self, limit: u32) -> Answer<Vec<Wake>> {
        self.read(move |rows| {
            let waits = rows.plays.iter().flat_map(|(play, row)| {
                row.waits.values().filter_map(|wait| {
                    Some(Wake {
                        at: wait.start.wake_at?,
                        play: play.clone(),
                        key: wait.key.clone(),
                    })
                })
            });
            let mut wakes: Vec<_> = waits.collect();
            wakes.sort_by(|a, b| a.at.0.total_cmp(&b.at.0));
            wakes.truncate(limit as usize);
            Ok(wakes)
        })
    }

    fn wait_of_token(&self, token: &WaitToken) -> Answer<Option<(PlaySid, Box<str>)>> {
        let token = token.clone();
        self.read(move |rows| {
            let mut found = rows.waits_that(|wait| wait.token.as_ref() == Some(&token));
            Ok(found.next())
        })
    }

    fn wait_of_child(&self, child: &PlaySid) -> Answer<Option<(PlaySid, Box<str>)>> {
        let child = child.clone();
        self.read(move |rows| {
            let mut found = rows.waits_that(|wait| wait.start.child.as_ref() == Some(&child));
            Ok(found.next())
        })
    }

    fn waits_for_ended(&self, limit: u32) -> Answer<Vec<(PlaySid, Box<str>)>> {
        self.read(move |rows| {
            let has_ended = |child: &PlaySid| {
                let child = rows.plays.get(child);
                child.is_some_and(|row| row.play.status.is_terminal())
            };
            let found = rows.waits_that(|wait| wait.start.child.as_ref().is_some_and(has_ended));
            Ok(found.take(limit as usize).collect())
        })
    }

    fn questions(&self, query: QuestionList) -> Answer<QuestionPage> {
        self.read(move |rows| rows.questions(&query))
    }

    fn outline(&self, sid: &PlaySid, outline: Outline, _: u32) -> Answer<Option<Outline>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let row = rows.plays.get(&sid);
            Ok(row.map(|row| row.outline(outline, rows.seq)))
        })
    }

    fn span(&self, sid: &PlaySid, ord: u64) -> Answer<Option<SpanDetail>> {
        let sid = sid.clone();
        self.read(move |rows| Ok(rows.plays.get(&sid).and_then(|row| row.span(ord))))
    }

    fn logs(&self, sid: &PlaySid, query: LogQuery) -> Answer<Option<LogPage>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let behind = cursor::log(query.cursor.as_deref())?;
            let row = rows.plays.get(&sid);
            Ok(row.map(|row| row.logs(&query, behind)))
        })
    }

    fn find_spans(&self, sid: &PlaySid, wanted: FindSpans) -> Answer<FoundSpans> {
        let sid = sid.clone();
        self.read(move |rows| {
            let row = rows.plays.get(&sid);
            Ok(row.map(|row| row.find_spans(&wanted)).unwrap_or_default())
        })
    }

    fn snapshot(&self, sid: &PlaySid) -> Answer<Option<Snapshot>> {
        let sid = sid.clone();
        self.read(move |rows| {
            Ok(rows.plays.get(&sid).map(|row| Snapshot {
                play: row.play.clone(),
                spans: row
                    .spans
                    .values()
                    .map(|(_, span)| (**span).clone())
                    .collect(),
                logs: row.logs.values().map(|log| (**log).clone()).collect(),
                seq: rows.seq,
            }))
        })
    }

    fn changes(&self, sid: &PlaySid, after: Seq, limit: u32) -> Answer<Vec<Change>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let row = rows.plays.get(&sid);
            Ok(row.map_or_else(Vec::new, |row| row.changes(after, limit)))
        })
    }

    fn last_seq(&self) -> Answer<Seq> {
        self.read(|rows| Ok(rows.seq))
    }

    fn knows(&self, seq: Seq) -> Answer<bool> {
        self.read(move |rows| Ok(seq <= rows.seq))
    }

    fn workflow(&self, sid: &WorkflowSid) -> Answer<Option<Workflow>> {
        let sid = sid.clone();
        self.read(move |rows| {
            let mut listed = rows.listed().map(|row| &row.workflow);
            Ok(listed.find(|workflow| workflow.sid == sid).cloned())
        })
    }

    fn workflow_named(&self, name: &str) -> Answer<Option<Workflow>> {
        let name = name.to_owned();
        self.read(move |rows| {
            let mut listed = rows.listed().map(|row| &row.workflow);
            Ok(listed.find(|workflow| workflow.name == name).cloned())
        })
    }

    fn workflows(&self, query: WorkflowList) -> Answer<WorkflowPage> {
        self.read(move |rows| rows.workflows(&query))
    }

    fn version(&self, sid: &VersionSid) -> Answer<Option<WorkflowVersion>> {
        let sid = sid.clone();
        self.read(move |rows| Ok(rows.versions.get(&sid).cloned()))
    }

    fn versions(&self, query: WorkflowVersionList) -> Answer<VersionPage> {
        self.read(move |rows| rows.versions(&query))
    }

    fn library(&self) -> Answer<Vec<LibraryEntry>> {
        self.read(|rows| {
            let entries = rows.listed().map(|row| LibraryEntry {
                sid: row.workflow.sid.clone(),
                name: row.workflow.name.clone(),
                description: row.workflow.description.clone(),
                seq: row.seq,
            });
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
            Ok(entries)
        })
    }

    fn ended_trees(&self, after: Option<EndedPlace>, weigh: bool, limit: u32) -> Answer<EndedPage> {
        self.read(move |rows| Ok(rows.ended_trees(after.as_ref(), weigh, limit)))
    }

    fn size(&self) -> Answer<StoreSize> {
        self.read(|rows| Ok(rows.size()))
    }

    fn unmeasured(&self, limit: u32) -> Answer<Vec<PlaySid>> {
        self.read(move |rows| Ok(rows.unmeasured(limit)))
    }

    fn measured(&self, sizes: Vec<(PlaySid, u64)>) -> Answer<()> {
        self.change(move |rows| rows.measured(sizes))
    }

    fn unknown_plays(&self, plays: Vec<PlaySid>) -> Answer<Vec<PlaySid>> {
        self.read(move |rows| Ok(rows.unknown_plays(plays)))
    }

    fn forget(&self, plays: Vec<PlaySid>) -> Answer<Forgotten> {
        self.change(move |rows| rows.forget(&plays))
    }

    fn sweep(&self, cleaned: Vec<PlaySid>) -> Answer<Swept> {
        self.change(move |rows| rows.sweep(&cleaned))
    }

    fn close(&self) -> Answer<()> {
        let shared = self.0.clone();
        async move {
            shared.closed.store(true, Ordering::Release);
            Ok(())
        }
        .boxed()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("seq", &lock(&self.0.rows).seq)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_conforms() {
        crate::store::conformance::run(|| Arc::new(MemoryStore::new())).await;
    }
}
