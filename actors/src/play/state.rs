//! The reducer: what each event does to a play. It exists once; the socket, `span_push` and the
//! tests all use it.
//!
//! Pure: no actix, no tokio, the time is an argument. It answers with rows to be committed and never
//! does anything itself.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use protocol::{
    CauseKind, EpochMs, Exception, Kept, Limits, Log, LogStream, OnInterrupt, Play, PlayStatus,
    Result as Answer, Skipped, Span, SpanId, SpanKind, SpanStatus, Step, Tags, Usage,
    event::{BadLine, Output, SpanEnd, SpanEvent, SpanLog, SpanStart, StepOutput},
};
use serde_json::Value;

use super::{
    limits::RECOVERIES,
    outcome::{Ended, Exit, PAUSED, Testimony, outcome},
    stop::StopReason,
    tree::{self, Skip, Tree},
    waits::Waits,
};
use crate::{
    ingest::Event,
    store::{Launch, Past, PlayChange},
};

/// How much of the end of standard error the cause tells, bytes.
pub const STDERR_TAIL: usize = 64 << 10;

/// A play as its actor knows it.
#[derive(Debug)]
pub struct State {
    /// Shared with what is committed: an output can have megabytes.
    play: Arc<Play>,
    /// Of output and spans; the others are for its process.
    limits: Limits,
    tree: Tree,
    output: Option<Output>,
    exception: Option<Exception>,
    /// With which status its spans end, now that it is being stopped.
    stopping: Option<SpanStatus>,
    log_bytes: u64,
    /// Its limit of spans was reached.
    spans_cut: bool,
    stderr: Tail,
    skipped: Skipped,
    /// Durable steps that have begun and have not come to their end.
    steps: HashMap<SpanId, Box<Step>>,
    waits: Waits,
    /// Spans that earlier attempts left open.
    left_open: Vec<(u64, Span)>,
    /// Whether it has kept anything, in this attempt or an earlier one.
    durable: bool,
    /// How often its process or its server died since then.
    recoveries: u32,
    /// The record has changed since it was last handed out.
    dirty: bool,
}

impl State {
    /// A play whose process is being started.
    #[must_use]
    pub fn new(play: Play, past: Past, limits: Limits) -> Self {
        let Past {
            spans,
            durable,
            recoveries,
            waiting,
            open,
        } = past;
        Self {
            left_open: open,
            steps: HashMap::new(),
            waits: Waits::new(waiting),
            durable,
            recoveries,
            limits,
            tree: Tree::new(&play.parent_span_id, spans),
            output: None,
            exception: None,
            stopping: None,
            log_bytes: 0,
            spans_cut: false,
            stderr: Tail::default(),
            skipped: play.skipped.clone().unwrap_or_default(),
            dirty: false,
            play: Arc::new(play),
        }
    }

    /// With the answers that were given ahead.
    #[must_use]
    pub fn with_answers_of(mut self, launch: &Launch) -> Self {
        self.waits = self.waits.with_answers_of(launch);
        self
    }

    /// The record as it now stands.
    #[must_use]
    pub fn play(&self) -> &Arc<Play> {
        &self.play
    }

    /// The live tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The flow's return value as it was sent, if it was.
    #[must_use]
    pub fn take_output(&mut self) -> Option<Output> {
        self.output.take()
    }

    /// Applies events in their order; the rows that they change. Of a span that changes several times
    /// there is one, as it stands at the end.
    pub fn apply(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now: EpochMs,
    ) -> Vec<PlayChange> {
        let mut rows = Rows::default();
        for event in events {
            self.apply_one(event, now, &mut rows);
        }
        self.collect(rows)
    }

    /// Applies one event; whether it was taken (`false`: skipped and counted), and what it changes.
    pub fn push(&mut self, event: Event, now: EpochMs) -> (bool, Vec<PlayChange>) {
        let mut rows = Rows::default();
        let taken = self.apply_one(event, now, &mut rows);
        (taken, self.collect(rows))
    }

    /// As [`Self::push`], with what whoever sent the event is answered.
    pub fn answer(&mut self, event: Event, now: EpochMs) -> (Answer<Value>, Vec<PlayChange>) {
        let mut rows = Rows::default();
        let answer = match event {
            Event::Wire(SpanEvent::Pause(pause)) => self.pause(pause, now, &mut rows),
            other => Ok(Value::Bool(self.apply_one(other, now, &mut rows))),
        };
        (answer, self.collect(rows))
    }

