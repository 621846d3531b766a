//! The rows of the store in memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};

use protocol::{
    Log, Play, PlaySid, PlayStatus, ProcessId, Signal, Span, Step, VersionSid, Wait, Workflow,
    WorkflowSid, WorkflowVersion,
    rpc::{
        DEFAULT_PAGE, Page, SpanPage, VersionPage, WorkflowList, WorkflowPage, WorkflowVersionList,
    },
    span::SpanWithLogs,
};

use super::super::{
    Batch, Change, ChangeBody, Committed, Fence, Launch, LibraryChange, NewPlay, Past, PlayChange,
    Seq, Settled, StoreError, StoredPlay, Waiting, cursor, rules,
};

#[derive(Default)]
pub(super) struct Rows {
    pub(super) seq: Seq,
    pub(super) plays: BTreeMap<PlaySid, PlayRow>,
    pub(super) keys: HashMap<String, PlaySid>,
    /// Their directories may still be there.
    pub(super) forgotten: Vec<PlaySid>,
    pub(super) workflows: HashMap<WorkflowSid, WorkflowRow>,
    pub(super) versions: HashMap<VersionSid, WorkflowVersion>,
}

pub(super) struct PlayRow {
    pub(super) seq: Seq,
    pub(super) play: Play,
    pub(super) launch: Launch,
    pub(super) depth: u32,
    pub(super) process: Option<ProcessId>,
    /// Bytes of its directory, once they were measured.
    pub(super) artifact_bytes: Option<u64>,
    pub(super) spans: BTreeMap<u64, (Seq, Arc<Span>)>,
    pub(super) logs: BTreeMap<Seq, Arc<Log>>,
    pub(super) steps: BTreeMap<Box<str>, Arc<Step>>,
    pub(super) recoveries: u32,
    pub(super) waits: BTreeMap<Box<str>, Wait>,
    pub(super) signals: BTreeMap<Box<str>, Signal>,
}

pub(super) struct WorkflowRow {
    pub(super) seq: Seq,
    pub(super) created: Seq,
    pub(super) deleted: bool,
    pub(super) workflow: Workflow,
}

