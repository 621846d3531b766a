//! What is in one play, see [`crate::store::inside`].

use std::ops::Bound;

use protocol::{
    play::PlayBrief,
    reading::{LogPage, SpanDetail, SpanMatch},
};

use super::{
    super::{
        FindSpans, FoundSpans, LogQuery, LogsOf, Outline, Progress, Seq,
        inside::LogPager,
        outline::{OutlineRow, flags},
    },
    rows::PlayRow,
};

impl PlayRow {
    /// Everything, each time: plain before fast.
    pub(super) fn outline(&self, mut outline: Outline, now: Seq) -> Outline {
        outline.of(PlayBrief::from(self.play.clone()));
        outline.expected = self.next_ord();
        for (ord, (_, span)) in &self.spans {
            outline.put(&OutlineRow {
                ord: *ord,
                span_id: span.span_id.as_str(),
                parent_id: &span.parent_id,
                name: &span.name,
                kind: span.kind,
                status: span.status,
                start_ms: span.start_ms.0,
                end_ms: span.end_ms.map(|end| end.0),
                has_tags: !span.tags.is_empty(),
                has_error: span.error.is_some(),
                child_play: span.child_play_sid.as_ref().map(|sid| sid.as_str()),
            });
        }
        for log in self.logs.values() {
            outline.flag(log.span_id.as_str(), flags::LOGS);
        }
        for step in self.steps.values() {
            outline.flag(step.span_id.as_str(), flags::DURABLE);
        }
        outline.settle();
        outline.progress = Progress::Current(now);
        outline
    }

    pub(super) fn span(&self, ord: u64) -> Option<SpanDetail> {
        let (_, span) = self.spans.get(&ord)?;
        let of_it = |id: &str| id == span.span_id.as_str() || (ord == 0 && id.is_empty());
        let logs = self.logs.values();
        let texts: Vec<_> = logs
            .filter(|log| of_it(log.span_id.as_str()))
            .map(|log| log.text.len() as u64)
            .collect();
        Some(SpanDetail {
            span: span.as_ref().clone(),
            log_count: texts.len() as u64,
            log_bytes: texts.iter().sum(),
        })
    }

    pub(super) fn logs(&self, query: &LogQuery, behind: Option<Seq>) -> LogPage {
        let mut pager = LogPager::new(query);
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let logs: Box<dyn Iterator<Item = _>> = if query.backwards {
            Box::new(self.logs.range((Bound::Unbounded, from)).rev())
        } else {
            Box::new(self.logs.range((from, Bound::Unbounded)))
        };
        for (seq, log) in logs {
            // An index has those of one span together.
            let of_another = matches!(&query.of, LogsOf::Span(only) if *only != log.span_id);
            if !of_another && !pager.take(*seq, log.as_ref().clone()) {
                break;
            }
        }
        let counted = query.is_whole() && !matches!(query.of, LogsOf::Such(_));
        let of_them = self
            .logs
            .values()
            .filter(|log| query.of.has(log.span_id.as_str()));
        let total = counted.then(|| of_them.count() as u64);
        pager.page(total)
    }

    pub(super) fn find_spans(&self, wanted: &FindSpans) -> FoundSpans {
        let mut all = FoundSpans::default();
        let from = wanted.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = 0;
        for (ord, (_, span)) in self.spans.range((from, Bound::Unbounded)) {
            if all.matches.len() >= wanted.limit as usize {
                all.next = Some(last);
                break;
            }
            last = *ord;
            let tags = (!span.tags.is_empty()).then(|| span.tags.as_str());
            let (id, error) = (span.span_id.as_str(), span.error.as_deref());
            if let Some(place) = wanted.place(*ord, id, &span.name, tags, error) {
                let span_id = span.span_id.clone();
                all.matches.push(SpanMatch { span_id, place });
            }
        }
        all
    }
}