    /// Something was kept that a further attempt goes on from.
    fn progress(&mut self, rows: &mut Rows) {
        self.durable = true;
        if std::mem::take(&mut self.recoveries) > 0 {
            rows.0.push(Row::Done(PlayChange::Recoveries(0)));
        }
    }

    fn apply_one(&mut self, event: Event, now: EpochMs, rows: &mut Rows) -> bool {
        let changed = match event {
            Event::Wire(SpanEvent::Start(start)) => {
                let most = self.limits.spans.unwrap_or(u64::MAX);
                if self.tree.spans() >= most && !self.tree.knows(&start.span_id) {
                    self.spans_cut = true;
                    self.skipped.over_limit += 1;
                    return self.skip(|| format!("a span beyond the limit of {most} spans"));
                }
                return self.start(start, now, rows);
            }
            Event::Wire(SpanEvent::StepOutput(output)) => return self.keep(output, now, rows),
            Event::Wire(SpanEvent::Pause(pause)) => {
                return match self.pause(pause, now, rows) {
                    Ok(_) => true,
                    Err(error) => self.skip(|| error.message),
                };
            }
            // It ends with its wait, whatever its process says.
            Event::Wire(SpanEvent::End(end)) if self.waits.has_span(&end.span_id) => return true,
            Event::Wire(SpanEvent::Tag { span_id, tags }) => self.tree.tag(&span_id, &tags),
            Event::Wire(SpanEvent::End(mut end)) => {
                let exception = end.exception.take();
                if let (SpanStatus::Cancelled, Some(status)) = (end.status, self.stopping) {
                    end.status = status;
                }
                let is_root = self.tree.root() == Some(&end.span_id);
                match self.tree.end(end, now) {
                    Ok(ended) => {
                        if is_root {
                            self.exception = exception.map(|exception| *exception);
                        }
                        rows.ended(ended);
                        return true;
                    }
                    Err(skip) => Err(skip),
                }
            }
            Event::Wire(SpanEvent::Log(log)) => return self.log(log, now, rows),
            Event::Wire(SpanEvent::Output(output)) => {
                self.output = Some(output);
                return true;
            }
            Event::Stopping(status) => {
                self.stopping.get_or_insert(status);
                return true;
            }
            Event::Linked { span_id, child } => self.tree.link(&span_id, child),
            Event::Raw { stream, text } => {
                let span_id = self
                    .tree
                    .newest_open()
                    .or_else(|| self.tree.root())
                    .cloned();
                let span_id = span_id.unwrap_or_else(|| "".into());
                self.write(span_id, stream, text, now, rows);
                return true;
            }
            Event::Bad(bad) => {
                match &bad {
                    BadLine::Broken(_) => self.skipped.broken_lines += 1,
                    BadLine::UnknownType(_) => self.skipped.unknown_types += 1,
                    BadLine::TooLong => self.skipped.long_lines += 1,
                }
                return self.skip(|| bad.to_string());
            }
            Event::OverLimit(what) => {
                self.skipped.over_limit += 1;
                return self.skip(|| what);
            }
        };
        self.counted(changed, rows)
    }

    fn counted(&mut self, changed: Result<u64, Skip>, rows: &mut Rows) -> bool {
        match changed {
            Ok(ord) => {
                rows.open(ord, &mut self.tree);
                true
            }
            Err(Skip::Duplicate) => {
                self.skipped.duplicates += 1;
                self.skip(|| {
                    "a span that had started started, or one that had ended changed".into()
                })
            }
            Err(Skip::UnknownSpan) => {
                self.skipped.unknown_spans += 1;
                self.skip(|| "an event for a span that never started".into())
            }
            Err(Skip::OverLimit) => {
                self.skipped.over_limit += 1;
                self.skip(|| {
                    "a span beyond the bounds: 64 MiB of open spans, 256 bytes of id, 1,000,000 intervals of ids".into()
                })
            }
        }
    }

