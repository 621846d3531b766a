//! Questions about what is in a play: how its logs and spans are looked through. The same in every
//! backend, which only gives the rows.

use std::{collections::HashSet, fmt, sync::Arc};

use protocol::{
    Log, LogStream, SpanId,
    reading::{LogEntry, LogPage, MatchPlace, SpanMatch},
};

use super::{Seq, cursor};
use crate::matching::Matcher;

/// A page of logs is full with so many bytes of text …
const PAGE_BYTES: usize = 8 << 20;
/// … and ends where so many pieces were looked at.
const LOOKED_AT: usize = 200_000;

/// Which logs of a play.
#[derive(Clone, Debug)]
pub struct LogQuery {
    pub of: LogsOf,
    pub stream: Option<LogStream>,
    pub text: Option<Matcher>,
    pub cursor: Option<String>,
    pub limit: u32,
    pub backwards: bool,
}

/// Whose logs.
#[derive(Clone)]
pub enum LogsOf {
    Play,
    Span(SpanId),
    /// Of the root: with what was written before the first span.
    Root(SpanId),
    /// Of spans that are such.
    Such(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for LogsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Play => f.write_str("Play"),
            Self::Span(id) => write!(f, "Span({id})"),
            Self::Root(id) => write!(f, "Root({id})"),
            Self::Such(_) => f.write_str("Such"),
        }
    }
}

impl LogsOf {
    pub(super) fn has(&self, span_id: &str) -> bool {
        match self {
            Self::Play => true,
            Self::Span(id) => id.as_str() == span_id,
            Self::Root(id) => id.as_str() == span_id || span_id.is_empty(),
            Self::Such(such) => such(span_id),
        }
    }
}

impl LogQuery {
    /// Whether every log of whom it is about is wanted: then they can be counted without being read.
    pub(super) fn is_whole(&self) -> bool {
        self.cursor.is_none() && self.stream.is_none() && self.text.is_none()
    }

    fn wants(&self, log: &Log) -> bool {
        self.stream.is_none_or(|stream| stream == log.stream)
            && self.of.has(log.span_id.as_str())
            && (self.text.as_ref()).is_none_or(|text| text.is_in(&log.text))
    }
}

/// A page of logs in the making.
pub(super) struct LogPager<'q> {
    query: &'q LogQuery,
    page: LogPage,
    bytes: usize,
    looked_at: usize,
    last: Seq,
}

impl<'q> LogPager<'q> {
    pub(super) fn new(query: &'q LogQuery) -> Self {
        Self {
            query,
            page: LogPage::default(),
            bytes: 0,
            looked_at: 0,
            last: 0,
        }
    }

    /// Takes the next log, in the order asked for. `false`: the page had ended before it.
    pub(super) fn take(&mut self, seq: Seq, log: Log) -> bool {
        let items = &mut self.page.items;
        if items.len() >= self.query.limit as usize
            || self.looked_at >= LOOKED_AT
            || (self.bytes >= PAGE_BYTES && !items.is_empty())
        {
            if self.query.limit > 0 {
                self.page.next_cursor = Some(cursor::of_log(self.last));
            }
            return false;
        }
        self.looked_at += 1;
        self.last = seq;
        if self.query.wants(&log) {
            self.bytes += log.text.len();
            items.push(LogEntry { seq, log });
        }
        true
    }

    pub(super) fn page(self, total: Option<u64>) -> LogPage {
        LogPage { total, ..self.page }
    }
}

/// Which spans of a play.
#[derive(Clone, Debug)]
pub struct FindSpans {
    pub text: Matcher,
    /// Spans of which a log contains it; `""`: the root.
    pub logged: Arc<HashSet<SpanId>>,
    /// Behind this ordinal.
    pub after: Option<u64>,
    pub limit: u32,
}

/// Some of the spans that were looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundSpans {
    pub matches: Vec<SpanMatch>,
    /// The ordinal that was looked at last, where there are further ones.
    pub next: Option<u64>,
}

impl FindSpans {
    /// Where in a span the text is.
    pub(super) fn place(
        &self,
        ord: u64,
        span_id: &str,
        name: &str,
        tags: Option<&str>,
        error: Option<&str>,
    ) -> Option<MatchPlace> {
        let is_in = |text: Option<&str>| text.is_some_and(|text| self.text.is_in(text));
        if is_in(Some(name)) {
            Some(MatchPlace::Name)
        } else if is_in(tags) {
            Some(MatchPlace::Tag)
        } else if is_in(error) {
            Some(MatchPlace::Error)
        } else {
            let logged = |id: &str| self.logged.contains(&SpanId::from(id));
            let any = !self.logged.is_empty() && (logged(span_id) || (ord == 0 && logged("")));
            any.then_some(MatchPlace::Log)
        }
    }
}
