//! Lists of plays of the store in memory.

use std::{cmp::Ordering, ops::Bound};

use protocol::{
    PlaySummary, WaitKind,
    overview::{Question, QuestionList, QuestionPage},
    rpc::{PlayList, PlayPage, SummaryPage},
};

use super::{
    super::{
        FactPage, ListBody, ListChange, PAGE_BYTES, PlayFacts, Seq, StoreError, cursor,
        listing::{Sought, statuses},
    },
    rows::{PlayRow, Rows, page},
};

impl Rows {
    pub(super) fn plays(&self, query: &PlayList) -> Result<PlayPage, StoreError> {
        let found = self.wanted(query)?.map(|row| row.play.clone());
        let mut bytes = 0;
        Ok(page(
            found,
            query.limit,
            |play| {
                bytes += play.input_data.len() + play.output_data.as_ref().map_or(0, String::len);
                bytes <= PAGE_BYTES
            },
            |last| cursor::of_play(&last.sid),
        ))
    }

    pub(super) fn summaries(&self, query: &PlayList) -> Result<SummaryPage, StoreError> {
        let found = self.wanted(query)?.map(PlayRow::summary);
        let after = |last: &PlaySummary| cursor::of_play(&last.sid);
        Ok(page(found, query.limit, |_| true, after))
    }

    /// All of them at once.
    pub(super) fn facts(&self, query: PlayList) -> Result<FactPage, StoreError> {
        let found = self.wanted(&query)?.map(|row| PlayFacts {
            created_at: row.play.created_at,
            status: row.play.status,
            duration_ms: row.play.duration_ms,
        });
        Ok(FactPage {
            items: found.collect(),
            next_cursor: None,
        })
    }

    /// Newest first.
    fn wanted(&self, query: &PlayList) -> Result<impl Iterator<Item = &PlayRow>, StoreError> {
        let before = cursor::play(query.cursor.as_deref())?;
        let bound = before.map_or(Bound::Unbounded, Bound::Excluded);
        let (text, statuses) = (Sought::of(query)?, statuses(query));
        let wanted = move |row: &&PlayRow| {
            let play = &row.play;
            let texts = [Some(&play.workflow_name), play.flow_name.as_ref()];
            let message = play.cause.as_ref().map(|cause| &cause.message);
            let texts = texts.into_iter().chain([message]).flatten();
            (statuses.as_ref()).is_none_or(|statuses| statuses.contains(&play.status))
                && (query.workflow_sid.as_ref()).is_none_or(|sid| *sid == play.workflow_sid)
                && (query.parent_play_sid.is_none()
                    || query.parent_play_sid == play.parent_play_sid)
                && !(query.top_level && play.parent_play_sid.is_some())
                && query.created_from.is_none_or(|t| play.created_at >= t)
                && query.created_before.is_none_or(|t| play.created_at < t)
                && (text.as_ref())
                    .is_none_or(|text| text.is_in(play.sid.as_str(), texts.map(String::as_str)))
        };
        let found = self.plays.range((Bound::Unbounded, bound)).rev();
        Ok(found.map(|(_, row)| row).filter(wanted))
    }

    pub(super) fn questions(&self, query: &QuestionList) -> Result<QuestionPage, StoreError> {
        let after = cursor::Asked::read(query.cursor.as_deref())?;
        let asked = self.plays.values().flat_map(|row| {
            let asks = (row.waits.values()).filter(|wait| wait.start.kind == WaitKind::Ask);
            asks.map(|wait| Question {
                play_sid: row.play.sid.clone(),
                workflow_name: row.play.workflow_name.clone(),
                id: wait.key.to_string(),
                name: wait.start.name.to_string(),
                schema: wait.start.schema.clone(),
                ui: wait.start.ui.clone(),
                span_id: wait.span_id.clone(),
                created_at: wait.created_at,
                wake_at: wait.start.wake_at,
                default: wait.start.default.as_deref().map(str::to_owned),
            })
        });
        let mut found: Vec<_> = asked.collect();
        found.sort_by(|a, b| (place(a).partial_cmp(&place(b))).unwrap_or(Ordering::Equal));
        let behind = |question: &Question| {
            let after = after.as_ref();
            after.is_none_or(|a| place(question) > (a.created_at, a.play.as_str(), a.key.as_str()))
        };
        let found = found.into_iter().filter(behind);
        Ok(page(found, query.limit, |_| true, cursor::of_question))
    }

    pub(super) fn list_changes(&self, after: Seq, limit: u32) -> Vec<ListChange> {
        let plays = self.plays.values().map(|row| ListChange {
            seq: row.seq,
            body: ListBody::Play(Box::new(row.summary())),
        });
        let workflows = self.workflows.values().map(|row| ListChange {
            seq: row.seq,
            body: ListBody::Workflow {
                workflow: Box::new(row.workflow.clone()),
                deleted: row.deleted,
            },
        });
        let changed = plays.chain(workflows).filter(|change| change.seq > after);
        let mut changed: Vec<_> = changed.collect();
        changed.sort_by_key(|change| change.seq);
        changed.truncate(limit as usize);
        changed
    }
}

/// Among all questions.
fn place(question: &Question) -> (f64, &str, &str) {
    (
        question.created_at.0,
        question.play_sid.as_str(),
        &question.id,
    )
}

impl PlayRow {
    fn summary(&self) -> PlaySummary {
        PlaySummary::new(&self.play, &self.waiting().waits)
    }
}