/// Writing. What can be refused is looked at before anything is changed.
impl Rows {
    fn next(&mut self) -> Seq {
        self.seq += 1;
        self.seq
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> Result<Committed, StoreError> {
        let (mut existing, mut version_number) = (None, None);
        match batch {
            Batch::Create(new) => existing = self.create(new)?,
            Batch::Play { fence, changes } => self.change(fence, changes)?,
            Batch::Library(change) => version_number = self.library(change)?,
        }
        Ok(Committed {
            seq: self.seq,
            existing,
            version_number,
        })
    }

    fn create(&mut self, new: &NewPlay) -> Result<Option<PlaySid>, StoreError> {
        let sid = &new.play.sid;
        if let Some((key, holder)) = new
            .idempotency_key
            .as_ref()
            .and_then(|key| self.keys.get_key_value(key))
        {
            if self.plays[holder].play.workflow_sid == new.play.workflow_sid {
                return Ok(Some(holder.clone()));
            }
            return Err(rules::key_taken(key, holder));
        }
        if let Some(parent) = new.play.parent_play_sid.as_ref()
            && !self.plays.contains_key(parent)
        {
            return Err(rules::no_play(parent));
        }
        if self.plays.contains_key(sid) {
            return Err(rules::sid_taken("play", sid.as_str()));
        }
        let mut steps = BTreeMap::new();
        if let Some(reuse) = &new.reuse {
            let from = self.plays.get(&reuse.from);
            let from = from.ok_or_else(|| rules::no_play(&reuse.from))?;
            let kept = reuse.keys.iter().filter_map(|key| from.steps.get(key));
            steps.extend(kept.map(|step| (step.start.key.clone(), step.clone())));
        }
        let row = PlayRow {
            seq: self.next(),
            play: new.play.clone(),
            launch: new.launch.clone(),
            depth: new.depth,
            process: new.process,
            artifact_bytes: None,
            spans: BTreeMap::new(),
            logs: BTreeMap::new(),
            steps,
            recoveries: 0,
            waits: BTreeMap::new(),
            signals: BTreeMap::new(),
        };
        self.plays.insert(sid.clone(), row);
        if let Some(key) = &new.idempotency_key {
            self.keys.insert(key.clone(), sid.clone());
        }
        Ok(None)
    }

    fn change(&mut self, fence: &Fence, changes: &[PlayChange]) -> Result<(), StoreError> {
        let row = self
            .plays
            .get_mut(&fence.play)
            .ok_or_else(|| rules::no_play(&fence.play))?;
        rules::check_play(fence, row.play.attempt, row.play.status, changes)?;
        row.check_waits(fence, changes)?;
        for change in changes {
            let seq = self.seq + 1;
            match change {
                PlayChange::Play(play) => row.record(play, seq),
                PlayChange::Span { ord, span } => {
                    row.spans.insert(*ord, (seq, span.clone()));
                }
                PlayChange::Log(log) => {
                    row.logs.insert(seq, log.clone());
                }
                PlayChange::Step(step) => {
                    let before = row.steps.get(&step.start.key);
                    if step.kept.is_some() || before.is_none_or(|before| before.kept.is_none()) {
                        row.steps.insert(step.start.key.clone(), step.clone());
                    }
                    continue;
                }
                PlayChange::Wait(wait) => {
                    row.open(wait);
                    continue;
                }
                PlayChange::Settled(settled) => {
                    row.settle(settled);
                    continue;
                }
                PlayChange::Signal(signal) => {
                    row.signals.insert(signal.id.clone(), Signal::clone(signal));
                    continue;
                }
                PlayChange::SignalTaken(id) => {
                    row.signals.remove(id);
                    continue;
                }
                PlayChange::Recoveries(recoveries) => {
                    row.recoveries = *recoveries;
                    continue;
                }
                PlayChange::Process(process) => {
                    row.process = Some(*process);
                    continue;
                }
            }
            self.seq = seq;
        }
        Ok(())
    }

    fn library(&mut self, change: &LibraryChange) -> Result<Option<u32>, StoreError> {
        match change {
            LibraryChange::Create { workflow, version } => {
                rules::check_version(workflow, version)?;
                self.check_name(workflow)?;
                if self.workflows.contains_key(&workflow.sid) {
                    return Err(rules::sid_taken("workflow", workflow.sid.as_str()));
                }
                self.check_new(version)?;
                self.check_current(workflow, Some(version))?;
                let seq = self.next();
                let row = WorkflowRow {
                    seq,
                    created: seq,
                    deleted: false,
                    workflow: workflow.clone(),
                };
                self.workflows.insert(workflow.sid.clone(), row);
                Ok(Some(self.add(version)))
            }
            LibraryChange::Update(workflow) => {
                self.check_name(workflow)?;
                self.check_known(&workflow.sid)?;
                self.check_current(workflow, None)?;
                self.update(workflow);
                Ok(None)
            }
            LibraryChange::AddVersion { workflow, version } => {
                rules::check_version(workflow, version)?;
                self.check_name(workflow)?;
                self.check_known(&workflow.sid)?;
                self.check_new(version)?;
                self.check_current(workflow, Some(version))?;
                self.update(workflow);
                Ok(Some(self.add(version)))
            }
            LibraryChange::Delete(sid) => {
                self.check_known(sid)?;
                let seq = self.next();
                if let Some(row) = self.workflows.get_mut(sid) {
                    (row.seq, row.deleted) = (seq, true);
                }
                Ok(None)
            }
        }
    }

    fn check_name(&self, workflow: &Workflow) -> Result<(), StoreError> {
        let taken = self
            .listed()
            .any(|row| row.workflow.name == workflow.name && row.workflow.sid != workflow.sid);
        refuse_if(taken, || rules::name_taken(&workflow.name))
    }

    fn check_known(&self, sid: &WorkflowSid) -> Result<(), StoreError> {
        let known = self.workflows.get(sid).is_some_and(|row| !row.deleted);
        refuse_if(!known, || rules::no_workflow(sid))
    }

    fn check_new(&self, version: &WorkflowVersion) -> Result<(), StoreError> {
        let taken = self.versions.contains_key(&version.sid);
        refuse_if(taken, || rules::sid_taken("version", version.sid.as_str()))
    }

    fn check_current(
        &self,
        workflow: &Workflow,
        new: Option<&WorkflowVersion>,
    ) -> Result<(), StoreError> {
        let sid = &workflow.current_version_sid;
        let is_there = new
            .into_iter()
            .chain(self.versions.get(sid))
            .any(|version| version.sid == *sid && version.workflow_sid == workflow.sid);
        refuse_if(!is_there, || rules::no_version(sid))
    }

    fn update(&mut self, workflow: &Workflow) {
        let seq = self.next();
        if let Some(row) = self.workflows.get_mut(&workflow.sid) {
            row.seq = seq;
            row.workflow = Workflow {
                created_at: row.workflow.created_at,
                ..workflow.clone()
            };
        }
    }

    fn add(&mut self, version: &WorkflowVersion) -> u32 {
        let number = 1 + self
            .versions_of(&version.workflow_sid)
            .map(|version| version.number)
            .max()
            .unwrap_or(0);
        let version = WorkflowVersion {
            number,
            ..version.clone()
        };
        self.versions.insert(version.sid.clone(), version);
        number
    }
}

fn refuse_if(wrong: bool, error: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
    if wrong { Err(error()) } else { Ok(()) }
}

/// Reading.
impl Rows {
    /// The open waits that are such: the play of each, and the key of its step.
    pub(super) fn waits_that(
        &self,
        such: impl Fn(&Wait) -> bool,
    ) -> impl Iterator<Item = (PlaySid, Box<str>)> {
        let waits = (self.plays.iter())
            .flat_map(|(play, row)| row.waits.values().map(move |wait| (play, wait)));
        waits
            .filter(move |(_, wait)| such(wait))
            .map(|(play, wait)| (play.clone(), wait.key.clone()))
    }

