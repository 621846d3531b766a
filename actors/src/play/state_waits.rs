//! What pauses, and what comes for them, do to a play. A part of the reducer.

use std::sync::Arc;

use protocol::{
    EpochMs, Error, Kept, Result, SpanId, SpanStatus, Tags, WaitStart,
    event::{Pause, SpanEnd},
};
use serde_json::Value;

use super::{Row, Rows, State};
use crate::{
    play::waits::{self, Done, Paused, Settling},
    store::{PlayChange, Settled},
};

impl State {
    /// An attempt begins: what still waits is asked again, in spans of its own.
    pub fn begin(&mut self, now: EpochMs) -> Vec<PlayChange> {
        let left = std::mem::take(&mut self.left_open).into_iter();
        let ended = left.map(|(ord, mut span)| {
            span.status = SpanStatus::Cancelled;
            span.error = Some("waits".to_owned());
            span.end_ms = Some(now.max(span.start_ms));
            let span = Arc::new(span);
            PlayChange::Span { ord, span }
        });
        let mut changes: Vec<_> = ended.collect();
        let children = self.waits.take_waits_for_children();
        changes.extend(children.iter().map(|key| over(key, now)));
        changes
    }

    /// Something that it waits for came, or came early.
    ///
    /// # Errors
    /// As `Waits::settle`: `not_found`, `conflict`, `invalid_input`, `too_large`.
    pub fn settle(&mut self, settling: Settling, now: EpochMs) -> Result<Vec<PlayChange>> {
        let mut rows = Rows::default();
        match self.waits.settle(settling, now)? {
            Done::Kept(signal) => rows.0.push(Row::Done(PlayChange::Signal(Arc::new(signal)))),
            Done::Settled(wait, kept) => {
                self.end_wait(&wait.span_id, &wait.start, &kept, now, &mut rows);
                rows.0.push(settled(&wait.key, kept, now));
                self.progress(&mut rows);
            }
            Done::Over(wait) => rows.0.push(Row::Done(over(&wait.key, now))),
        }
        Ok(self.collect(rows))
    }

    /// A step waits for its result, unless that is there already.
    pub(super) fn pause(&mut self, pause: Pause, now: EpochMs, rows: &mut Rows) -> Result<Value> {
        let Pause { span_id, wait } = pause;
        if let Some(answer) = self.waits.again(&span_id) {
            return Ok(answer);
        }
        let Some(step) = self.steps.get(&span_id) else {
            self.skipped.unknown_spans += 1;
            self.skip(|| "a pause of a step that never started".into());
            return Err(Error::invalid_input(format!(
                "span {span_id} can't pause: it is no step that has begun"
            )));
        };
        let key = step.start.key.clone();
        let waited_before = self.waits.is_open(&key);
        let paused = self
            .waits
            .pause(&key, WaitStart::clone(&wait), &span_id, now)?;
        if let Paused::Open(wait) = &paused
            && wait.start.child.is_some()
        {
            // Its result comes of its process, if that is still there when the child ends.
            self.durable = true;
            rows.0.push(Row::Done(PlayChange::Wait(wait.clone())));
            return Ok(waits::unsettled(&key));
        }
        let step = self.steps.remove(&span_id);
        let kept = match paused {
            Paused::Open(wait) => {
                rows.0.push(Row::Done(PlayChange::Wait(wait)));
                if !waited_before {
                    self.progress(rows);
                }
                return Ok(waits::unsettled(&key));
            }
            Paused::Told(kept) => kept,
            Paused::Settled {
                kept,
                was_open,
                signal,
            } => {
                if let Some(id) = signal {
                    rows.0.push(Row::Done(PlayChange::SignalTaken(id)));
                }
                if was_open {
                    rows.0.push(settled(&key, kept.clone(), now));
                } else if let Some(mut step) = step {
                    step.end_ms = Some(now);
                    step.kept = Some(kept.clone());
                    rows.0.push(Row::Done(PlayChange::Step(Arc::new(*step))));
                }
                self.progress(rows);
                kept
            }
        };
        self.end_wait(&span_id, &wait, &kept, now, rows);
        Ok(waits::settled(&kept))
    }

    /// The span of a wait ends with it, where it is open.
    fn end_wait(
        &mut self,
        span_id: &SpanId,
        wait: &WaitStart,
        kept: &Kept,
        now: EpochMs,
        rows: &mut Rows,
    ) {
        let (status, error) = waits::ending(wait, kept);
        let end = SpanEnd {
            span_id: span_id.clone(),
            end_ms: Some(now),
            status,
            error,
            tags: Tags::default(),
            exception: None,
        };
        if let Ok(ended) = self.tree.end(end, now) {
            rows.ended(ended);
        }
    }
}

fn settled(key: &str, kept: Kept, at: EpochMs) -> Row {
    let (key, kept) = (key.into(), Some(kept));
    Row::Done(PlayChange::Settled(Arc::new(Settled { key, kept, at })))
}

/// The wait for a child is over.
pub(super) fn over(key: &str, at: EpochMs) -> PlayChange {
    let (key, kept) = (key.into(), None);
    PlayChange::Settled(Arc::new(Settled { key, kept, at }))
}
