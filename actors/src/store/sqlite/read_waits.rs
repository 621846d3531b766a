//! What plays wait for. As [`super::read`].

use protocol::{
    EpochMs, PlaySid, Signal, WaitToken,
    overview::{Question, QuestionList, QuestionPage},
    rpc::DEFAULT_PAGE,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{PAGE_BYTES, StoredPlay, Waiting, Wake, cursor},
    failure::Outcome,
    read::{self, play_id},
    rows::{self, WAIT},
};

/// The questions that must find their rows by an index; a test looks at their plans.
pub(super) mod sql {
    pub(in super::super) const WAKES: &str = "SELECT w.wake_at, p.sid, w.key \
         FROM waits w INDEXED BY waits_by_time CROSS JOIN plays p ON p.id = w.play_id \
         WHERE w.wake_at IS NOT NULL ORDER BY w.wake_at LIMIT ?1";
    pub(in super::super) const OF_CHILD: &str = "SELECT p.sid, w.key FROM waits w \
         INDEXED BY waits_by_child CROSS JOIN plays p ON p.id = w.play_id WHERE w.child = ?1";
    pub(in super::super) const FOR_ENDED: &str = "SELECT p.sid, w.key FROM waits w \
         INDEXED BY waits_by_child CROSS JOIN plays c ON c.sid = w.child \
         CROSS JOIN plays p ON p.id = w.play_id \
         WHERE w.child IS NOT NULL AND c.completed_at IS NOT NULL LIMIT ?1";
    pub(in super::super) const ASKED: &str = "SELECT w.created_at, p.sid, w.key, p.workflow_name, w.name, w.schema, w.ui, \
         w.span_id, w.wake_at, w.answer FROM waits w INDEXED BY waits_asked \
         CROSS JOIN plays p ON p.id = w.play_id WHERE w.kind = 'ask' AND w.created_at >= ?1 \
         AND (w.created_at, p.sid, w.key) > (?1, ?2, ?3) ORDER BY w.created_at, p.sid, w.key";
    pub(in super::super) const OF_TOKEN: &str =
        "SELECT p.sid, w.key FROM waits w JOIN plays p ON p.id = w.play_id WHERE w.token = ?1";
}

pub(super) fn waiting(connection: &Connection, sid: &PlaySid) -> Outcome<Waiting> {
    let Some(id) = play_id(connection, sid)? else {
        return Ok(Waiting::default());
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {WAIT} FROM waits WHERE play_id = ?1 ORDER BY created_at, key"
    ))?;
    let waits = statement.query_map([id], rows::wait)?;
    let waits = waits.collect::<Result<_, _>>()?;
    let mut statement = connection
        .prepare_cached("SELECT id, name, data FROM signals WHERE play_id = ?1 ORDER BY id")?;
    let signals = statement.query_map([id], |row| {
        Ok(Signal {
            id: row.get(0)?,
            name: row.get(1)?,
            data: row.get(2)?,
        })
    })?;
    let signals = signals.collect::<Result<_, _>>()?;
    Ok(Waiting { waits, signals })
}

/// The caller reads in one transaction.
pub(super) fn resting_play(connection: &Connection, sid: &PlaySid) -> Outcome<Option<StoredPlay>> {
    let Some(mut stored) = read::stored_play(connection, sid)? else {
        return Ok(None);
    };
    stored.past.waiting = waiting(connection, sid)?;
    stored.past.open = read::open_spans(connection, sid)?;
    Ok(Some(stored))
}

pub(super) fn wakes(connection: &Connection, limit: u32) -> Outcome<Vec<Wake>> {
    let mut statement = connection.prepare_cached(sql::WAKES)?;
    let wakes = statement.query_map([limit], |row| {
        Ok(Wake {
            at: EpochMs(row.get(0)?),
            play: rows::id(row, 1)?,
            key: row.get(2)?,
        })
    })?;
    Ok(wakes.collect::<Result<_, _>>()?)
}

pub(super) fn of_child(
    connection: &Connection,
    child: &PlaySid,
) -> Outcome<Option<(PlaySid, Box<str>)>> {
    Ok(connection
        .prepare_cached(sql::OF_CHILD)?
        .query_row([child.as_str()], |row| Ok((rows::id(row, 0)?, row.get(1)?)))
        .optional()?)
}

pub(super) fn for_ended(connection: &Connection, limit: u32) -> Outcome<Vec<(PlaySid, Box<str>)>> {
    let mut statement = connection.prepare_cached(sql::FOR_ENDED)?;
    let waits = statement.query_map([limit], |row| Ok((rows::id(row, 0)?, row.get(1)?)))?;
    Ok(waits.collect::<Result<_, _>>()?)
}

pub(super) fn of_token(
    connection: &Connection,
    token: &WaitToken,
) -> Outcome<Option<(PlaySid, Box<str>)>> {
    Ok(connection
        .prepare_cached(sql::OF_TOKEN)?
        .query_row(params![token.as_str()], |row| {
            Ok((rows::id(row, 0)?, row.get(1)?))
        })
        .optional()?)
}

pub(super) fn questions(connection: &Connection, query: &QuestionList) -> Outcome<QuestionPage> {
    let after = cursor::Asked::read(query.cursor.as_deref())?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE) as usize;
    let mut page = QuestionPage {
        items: Vec::new(),
        next_cursor: None,
    };
    if limit == 0 {
        return Ok(page);
    }
    let (created_at, play, key) = match &after {
        Some(after) => (after.created_at, after.play.as_str(), after.key.as_str()),
        None => (f64::MIN, "", ""),
    };
    let mut statement = connection.prepare_cached(sql::ASKED)?;
    let mut found = statement.query(params![created_at, play, key])?;
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        for long in [5, 6, 9] {
            bytes += rows::text_option(row, long)?.map_or(0, str::len);
        }
        if page.items.len() == limit || (bytes > PAGE_BYTES && !page.items.is_empty()) {
            page.next_cursor = page.items.last().map(cursor::of_question);
            break;
        }
        page.items.push(Question {
            created_at: EpochMs(row.get(0)?),
            play_sid: rows::id(row, 1)?,
            id: row.get(2)?,
            workflow_name: row.get(3)?,
            name: row.get(4)?,
            schema: rows::json_option(row, 5)?,
            ui: rows::json_option(row, 6)?,
            span_id: rows::id(row, 7)?,
            wake_at: row.get::<_, Option<f64>>(8)?.map(EpochMs),
            default: row.get(9)?,
        });
    }
    Ok(page)
}