    pub(super) fn listed(&self) -> impl Iterator<Item = &WorkflowRow> {
        self.workflows.values().filter(|row| !row.deleted)
    }

    fn versions_of(&self, sid: &WorkflowSid) -> impl Iterator<Item = &WorkflowVersion> {
        let versions = self.versions.values();
        versions.filter(move |version| version.workflow_sid == *sid)
    }

    pub(super) fn with_status(&self, status: PlayStatus) -> impl Iterator<Item = &PlaySid> {
        let plays = self.plays.values().map(|row| &row.play);
        plays
            .filter(move |play| play.status == status)
            .map(|play| &play.sid)
    }

    pub(super) fn workflows(&self, query: &WorkflowList) -> Result<WorkflowPage, StoreError> {
        let place = cursor::Workflows::read(query.cursor.as_deref(), self.seq)?;
        let wanted = |row: &&WorkflowRow| {
            row.created <= place.born
                && query
                    .name
                    .as_ref()
                    .is_none_or(|name| *name == row.workflow.name)
                && query
                    .tag
                    .as_ref()
                    .is_none_or(|tag| row.workflow.tags.contains(tag))
        };
        let between = |floor, below| {
            let rows = self.listed().filter(wanted);
            let mut rows: Vec<_> = rows
                .filter(|row| floor < row.seq && row.seq < below)
                .collect();
            rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
            rows
        };
        let rows = between(place.floor, place.below).into_iter();
        let found = page(
            rows,
            query.limit,
            |_| true,
            |last| place.after(last.seq).text(),
        );
        let again = query.limit != Some(0) && !between(place.top, self.seq + 1).is_empty();
        Ok(Page {
            items: found
                .items
                .into_iter()
                .map(|row| row.workflow.clone())
                .collect(),
            next_cursor: found
                .next_cursor
                .or_else(|| again.then(|| place.again(self.seq).text())),
        })
    }

    pub(super) fn versions(&self, query: &WorkflowVersionList) -> Result<VersionPage, StoreError> {
        let before = cursor::version(query.cursor.as_deref())?;
        let mut found: Vec<_> = self.versions_of(&query.workflow_sid).collect();
        found.retain(|version| before.is_none_or(|before| version.number < before));
        found.sort_by_key(|version| std::cmp::Reverse(version.number));
        let found = found.into_iter().cloned();
        Ok(page(
            found,
            query.limit,
            |_| true,
            |last| cursor::of_version(last.number),
        ))
    }
}

/// The first of these, as many as asked for and as long as they fit, but at least one.
pub(super) fn page<T>(
    found: impl Iterator<Item = T>,
    limit: Option<u32>,
    mut fits: impl FnMut(&T) -> bool,
    cursor: impl FnOnce(&T) -> String,
) -> Page<T> {
    let limit = limit.unwrap_or(DEFAULT_PAGE) as usize;
    let mut items = Vec::new();
    let mut next_cursor = None;
    // With a limit of 0 there is no last row, hence no cursor.
    for item in found {
        if items.len() == limit || !(fits(&item) || items.is_empty()) {
            next_cursor = items.last().map(cursor);
            break;
        }
        items.push(item);
    }
    Page { items, next_cursor }
}

impl PlayRow {
    pub(super) fn stored(&self) -> StoredPlay {
        StoredPlay {
            play: self.play.clone(),
            launch: self.launch.clone(),
            depth: self.depth,
            process: self.process,
            past: Past {
                spans: self.next_ord(),
                durable: !self.steps.is_empty(),
                recoveries: self.recoveries,
                waiting: Waiting::default(),
                open: Vec::new(),
            },
        }
    }

