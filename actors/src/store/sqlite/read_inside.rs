//! The reads of what is in one play: its outline, a span, its logs.

use protocol::{
    EpochMs, PlaySid, PlayStatus, SpanKind, SpanStatus,
    play::PlayBrief,
    reading::{LogPage, SpanDetail, SpanMatch},
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use super::{
    super::{
        FindSpans, FoundSpans, LogQuery, LogsOf, Outline, Progress, Seq, cursor,
        inside::LogPager,
        outline::{OutlineRow, flags},
    },
    failure::Outcome,
    read::{last_seq, play_id},
    rows::{self, LOG, SPAN},
};

/// The questions that must find their rows by an index; a test looks at their plans.
pub(super) mod sql {
    /// What an outline has of a span.
    const OUTLINE: &str = "ord, span_id, parent_id, name, kind, status, start_ms, end_ms, \
         tags IS NOT NULL, error IS NOT NULL, child_play_sid";

    pub(in super::super) fn outline_from() -> String {
        format!(
            "SELECT {OUTLINE} FROM spans WHERE play_id = ?1 AND ord >= ?2 ORDER BY ord LIMIT ?3"
        )
    }

    pub(in super::super) fn outline_changed() -> String {
        format!(
            "SELECT {OUTLINE}, seq FROM spans WHERE play_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
        )
    }

    pub(in super::super) const WHO_LOGGED: &str =
        "SELECT DISTINCT span_id FROM logs INDEXED BY logs_by_span WHERE play_id = ?1";

    pub(in super::super) const WHO_LOGGED_SINCE: &str =
        "SELECT span_id FROM logs WHERE play_id = ?1 AND seq > ?2 AND seq <= ?3";

    pub(in super::super) const LOGGED: &str = "SELECT count(*), coalesce(sum(octet_length(text)), 0) \
         FROM logs INDEXED BY logs_by_span WHERE play_id = ?1 AND span_id = ?2";
}

pub(super) fn outline(
    connection: &Connection,
    sid: &PlaySid,
    mut outline: Outline,
    limit: u32,
) -> Outcome<Option<Outline>> {
    let Some((id, play)) = brief(connection, sid)? else {
        return Ok(None);
    };
    let now = last_seq(connection)?;
    outline.of(play);
    let whole = match outline.progress {
        Progress::New | Progress::Loading(_) => load(connection, id, &mut outline, now, limit)?,
        Progress::Behind(after) | Progress::Current(after) => {
            catch_up(connection, id, &mut outline, after, limit)?
        }
    };
    if whole {
        outline.settle();
        outline.progress = Progress::Current(now);
    }
    Ok(Some(outline))
}

/// Further spans in start order. Whether all are there, as they now stand.
fn load(
    connection: &Connection,
    id: i64,
    outline: &mut Outline,
    now: Seq,
    limit: u32,
) -> Outcome<bool> {
    let begun = match outline.progress {
        Progress::Loading(begun) => begun,
        _ => now,
    };
    if outline.progress == Progress::New {
        outline.expected = connection
            .prepare_cached("SELECT coalesce(1 + max(ord), 0) FROM spans WHERE play_id = ?1")?
            .query_row([id], |row| rows::unsigned(row, 0))?;
    }
    let mut statement = connection.prepare_cached(&sql::outline_from())?;
    let from = i64::try_from(outline.len()).unwrap_or(i64::MAX);
    let mut found = statement.query(params![id, from, limit])?;
    let mut count = 0;
    while let Some(row) = found.next()? {
        put(outline, row)?;
        count += 1;
    }
    if count >= limit {
        outline.progress = Progress::Loading(begun);
        return Ok(false);
    }
    each_id(connection, sql::WHO_LOGGED, &[&id], |span| {
        outline.flag(span, flags::LOGS);
    })?;
    mark_durable(connection, id, outline)?;
    outline.progress = Progress::Behind(begun);
    // What came earlier in the same transaction is as it now stands.
    Ok(begun == now)
}

/// What changed since. Whether that is all.
fn catch_up(
    connection: &Connection,
    id: i64,
    outline: &mut Outline,
    after: Seq,
    limit: u32,
) -> Outcome<bool> {
    let mut statement = connection.prepare_cached(&sql::outline_changed())?;
    let mut found = statement.query(params![id, after.cast_signed(), limit])?;
    let (mut count, mut last) = (0, after);
    while let Some(row) = found.next()? {
        put(outline, row)?;
        last = rows::unsigned(row, 11)?;
        count += 1;
    }
    let whole = count < limit;
    let until = if whole { i64::MAX } else { last.cast_signed() };
    let values: [&dyn ToSql; 3] = [&id, &after.cast_signed(), &until];
    each_id(connection, sql::WHO_LOGGED_SINCE, &values, |span| {
        outline.flag(span, flags::LOGS);
    })?;
    if !whole {
        outline.progress = Progress::Behind(last);
    } else if count > 0 {
        mark_durable(connection, id, outline)?;
    }
    Ok(whole)
}

fn put(outline: &mut Outline, row: &Row<'_>) -> Outcome<()> {
    outline.put(&OutlineRow {
        ord: rows::unsigned(row, 0)?,
        span_id: rows::text(row, 1)?,
        parent_id: rows::text(row, 2)?,
        name: rows::text(row, 3)?,
        kind: SpanKind::parse(rows::text(row, 4)?),
        status: rows::word(row, 5, SpanStatus::parse)?,
        start_ms: row.get(6)?,
        end_ms: row.get(7)?,
        has_tags: row.get(8)?,
        has_error: row.get(9)?,
        child_play: rows::text_option(row, 10)?,
    });
    Ok(())
}

/// Steps have no number of their change, and there are few beside the spans of a large play.
fn mark_durable(connection: &Connection, id: i64, outline: &mut Outline) -> Outcome<()> {
    let sql = "SELECT span_id FROM steps WHERE play_id = ?1";
    each_id(connection, sql, &[&id], |span| {
        outline.flag(span, flags::DURABLE)
    })
}

fn each_id(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    mut tell: impl FnMut(&str),
) -> Outcome<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(values)?;
    while let Some(row) = found.next()? {
        tell(rows::text(row, 0)?);
    }
    Ok(())
}

