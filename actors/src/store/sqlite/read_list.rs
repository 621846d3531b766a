//! Lists of plays, and what of them is counted. As [`super::read`].
//!
//! Which index a list goes through is said here, not left to the planner: what it filters by is all in that index, so
//! that no row is read that is not shown. Only a text is searched for in the rows themselves, some thousand plays in one
//! reading: then other readings have their turn.

use protocol::{
    EpochMs, Play, PlayStatus, PlaySummary,
    rpc::{DEFAULT_PAGE, Page, PlayList, PlayPage, SummaryPage},
    summary,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use super::{
    super::{
        PAGE_BYTES, Seq, cursor,
        listing::{FactPage, ListBody, ListChange, PlayFacts, Sought, statuses},
    },
    failure::Outcome,
    rows::{self, JOINED, PLAY, SUMMARY, WORKFLOW, play_bytes, unsigned},
};

/// In how many plays one reading looks for a text.
const LOOKED_AT: u32 = if cfg!(test) { 3 } else { 10_000 };
/// How many plays one reading tells the facts of.
const FACTS: usize = if cfg!(test) { 5 } else { 50_000 };

/// The questions that must find their rows by an index; a test looks at their plans.
pub(super) mod sql {
    use super::SUMMARY;

    pub(in super::super) const FLOOR: &str = "SELECT sid FROM plays INDEXED BY plays_listed WHERE sid < ?1 \
         ORDER BY sid DESC LIMIT 1 OFFSET ?2";
    pub(in super::super) const WAITS_FOR: &str = "SELECT kind, name, wake_at FROM waits WHERE play_id = ?1 \
         ORDER BY created_at, key LIMIT ?2";

    pub(in super::super) fn changed_plays() -> String {
        format!(
            "SELECT {SUMMARY}, p.seq FROM plays p INDEXED BY plays_by_change \
             WHERE p.seq > ?1 ORDER BY p.seq LIMIT ?2"
        )
    }
}

/// Which plays are wanted, and how they are found.
struct Wanted {
    index: &'static str,
    conditions: String,
    values: Vec<Value>,
    text: Option<Sought>,
    /// None can be one of them.
    none: bool,
}

impl Wanted {
    fn of(query: &PlayList) -> Outcome<Self> {
        let statuses = statuses(query);
        let mut wanted = Self {
            index: index(query, statuses.as_deref()),
            conditions: String::from("1"),
            values: Vec::new(),
            text: Sought::of(query)?,
            none: statuses.as_ref().is_some_and(Vec::is_empty),
        };
        if let Some(workflow) = &query.workflow_sid {
            wanted.such("p.workflow_sid = ?", workflow.as_str().to_owned());
        }
        if let Some(parent) = &query.parent_play_sid {
            wanted.such("p.parent_play_sid = ?", parent.as_str().to_owned());
        }
        match statuses.as_deref() {
            Some([one]) => wanted.such("p.status = ?", one.as_str().to_owned()),
            Some(several) => {
                let words: Vec<_> = several
                    .iter()
                    .map(|s| format!("'{}'", s.as_str()))
                    .collect();
                let condition = format!(" AND p.status IN ({})", words.join(", "));
                wanted.conditions.push_str(&condition);
            }
            None => {}
        }
        if query.top_level {
            wanted.conditions.push_str(" AND p.depth = 1");
        }
        if let Some(from) = query.created_from {
            wanted.such("p.created_at >= ?", from.0);
        }
        if let Some(before) = query.created_before {
            wanted.such("p.created_at < ?", before.0);
        }
        if let Some(after) = cursor::play(query.cursor.as_deref())? {
            wanted.such("p.sid < ?", after.as_str().to_owned());
        }
        Ok(wanted)
    }

    fn such(&mut self, condition: &str, value: impl Into<Value>) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.values.push(value.into());
    }

    /// Where a text is searched for, up to which play this reading looks.
    fn bounded(&mut self, connection: &Connection, query: &PlayList) -> Outcome<Option<String>> {
        if self.text.is_none() {
            return Ok(None);
        }
        let after = cursor::play(query.cursor.as_deref())?;
        // Behind every sid.
        let after = after.as_ref().map_or("\u{10FFFF}", |sid| sid.as_str());
        let floor: Option<String> = connection
            .prepare_cached(sql::FLOOR)?
            .query_row(params![after, LOOKED_AT - 1], rows::first)
            .optional()?;
        if let Some(floor) = &floor {
            self.such("p.sid >= ?", floor.clone());
        }
        Ok(floor)
    }

    /// The statement; behind the columns that are asked for come the sid and the texts.
    fn sql(&self, columns: &str, joined: &str) -> String {
        let texts = match self.text {
            Some(_) => ", p.workflow_name, p.flow_name, p.cause_message",
            None => "",
        };
        format!(
            "SELECT {columns}, p.sid{texts} FROM plays p INDEXED BY {} {joined} WHERE {} ORDER BY p.sid DESC",
            self.index, self.conditions
        )
    }
}

/// The index that leads to the fewest plays. One status alone leads to few where the play has not ended, or where there
/// is nothing else to be looked at.
fn index(query: &PlayList, statuses: Option<&[PlayStatus]>) -> &'static str {
    let only = !query.top_level && query.created_from.is_none() && query.created_before.is_none();
    match statuses {
        _ if query.parent_play_sid.is_some() => "plays_by_parent",
        _ if query.workflow_sid.is_some() => "plays_by_workflow",
        Some([one]) if only || !one.is_terminal() => "plays_by_status",
        _ => "plays_listed",
    }
}

