//! The operations that look into a play: its spans and its logs.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    EpochMs, Error, PlaySid, Result, SpanId,
    reading::{
        LogPage, MAX_CELLS, MAX_OPEN, MAX_PIXELS, MAX_QUERY, MAX_ROWS, PlayFind, PlayLogs,
        PlayWindow, SpanDetail, SpanGet, SpanMatch, SpanWindow,
    },
};

use super::{Runtime, plays::page_limit};
use crate::{
    matching::Matcher,
    outlines::{
        Outlines, Whole,
        window::{self, Rows},
    },
    store::{FindSpans, LogQuery, LogsOf, outline::NONE},
};

/// How many logs are read at a time to be searched.
const SEARCHED_AT_ONCE: u32 = 10_000;

impl Runtime {
    /// Outlines of plays.
    #[must_use]
    pub fn outlines(&self) -> &Outlines {
        &self.inner.outlines
    }

    /// A span, and how much it has logged.
    ///
    /// # Errors
    /// `not_found` (play, span), `unavailable`.
    pub async fn span_get(&self, wanted: SpanGet) -> Result<SpanDetail> {
        let (ord, _) = self.find_span(&wanted.play_sid, &wanted.span_id).await?;
        let span = self.store().span(&wanted.play_sid, ord.into()).await?;
        span.ok_or_else(|| Error::not_found("span", &wanted.span_id))
    }

    /// Where a span is in its play.
    async fn find_span(&self, play: &PlaySid, span: &SpanId) -> Result<(u32, Whole)> {
        let held = self.outlines().get(play, u64::MAX).await?;
        let ord = held.outline.find(span.as_str());
        let ord = ord.ok_or_else(|| Error::not_found("span", span))?;
        Ok((ord, held))
    }

    /// Some rows of a play's tree, where only some spans are open.
    ///
    /// # Errors
    /// `not_found`, `invalid_input` (what is asked for is too much, or no window), `unavailable`.
    pub async fn play_window(&self, wanted: PlayWindow) -> Result<SpanWindow> {
        check(&wanted)?;
        let play = wanted.play_sid.clone();
        let made = self.outlines().with(&play, u64::MAX, move |held| {
            let (outline, tree) = held.with_tree();
            let now = outline.micros(EpochMs::now().0);
            let Rows {
                total,
                rows,
                revealed,
            } = window::rows(outline, tree, &wanted, now);
            SpanWindow {
                seq: outline.seq(),
                total_rows: total,
                rows,
                revealed,
            }
        });
        made.await
    }

    /// A page of a play's logs, or of those of a span, or of a span and all below it.
    ///
    /// # Errors
    /// `not_found` (play, span), `invalid_input` (cursor, limit, query; below without a span), `unavailable`.
    pub async fn play_logs(&self, wanted: PlayLogs) -> Result<LogPage> {
        let query = LogQuery {
            limit: page_limit(wanted.limit)?,
            stream: wanted.stream,
            text: wanted.query.as_deref().map(matcher).transpose()?,
            cursor: wanted.cursor,
            backwards: wanted.backwards,
            of: match wanted.span_id {
                Some(span) => self.logs_of(&wanted.play_sid, span, wanted.below).await?,
                None if wanted.below => {
                    return Err(Error::invalid_input(
                        "below is given without span_id: say below which span",
                    ));
                }
                None => LogsOf::Play,
            },
        };
        let page = self.store().logs(&wanted.play_sid, query).await?;
        page.ok_or_else(|| Error::not_found("play", &wanted.play_sid))
    }

    async fn logs_of(&self, play: &PlaySid, span: SpanId, below: bool) -> Result<LogsOf> {
        let (ord, held) = self.find_span(play, &span).await?;
        match (ord, below) {
            (0, true) => Ok(LogsOf::Play),
            (0, false) => Ok(LogsOf::Root(span)),
            (_, false) => Ok(LogsOf::Span(span)),
            (_, true) => {
                let of_it = tokio::task::spawn_blocking(move || of_tree(ord, held));
                of_it.await.map_err(|error| {
                    Error::internal(format!("what is below span {span} can't be told: {error}"))
                })
            }
        }
    }

    /// The spans whose name, tags, error or logs contain a text, in start order.
    ///
    /// # Errors
    /// `not_found`, `invalid_input` (query, limit), `unavailable`.
    pub async fn play_find(&self, wanted: PlayFind) -> Result<Vec<SpanMatch>> {
        let play = &wanted.play_sid;
        let limit = page_limit(wanted.limit)?;
        let text = matcher(&wanted.query)?;
        let logged = Arc::new(self.who_logged(play, &text).await?);
        let mut found = Vec::new();
        let mut after = None;
        while found.len() < limit as usize {
            let left = limit - u32::try_from(found.len()).unwrap_or(limit);
            let wanted = FindSpans {
                text: text.clone(),
                logged: logged.clone(),
                after,
                limit: left,
            };
            let mut some = self.store().find_spans(play, wanted).await?;
            found.append(&mut some.matches);
            after = some.next;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The spans of which a log contains a text; `""` for what was written before the first.
    async fn who_logged(&self, play: &PlaySid, text: &Matcher) -> Result<HashSet<SpanId>> {
        let mut query = LogQuery {
            of: LogsOf::Play,
            stream: None,
            text: Some(text.clone()),
            cursor: None,
            limit: SEARCHED_AT_ONCE,
            backwards: false,
        };
        let mut who = HashSet::new();
        loop {
            let page = self.store().logs(play, query.clone()).await?;
            let page = page.ok_or_else(|| Error::not_found("play", play))?;
            who.extend(page.items.into_iter().map(|entry| entry.log.span_id));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                return Ok(who);
            }
        }
    }
}

/// The logs of a span and of all below it.
fn of_tree(top: u32, held: Whole) -> LogsOf {
    let mut within = vec![false; held.outline.len()];
    for (at, parent) in held.outline.parents().iter().enumerate() {
        // A parent stands before its children.
        within[at] = at == top as usize || (*parent != NONE && within[*parent as usize]);
    }
    LogsOf::Such(Arc::new(move |span_id| {
        let ord = held.outline.find(span_id);
        ord.is_some_and(|ord| within.get(ord as usize).is_some_and(|within| *within))
    }))
}

fn check(window: &PlayWindow) -> Result<()> {
    let PlayWindow { rows, pixels, .. } = *window;
    let (from, to) = (window.from_ms, window.to_ms);
    let open = window.open.len();
    let wrong = if !(from.is_finite() && to.is_finite() && from < to) {
        format!("from_ms is {from} and to_ms is {to}; a window begins before it ends")
    } else if rows > MAX_ROWS || pixels == 0 || pixels > MAX_PIXELS || rows * pixels > MAX_CELLS {
        format!(
            "{rows} rows of {pixels} pixels are asked for; a window has at most {MAX_ROWS} rows and 1 to \
             {MAX_PIXELS} pixels, {MAX_CELLS} in all"
        )
    } else if open > MAX_OPEN {
        format!("{open} spans are open; at most {MAX_OPEN} can be")
    } else {
        return Ok(());
    };
    Err(Error::invalid_input(wrong))
}

fn matcher(query: &str) -> Result<Matcher> {
    match query.len() {
        0 => Err(Error::invalid_input(
            "query is empty; give the text to search for",
        )),
        length if length > MAX_QUERY => Err(Error::invalid_input(format!(
            "query has {length} bytes; at most {MAX_QUERY} are searched for"
        ))),
        _ => Ok(Matcher::new(query)),
    }
}
