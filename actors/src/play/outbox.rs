//! Changes of one play that wait to be committed.
//!
//! Pure. One commit is under way at a time; meanwhile changes gather here, and of a span that
//! changed several times only its last state is written.

use std::collections::HashMap;

use crate::store::PlayChange;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    changes: Vec<PlayChange>,
    /// Where the row of a span (by `ord`) stands in `changes`, and how many of them are looked through.
    spans: HashMap<u64, usize>,
    record: Option<usize>,
    known: usize,
}

impl Outbox {
    /// Adds changes, each row once, or puts them over earlier ones of the same rows.
    pub fn push(&mut self, changes: Vec<PlayChange>) {
        if self.changes.is_empty() {
            // Most often nothing comes after them before they are taken.
            self.changes = changes;
            return;
        }
        for at in self.known..self.changes.len() {
            place(&mut self.spans, &mut self.record, &self.changes[at], at);
        }
        for change in changes {
            let next = self.changes.len();
            let at = place(&mut self.spans, &mut self.record, &change, next);
            match self.changes.get_mut(at) {
                Some(earlier) => *earlier = change,
                None => self.changes.push(change),
            }
        }
        self.known = self.changes.len();
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many rows are to be committed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Everything, in order.
    #[must_use]
    pub fn take(&mut self) -> Vec<PlayChange> {
        self.spans.clear();
        self.record = None;
        self.known = 0;
        std::mem::take(&mut self.changes)
    }
}

/// Where the row of a change stands: at `next`, unless it was there before.
fn place(
    spans: &mut HashMap<u64, usize>,
    record: &mut Option<usize>,
    change: &PlayChange,
    next: usize,
) -> usize {
    match change {
        PlayChange::Span { ord, .. } => *spans.entry(*ord).or_insert(next),
        PlayChange::Play(_) => *record.get_or_insert(next),
        _ => next,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::{EpochMs, Log, LogStream, Span, SpanKind, SpanStatus};

    use super::*;

    fn span(ord: u64, name: &str) -> PlayChange {
        let span = Span {
            span_id: ord.to_string().into(),
            parent_id: String::new(),
            name: name.into(),
            kind: SpanKind::Other,
            status: SpanStatus::Running,
            start_ms: EpochMs(0.0),
            end_ms: None,
            tags: protocol::Tags::default(),
            error: None,
            source_file: None,
            source_line: None,
            rpc_service: None,
            rpc_method: None,
            child_play_sid: None,
        };
        PlayChange::Span {
            ord,
            span: Arc::new(span),
        }
    }

    #[test]
    fn a_row_is_written_once_with_its_last_state() {
        let log = Log {
            span_id: "0".into(),
            ts_ms: EpochMs(0.0),
            stream: LogStream::Log,
            text: "t".into(),
        };
        let mut outbox = Outbox::default();
        for change in [
            span(0, "a"),
            PlayChange::Log(Arc::new(log)),
            span(1, "b"),
            span(0, "a2"),
        ] {
            outbox.push(vec![change]);
        }
        let names: Vec<_> = outbox
            .take()
            .into_iter()
            .map(|change| match change {
                PlayChange::Span { span, .. } => span.name.clone(),
                PlayChange::Log(log) => log.text.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["a2", "t", "b"]);
        outbox.push(vec![span(0, "later")]);
        assert_eq!(
            outbox.take().len(),
            1,
            "nothing is remembered of an earlier batch"
        );
        assert!(outbox.is_empty());
    }
}