pub(super) fn plays(connection: &Connection, query: &PlayList) -> Outcome<PlayPage> {
    let mut bytes = 0;
    let fits = |row: &Row<'_>| -> Outcome<bool> {
        bytes += play_bytes(connection, row)?;
        Ok(bytes <= PAGE_BYTES)
    };
    let limit = query.limit.unwrap_or(DEFAULT_PAGE) as usize;
    let read = |row: &Row<'_>| -> Outcome<Play> { Ok(rows::play(connection, row)?) };
    list(connection, query, (PLAY, JOINED), limit, fits, read)
}

pub(super) fn summaries(connection: &Connection, query: &PlayList) -> Outcome<SummaryPage> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE) as usize;
    let read = |row: &Row<'_>| summary_of(connection, row);
    list(connection, query, (SUMMARY, ""), limit, |_| Ok(true), read)
}

pub(super) fn facts(connection: &Connection, query: &PlayList) -> Outcome<FactPage> {
    let read = |row: &Row<'_>| -> Outcome<PlayFacts> {
        Ok(PlayFacts {
            created_at: EpochMs(row.get(0)?),
            status: rows::word(row, 1, PlayStatus::parse)?,
            duration_ms: row.get(2)?,
        })
    };
    let columns = "p.created_at, p.status, p.duration_ms";
    list(connection, query, (columns, ""), FACTS, |_| Ok(true), read)
}

/// A page of what is read of each play that is wanted.
fn list<T>(
    connection: &Connection,
    query: &PlayList,
    (columns, joined): (&str, &str),
    limit: usize,
    mut fits: impl FnMut(&Row<'_>) -> Outcome<bool>,
    mut read: impl FnMut(&Row<'_>) -> Outcome<T>,
) -> Outcome<Page<T>> {
    let mut wanted = Wanted::of(query)?;
    let mut page = Page {
        items: Vec::new(),
        next_cursor: None,
    };
    if limit == 0 || wanted.none {
        return Ok(page);
    }
    let floor = wanted.bounded(connection, query)?;
    let mut statement = connection.prepare_cached(&wanted.sql(columns, joined))?;
    let texts = if wanted.text.is_some() { 3 } else { 0 };
    let sid = statement.column_count() - 1 - texts;
    // No LIMIT: rows are read one by one until the page is full.
    let mut found = statement.query(params_from_iter(&wanted.values))?;
    let mut last = String::new();
    while let Some(row) = found.next()? {
        if let Some(text) = &wanted.text
            && !text.is_in(rows::text(row, sid)?, texts_of(row, sid + 1)?)
        {
            continue;
        }
        if page.items.len() == limit || !(fits(row)? || page.items.is_empty()) {
            page.next_cursor = Some(cursor::of_play(&last.as_str().into()));
            return Ok(page);
        }
        page.items.push(read(row)?);
        last.clear();
        last.push_str(rows::text(row, sid)?);
    }
    page.next_cursor = floor.map(|floor| cursor::of_play(&floor.as_str().into()));
    Ok(page)
}

/// The texts that a play is found by.
fn texts_of<'r>(row: &'r Row<'_>, first: usize) -> Outcome<impl Iterator<Item = &'r str>> {
    let texts = [
        rows::text_option(row, first)?,
        rows::text_option(row, first + 1)?,
        rows::text_option(row, first + 2)?,
    ];
    Ok(texts.into_iter().flatten())
}

/// Reads [`SUMMARY`], with what the play waits for.
fn summary_of(connection: &Connection, row: &Row<'_>) -> Outcome<PlaySummary> {
    let (id, mut summary) = rows::summary(row)?;
    if summary.status == PlayStatus::AwaitingResume {
        let mut statement = connection.prepare_cached(sql::WAITS_FOR)?;
        let waits = statement.query_map(params![id, summary::WAITS], rows::waits_for)?;
        summary.waits_for = waits.collect::<Result<_, _>>()?;
    }
    Ok(summary)
}

pub(super) fn changes(connection: &Connection, after: Seq, limit: u32) -> Outcome<Vec<ListChange>> {
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(&sql::changed_plays())?;
    let seq = statement.column_count() - 1;
    let mut found = statement.query(params![after, limit])?;
    let mut changes = Vec::new();
    while let Some(row) = found.next()? {
        changes.push(ListChange {
            seq: unsigned(row, seq)?,
            body: ListBody::Play(Box::new(summary_of(connection, row)?)),
        });
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {WORKFLOW}, deleted FROM workflows WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    ))?;
    let deleted = statement.column_count() - 1;
    let workflows = statement.query_map(params![after, limit], |row| {
        let (seq, workflow) = rows::workflow(row)?;
        let body = ListBody::Workflow {
            workflow: Box::new(workflow),
            deleted: row.get(deleted)?,
        };
        Ok(ListChange { seq, body })
    })?;
    for change in workflows {
        changes.push(change?);
    }
    changes.sort_unstable_by_key(|change| change.seq);
    changes.truncate(limit as usize);
    Ok(changes)
}