/// The play's number, and its short form.
fn brief(connection: &Connection, sid: &PlaySid) -> Outcome<Option<(i64, PlayBrief)>> {
    Ok(connection
        .prepare_cached(
            "SELECT id, sid, status, cause, created_at, started_at, completed_at, duration_ms \
             FROM plays WHERE sid = ?1",
        )?
        .query_row([sid.as_str()], |row| {
            let time = |column| row.get::<_, Option<f64>>(column);
            let brief = PlayBrief {
                sid: rows::id(row, 1)?,
                status: rows::word(row, 2, PlayStatus::parse)?,
                cause: rows::json_option(row, 3)?,
                created_at: EpochMs(row.get(4)?),
                started_at: time(5)?.map(EpochMs),
                completed_at: time(6)?.map(EpochMs),
                duration_ms: row.get(7)?,
            };
            Ok((row.get(0)?, brief))
        })
        .optional()?)
}

pub(super) fn span(
    connection: &Connection,
    sid: &PlaySid,
    ord: u64,
) -> Outcome<Option<SpanDetail>> {
    let Some(id) = play_id(connection, sid)? else {
        return Ok(None);
    };
    let span = connection
        .prepare_cached(&format!(
            "SELECT {SPAN} FROM spans WHERE play_id = ?1 AND ord = ?2"
        ))?
        .query_row(params![id, ord.cast_signed()], |row| Ok(rows::span(row)?.2))
        .optional()?;
    let Some(span) = span else {
        return Ok(None);
    };
    let (mut log_count, mut log_bytes) = logged(connection, id, span.span_id.as_str())?;
    if ord == 0 {
        let early = logged(connection, id, "")?;
        (log_count, log_bytes) = (log_count + early.0, log_bytes + early.1);
    }
    Ok(Some(SpanDetail {
        span,
        log_count,
        log_bytes,
    }))
}