    pub(super) fn waiting(&self) -> Waiting {
        let mut waits: Vec<_> = self.waits.values().cloned().collect();
        waits.sort_by(|a, b| a.created_at.0.total_cmp(&b.created_at.0));
        Waiting {
            waits,
            signals: self.signals.values().cloned().collect(),
        }
    }

    pub(super) fn open_spans(&self) -> Vec<(u64, Span)> {
        let open = (self.spans.iter())
            .filter(|(_, (_, span))| span.status == protocol::SpanStatus::Running);
        open.map(|(ord, (_, span))| (*ord, Span::clone(span)))
            .collect()
    }

    fn check_waits(&self, fence: &Fence, changes: &[PlayChange]) -> Result<(), StoreError> {
        let mut open: HashSet<&str> = self.waits.keys().map(|key| &**key).collect();
        for change in changes {
            match change {
                PlayChange::Wait(wait) => drop(open.insert(&wait.key)),
                PlayChange::Settled(settled) => refuse_if(!open.remove(&*settled.key), || {
                    rules::no_wait(&fence.play, &settled.key)
                })?,
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, wait: &Wait) {
        match self.waits.get_mut(&wait.key) {
            Some(before) => {
                before.span_id = wait.span_id.clone();
                before.start.schema.clone_from(&wait.start.schema);
                before.start.ui.clone_from(&wait.start.ui);
            }
            None => drop(self.waits.insert(wait.key.clone(), wait.clone())),
        }
    }

    fn settle(&mut self, settled: &Settled) {
        self.waits.remove(&settled.key);
        if let (Some(kept), Some(step)) = (&settled.kept, self.steps.get_mut(&settled.key)) {
            let step = Arc::make_mut(step);
            step.end_ms = Some(settled.at);
            step.kept = Some(kept.clone());
        }
    }

    /// What a play was created with is not touched; a process goes with its attempt.
    fn record(&mut self, play: &Play, seq: Seq) {
        self.seq = seq;
        if play.attempt != self.play.attempt {
            self.process = None;
        }
        let now = &mut self.play;
        now.status = play.status;
        now.attempt = play.attempt;
        now.cause.clone_from(&play.cause);
        now.output_data.clone_from(&play.output_data);
        now.started_at = play.started_at;
        now.completed_at = play.completed_at;
        now.duration_ms = play.duration_ms;
        now.usage = play.usage;
        now.skipped.clone_from(&play.skipped);
        if play.status.is_terminal() {
            self.waits.clear();
            self.signals.clear();
        }
    }

    pub(super) fn next_ord(&self) -> u64 {
        self.spans.last_key_value().map_or(0, |(ord, _)| ord + 1)
    }

    pub(super) fn spans(&self, after: Option<u64>, limit: u32) -> SpanPage {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let spans = self.spans.range((from, Bound::Unbounded));
        let found = spans.map(|(ord, (_, span))| (*ord, self.with_logs(*ord, span)));
        let page = page(
            found,
            Some(limit),
            |_| true,
            |(last, _)| cursor::of_span(*last),
        );
        SpanPage {
            spans: page.items.into_iter().map(|(_, span)| span).collect(),
            next_cursor: page.next_cursor,
        }
    }

    fn with_logs(&self, ord: u64, span: &Span) -> SpanWithLogs {
        let of_span = |log: &&Arc<Log>| {
            log.span_id == span.span_id || (ord == 0 && log.span_id.as_str().is_empty())
        };
        let logs = self.logs.values().filter(of_span);
        SpanWithLogs {
            span: span.clone(),
            logs: logs.map(|log| (**log).clone()).collect(),
        }
    }

    pub(super) fn changes(&self, after: Seq, limit: u32) -> Vec<Change> {
        let play = (self.seq, ChangeBody::Play(Arc::new(self.play.clone())));
        let spans = self.spans.values();
        let spans = spans.map(|(seq, span)| (*seq, ChangeBody::Span(span.clone())));
        let logs = self.logs.iter();
        let logs = logs.map(|(seq, log)| (*seq, ChangeBody::Log(log.clone())));
        let all = std::iter::once(play).chain(spans).chain(logs);
        let mut changes: Vec<_> = all
            .filter(|(seq, _)| *seq > after)
            .map(|(seq, body)| Change { seq, body })
            .collect();
        changes.sort_by_key(|change| change.seq);
        changes.truncate(limit as usize);
        changes
    }
}