    fn start(&mut self, mut start: SpanStart, now: EpochMs, rows: &mut Rows) -> bool {
        let step = start.step.take().map(|step| {
            Box::new(Step {
                start: *step,
                name: start.name.as_str().into(),
                span_id: start.span_id.clone(),
                start_ms: start.start_ms.map_or(now, |t| t.sane_or(now)),
                end_ms: None,
                kept: None,
                strict: false,
            })
        });
        let started = self.tree.start(start, now);
        if started.is_ok()
            && let Some(step) = step
        {
            rows.0
                .push(Row::Done(PlayChange::Step(Arc::new(Step::clone(&step)))));
            self.steps.insert(step.span_id.clone(), step);
        }
        self.counted(started, rows)
    }

    /// A step has come to its end, and its result is kept.
    fn keep(&mut self, output: StepOutput, now: EpochMs, rows: &mut Rows) -> bool {
        let (Some(mut step), Output::Data(data)) =
            (self.steps.remove(&output.span_id), output.output)
        else {
            self.skipped.unknown_spans += 1;
            return self.skip(|| "the result of a step that never started".into());
        };
        let end = SpanEnd {
            span_id: output.span_id,
            end_ms: output.end_ms,
            status: if output.error.is_some() {
                SpanStatus::Failed
            } else {
                SpanStatus::Ok
            },
            error: output.error.clone(),
            tags: Tags::default(),
            exception: None,
        };
        if self.waits.has_come(&step.span_id) {
            rows.0.push(Row::Done(waiting::over(&step.start.key, now)));
        }
        step.end_ms = Some(output.end_ms.map_or(now, |t| t.sane_or(now)));
        step.kept = Some(Kept {
            raised: output.error.is_some(),
            data: Box::<str>::from(data),
        });
        rows.0.push(Row::Done(PlayChange::Step(Arc::new(*step))));
        self.progress(rows);
        // Where its span was ended before, its result counts all the same.
        if let Ok(ended) = self.tree.end(end, now) {
            rows.ended(ended);
        }
        true
    }

    /// The rows as they now stand, with the record where it has changed.
    fn collect(&mut self, rows: Rows) -> Vec<PlayChange> {
        let tree = &mut self.tree;
        let rows = rows.0.into_iter().filter_map(|row| match row {
            Row::Done(change) => Some(change),
            Row::Open(ord) => {
                tree.note(ord, None);
                let span = tree.open_span(ord)?.clone();
                Some(PlayChange::Span { ord, span })
            }
        });
        let mut changes: Vec<PlayChange> = rows.collect();
        if std::mem::take(&mut self.dirty) {
            changes.push(self.record());
        }
        changes
    }

    fn skip(&mut self, why: impl FnOnce() -> String) -> bool {
        self.skipped.first.get_or_insert_with(why);
        Arc::make_mut(&mut self.play).skipped = Some(self.skipped.clone());
        self.dirty = true;
        false
    }

    fn log(&mut self, mut log: SpanLog, now: EpochMs, rows: &mut Rows) -> bool {
        if !self.tree.knows(&log.span_id) {
            if let (true, Some(root)) = (self.spans_cut, self.tree.root()) {
                // Its span was beyond the limit; what it says is kept all the same.
                log.span_id = root.clone();
                let at = log.ts_ms.map_or(now, |t| t.sane_or(now));
                self.write(log.span_id, log.stream, log.text, at, rows);
                return true;
            }
            self.skipped.unknown_spans += 1;
            return self.skip(|| "a log for a span that never started".into());
        }
        let at = log.ts_ms.map_or(now, |t| t.sane_or(now));
        self.write(log.span_id, log.stream, log.text, at, rows);
        true
    }

    fn write(
        &mut self,
        span_id: SpanId,
        stream: LogStream,
        mut text: String,
        at: EpochMs,
        rows: &mut Rows,
    ) {
        if stream == LogStream::Stderr {
            self.stderr.push(&text);
        }
        let most = self.limits.output_bytes.unwrap_or(u64::MAX);
        let room = usize::try_from(most.saturating_sub(self.log_bytes)).unwrap_or(usize::MAX);
        if text.len() > room {
            let kept = text.floor_char_boundary(room);
            self.skipped.log_bytes += (text.len() - kept) as u64;
            self.skip(|| format!("output beyond the limit of {most} bytes"));
            // Nothing comes after the place where it was cut.
            self.log_bytes = most;
            text.truncate(kept);
            if text.is_empty() {
                return;
            }
        } else {
            self.log_bytes += text.len() as u64;
        }
        let log = Log {
            span_id,
            ts_ms: at,
            stream,
            text,
        };
        rows.0.push(Row::Done(PlayChange::Log(Arc::new(log))));
    }

