//! The operations on many plays: lists, counts, open questions.

use std::time::{Duration, Instant};

use protocol::{
    EpochMs, Error, Play, Result,
    overview::{
        DEFAULT_BUCKETS, MAX_BUCKETS, Overview, PlayOverview, QuestionList, QuestionPage,
        WorkflowStats, WorkflowStatsOf,
    },
    rpc::{Page, PlayList, PlayPage, SummaryPage},
};

use super::{
    Runtime,
    plays::page_limit,
    tally::{self, Axis, Counted},
};
use crate::store::Answer;

/// How long a text is searched for before what was found is answered.
const SEARCH: Duration = Duration::from_secs(2);
/// How many bytes of inputs and outputs a page has that is put together from several readings.
const SEARCH_BYTES: usize = 32 << 20;
/// How many plays are counted in one call.
const MOST_COUNTED: usize = 1_000_000;

impl Runtime {
    /// A page of plays, newest first. Where a text is searched for, it can be shorter than the limit, and even empty,
    /// and not the last.
    ///
    /// # Errors
    /// `invalid_input` (cursor, limit, a query of more than 1,000 bytes), `unavailable`.
    pub async fn play_list(&self, query: PlayList) -> Result<PlayPage> {
        let store = self.store().clone();
        let bytes =
            |play: &Play| play.input_data.len() + play.output_data.as_ref().map_or(0, String::len);
        searched(query, |query| store.plays(query), bytes).await
    }

    /// As [`Runtime::play_list`], without what is long.
    ///
    /// # Errors
    /// As there.
    pub async fn play_summaries(&self, query: PlayList) -> Result<SummaryPage> {
        let store = self.store().clone();
        searched(query, |query| store.play_summaries(query), |_| 0).await
    }

    /// How many plays have which status, altogether and over time.
    ///
    /// # Errors
    /// `invalid_input` (buckets, a query of more than 1,000 bytes), `unavailable`.
    pub async fn play_overview(&self, wanted: PlayOverview) -> Result<Overview> {
        let buckets = bucket_count(wanted.buckets)?;
        let PlayOverview {
            created_from,
            created_before,
            ..
        } = wanted;
        let counted = self
            .counted(PlayList {
                statuses: wanted.statuses,
                workflow_sid: wanted.workflow_sid,
                parent_play_sid: wanted.parent_play_sid,
                query: wanted.query,
                top_level: wanted.top_level,
                created_from,
                created_before,
                ..PlayList::default()
            })
            .await?;
        let bounds = (created_from, created_before);
        let axis = Axis::of(&counted.facts, bounds, EpochMs::now(), buckets);
        Ok(tally::overview(&counted, axis))
    }

    /// How the plays of a workflow ended, and how long they took, altogether and over time.
    ///
    /// # Errors
    /// `not_found` (no such workflow, and no play of it), `invalid_input` (buckets), `unavailable`.
    pub async fn workflow_stats(&self, wanted: WorkflowStatsOf) -> Result<WorkflowStats> {
        let buckets = bucket_count(wanted.buckets)?;
        let sid = wanted.workflow_sid;
        let counted = self
            .counted(PlayList {
                workflow_sid: Some(sid.clone()),
                created_from: wanted.from_ms,
                ..PlayList::default()
            })
            .await?;
        if counted.facts.is_empty() && self.store().workflow(&sid).await?.is_none() {
            return Err(Error::not_found("workflow", &sid));
        }
        let bounds = (wanted.from_ms, None);
        let axis = Axis::of(&counted.facts, bounds, EpochMs::now(), buckets);
        Ok(tally::stats(&counted, axis))
    }

    /// A page of the open questions of all plays, oldest first.
    ///
    /// # Errors
    /// `invalid_input` (cursor, limit), `unavailable`.
    pub async fn question_list(&self, query: QuestionList) -> Result<QuestionPage> {
        let limit = Some(page_limit(query.limit)?);
        let query = QuestionList { limit, ..query };
        Ok(self.store().questions(query).await?)
    }

    /// Some tens of thousands in one reading; others have their turn in between.
    async fn counted(&self, mut query: PlayList) -> Result<Counted> {
        let began = Instant::now();
        let mut facts = Vec::new();
        loop {
            let page = self.store().play_facts(query.clone()).await?;
            facts.extend(page.items);
            let over = facts.len() >= MOST_COUNTED || began.elapsed() >= SEARCH;
            query.cursor = page.next_cursor;
            if query.cursor.is_none() || over {
                let complete = query.cursor.is_none();
                return Ok(Counted { facts, complete });
            }
        }
    }
}

/// A page of what `read` finds; where a text is searched for, of as many readings as it takes, and as there is time for.
async fn searched<T>(
    query: PlayList,
    read: impl Fn(PlayList) -> Answer<Page<T>>,
    bytes: impl Fn(&T) -> usize,
) -> Result<Page<T>> {
    let limit = page_limit(query.limit)?;
    let mut query = PlayList {
        limit: Some(limit),
        ..query
    };
    let began = Instant::now();
    let mut page = read(query.clone()).await?;
    let mut size: usize = page.items.iter().map(&bytes).sum();
    while query.query.as_ref().is_some_and(|text| !text.is_empty())
        && page.next_cursor.is_some()
        && page.items.len() < limit as usize
        && size < SEARCH_BYTES
        && began.elapsed() < SEARCH
    {
        let found = u32::try_from(page.items.len()).unwrap_or(limit);
        query.limit = Some(limit.saturating_sub(found));
        query.cursor = page.next_cursor.take();
        let further = read(query.clone()).await?;
        size += further.items.iter().map(&bytes).sum::<usize>();
        page.items.extend(further.items);
        page.next_cursor = further.next_cursor;
    }
    Ok(page)
}

fn bucket_count(buckets: Option<u32>) -> Result<u32> {
    match buckets.unwrap_or(DEFAULT_BUCKETS) {
        buckets @ 1..=MAX_BUCKETS => Ok(buckets),
        buckets => Err(Error::invalid_input(format!(
            "buckets is {buckets}; the time can be divided into 1 to {MAX_BUCKETS}"
        ))),
    }
}