/// How many logs of a span there are, and their bytes.
fn logged(connection: &Connection, id: i64, span_id: &str) -> Outcome<(u64, u64)> {
    Ok(connection
        .prepare_cached(sql::LOGGED)?
        .query_row(params![id, span_id], |row| {
            Ok((rows::unsigned(row, 0)?, rows::unsigned(row, 1)?))
        })?)
}

pub(super) fn logs(
    connection: &Connection,
    sid: &PlaySid,
    query: &LogQuery,
) -> Outcome<Option<LogPage>> {
    let behind = cursor::log(query.cursor.as_deref())?;
    let Some(id) = play_id(connection, sid)? else {
        return Ok(None);
    };
    let total = match &query.of {
        _ if !query.is_whole() => None,
        LogsOf::Play => Some(
            connection
                .prepare_cached("SELECT count(*) FROM logs WHERE play_id = ?1")?
                .query_row([id], |row| rows::unsigned(row, 0))?,
        ),
        LogsOf::Span(span) => Some(logged(connection, id, span.as_str())?.0),
        LogsOf::Root(span) => {
            let early = logged(connection, id, "")?.0;
            Some(logged(connection, id, span.as_str())?.0 + early)
        }
        LogsOf::Such(_) => None,
    };
    let (compared, order, start) = if query.backwards {
        ("<", "DESC", i64::MAX)
    } else {
        (">", "ASC", -1)
    };
    let start = behind.map_or(start, Seq::cast_signed);
    let mut values: Vec<&dyn ToSql> = vec![&id, &start];
    // Named, since the planner would go through all logs of the play.
    let (index, of_span, span);
    if let LogsOf::Span(only) = &query.of {
        span = only.as_str();
        values.push(&span);
        (index, of_span) = ("INDEXED BY logs_by_span", " AND span_id = ?3");
    } else {
        (index, of_span) = ("", "");
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {LOG} FROM logs {index} WHERE play_id = ?1 AND seq {compared} ?2{of_span} \
         ORDER BY seq {order}"
    ))?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut pager = LogPager::new(query);
    while let Some(row) = found.next()? {
        let (seq, log) = rows::log(row)?;
        if !pager.take(seq, log) {
            break;
        }
    }
    Ok(Some(pager.page(total)))
}

/// How many spans are looked at, at a time.
const LOOKED_AT: usize = 50_000;

pub(super) fn find_spans(
    connection: &Connection,
    sid: &PlaySid,
    wanted: &FindSpans,
) -> Outcome<FoundSpans> {
    let mut all = FoundSpans::default();
    let Some(id) = play_id(connection, sid)? else {
        return Ok(all);
    };
    let mut statement = connection.prepare_cached(
        "SELECT ord, span_id, name, tags, error FROM spans WHERE play_id = ?1 AND ord > ?2 ORDER BY ord",
    )?;
    let after = wanted.after.map_or(-1, u64::cast_signed);
    let mut found = statement.query(params![id, after])?;
    let mut looked_at = 0;
    let mut last = 0;
    while let Some(row) = found.next()? {
        if looked_at == LOOKED_AT || all.matches.len() >= wanted.limit as usize {
            all.next = Some(last);
            break;
        }
        looked_at += 1;
        last = rows::unsigned(row, 0)?;
        let (id, name) = (rows::text(row, 1)?, rows::text(row, 2)?);
        let (tags, error) = (rows::text_option(row, 3)?, rows::text_option(row, 4)?);
        if let Some(place) = wanted.place(last, id, name, tags, error) {
            let span_id = id.into();
            all.matches.push(SpanMatch { span_id, place });
        }
    }
    Ok(all)
}