    /// The process is gone: what is open is closed, and the record gets its outcome, or the play goes on
    /// in a further attempt. `output` is the output text, or why it could not be taken over.
    pub fn finish(
        &mut self,
        ended: &Ended,
        output: Result<Option<String>, String>,
        on_interrupt: OnInterrupt,
        now: EpochMs,
    ) -> Vec<PlayChange> {
        let by_itself = matches!(ended.stopped, None | Some(StopReason::Shutdown));
        if let (Exit::Code(PAUSED), true, Some(status)) =
            (&ended.exit, by_itself, self.waits.status())
        {
            return self.goes_on(ended, status, "waits", now);
        }
        let died = match (&ended.stopped, &ended.exit) {
            // By order: that is no sign that it would happen again.
            (Some(StopReason::Shutdown), _) => Some(0),
            // What is kept is worth going on from; where nothing is, the signal is the flow's own outcome.
            (None, Exit::Signal(_)) if self.durable => Some(1),
            _ => None,
        };
        if let (Some(times), OnInterrupt::Resume) = (died, on_interrupt) {
            self.recoveries += times;
            if self.recoveries <= RECOVERIES {
                return self.goes_on(ended, PlayStatus::Pending, INTERRUPTED, now);
            }
        }
        let mut changes = Vec::new();
        let (output, output_error) = match output {
            Ok(output) => (output, None),
            Err(why) => (None, Some(why)),
        };
        let testimony = Testimony {
            exception: self.exception.take(),
            last_span: self.tree.last_span(),
            stderr_tail: Some(self.stderr.text()),
            output_error,
        };
        let (status, mut cause) = outcome(ended, testimony);
        if let Some(cause) = &mut cause
            && self.recoveries > RECOVERIES
        {
            cause.kind = CauseKind::RecoveryExhausted;
            cause.message = exhausted(&cause.message);
        }
        self.ensure_root(now);
        self.say_what_was_cut(now, &mut changes);
        let message = cause.as_ref().map(|cause| cause.message.clone());
        let with = SpanStatus::of_outcome(status);
        for tree::Ended { ord, span, .. } in self.tree.end_all(with, message.as_deref(), now) {
            changes.push(PlayChange::Span { ord, span });
        }
        let play = Arc::make_mut(&mut self.play);
        let began = play.started_at.unwrap_or(play.created_at);
        let completed = now.max(began);
        play.status = status;
        play.cause = cause;
        play.output_data = output;
        play.usage = Some(add(play.usage.unwrap_or_default(), ended.usage));
        play.completed_at = Some(completed);
        play.duration_ms = Some(completed.since(began));
        self.dirty = false;
        changes.push(self.record());
        changes
    }

    /// A further attempt follows, at once or when something comes that it waits for.
    fn goes_on(
        &mut self,
        ended: &Ended,
        status: PlayStatus,
        why: &str,
        now: EpochMs,
    ) -> Vec<PlayChange> {
        let mut changes = Vec::new();
        let waiting = match status {
            PlayStatus::AwaitingResume => self.waits.open_spans(),
            _ => HashSet::new(),
        };
        let spans = self
            .tree
            .end_others(&waiting, SpanStatus::Cancelled, Some(why), now);
        changes.extend(
            spans
                .into_iter()
                .map(|tree::Ended { ord, span, .. }| PlayChange::Span { ord, span }),
        );
        let play = Arc::make_mut(&mut self.play);
        play.status = status;
        play.usage = Some(add(play.usage.unwrap_or_default(), ended.usage));
        self.dirty = false;
        changes.push(PlayChange::Recoveries(self.recoveries));
        changes.push(self.record());
        changes
    }

    /// A play that never said anything still has a root span, so that its output has a place.
    fn ensure_root(&mut self, now: EpochMs) {
        if self.tree.spans() > 0 {
            return;
        }
        let root = SpanStart {
            span_id: format!("{}.0", self.play.attempt).into(),
            name: self
                .play
                .flow_name
                .clone()
                .unwrap_or_else(|| self.play.workflow_name.clone()),
            parent_id: String::new(),
            start_ms: self.play.started_at,
            kind: SpanKind::FlowRoot,
            tags: Tags::default(),
            source_file: None,
            source_line: None,
            step: None,
        };
        // Its row is made when it ends, with the others. The first span can't be a duplicate.
        if let Err(skip) = self.tree.start(root, now) {
            tracing::error!(?skip, play = %self.play.sid, "failed to make a root span; please report it");
        }
    }

    fn say_what_was_cut(&self, now: EpochMs, changes: &mut Vec<PlayChange>) {
        let cut = self.skipped.log_bytes;
        if let (true, Some(root)) = (cut > 0, self.tree.root()) {
            changes.push(PlayChange::Log(Arc::new(Log {
                span_id: root.clone(),
                ts_ms: now,
                stream: LogStream::Log,
                text: format!(
                    "[hero_logic] {cut} bytes of output were cut: this play keeps {} bytes",
                    self.limits.output_bytes.unwrap_or(u64::MAX)
                ),
            })));
        }
    }

    fn record(&self) -> PlayChange {
        PlayChange::Play(self.play.clone())
    }
}

/// What events change, in the order in which it changed first.
#[derive(Debug, Default)]
struct Rows(Vec<Row>);

#[derive(Debug)]
enum Row {
    Done(PlayChange),
    /// A span that is still open. Its row is made when all events are applied: while nobody else
    /// holds the span, it changes in place.
    Open(u64),
}

impl Rows {
    fn open(&mut self, ord: u64, tree: &mut Tree) {
        let place = self.0.len();
        match tree.note(ord, Some(place)) {
            Some(earlier) => {
                tree.note(ord, Some(earlier));
            }
            None => self.0.push(Row::Open(ord)),
        }
    }

    fn ended(&mut self, tree::Ended { ord, span, note }: tree::Ended) {
        let row = Row::Done(PlayChange::Span { ord, span });
        match note.and_then(|place| self.0.get_mut(place)) {
            Some(place) => *place = row,
            None => self.0.push(row),
        }
    }
}

fn add(before: Usage, now: Usage) -> Usage {
    Usage {
        cpu_ms: before.cpu_ms + now.cpu_ms,
        peak_memory_bytes: before.peak_memory_bytes.max(now.peak_memory_bytes),
        processes: before.processes + now.processes,
        start: now.start.or(before.start),
        killed: before.killed + now.killed,
    }
}

/// A record for a play that ended without its actor: it panicked, or the server died.
#[must_use]
pub fn closed_record(
    mut play: Play,
    status: PlayStatus,
    cause: protocol::Cause,
    now: EpochMs,
) -> Play {
    let began = play.started_at.unwrap_or(play.created_at);
    play.status = status;
    play.cause = Some(cause);
    play.completed_at = Some(now.max(began));
    play.duration_ms = Some(now.since(began));
    play
}

/// What the spans say that were open when an attempt ended and the play went on.
pub const INTERRUPTED: &str = "interrupted; the play goes on in a further attempt";

/// Why a play is given up that was resumed again and again.
#[must_use]
pub fn exhausted(last: &str) -> String {
    format!(
        "its process or its server died {} times, and no further step was kept in between; the last time: {last}",
        RECOVERIES + 1
    )
}

/// The last bytes of a stream, as text.
#[derive(Debug, Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, text: &str) {
        let bytes = &text.as_bytes()[text.len().saturating_sub(STDERR_TAIL)..];
        let over = (self.0.len() + bytes.len()).saturating_sub(STDERR_TAIL);
        self.0.drain(..over);
        self.0.extend(bytes);
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        // A character that was cut in front is dropped, not shown as a replacement.
        let start = bytes
            .iter()
            .take(4)
            .position(|b| b & 0xC0 != 0x80)
            .unwrap_or(0);
        String::from_utf8_lossy(&bytes[start..]).into_owned()
    }
}

#[path = "state_waits.rs"]
mod waiting;

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
