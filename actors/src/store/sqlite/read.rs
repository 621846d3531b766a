//! The reads. Each runs in one read transaction, so what it answers stood together at one moment.

use std::{array::from_fn, sync::Arc};

use protocol::{
    Log, Play, PlaySid, PlayStatus, ProcessId, Span, Step, VersionSid, Workflow, WorkflowSid,
    WorkflowVersion,
    rpc::{DEFAULT_PAGE, SpanPage, VersionPage, WorkflowList, WorkflowPage, WorkflowVersionList},
    span::SpanWithLogs,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{
        Change, ChangeBody, LibraryEntry, Past, Seq, Snapshot, StepPage, StoredPlay, Waiting,
        cursor,
    },
    failure::{Outcome, from_json},
    rows::{self, FROM_PLAYS, LOG, PLAY, PLAY_COLUMNS, SPAN, STEP, VERSION, WORKFLOW, unsigned},
};

/// The questions that must find their rows by an index; a test looks at their plans.
pub(super) mod sql {
    use super::{LOG, SPAN};

    pub(in super::super) const WITH_STATUS: &str =
        "SELECT sid FROM plays WHERE status = ?1 AND sid > ?2 ORDER BY sid LIMIT ?3";
    pub(in super::super) const OPEN_CHILDREN: &str = "SELECT sid FROM plays WHERE parent_play_sid = ?1 \
         AND +status IN ('pending', 'running', 'awaiting_resume') ORDER BY sid";

    pub(in super::super) fn spans_after() -> String {
        format!("SELECT {SPAN} FROM spans WHERE play_id = ?1 AND ord > ?2 ORDER BY ord LIMIT ?3")
    }

    pub(in super::super) fn changed_spans() -> String {
        format!("SELECT {SPAN} FROM spans WHERE play_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3")
    }

    /// Named, since the planner would go through all logs of the play.
    pub(in super::super) fn logs_of_span() -> String {
        format!(
            "SELECT {LOG} FROM logs INDEXED BY logs_by_span \
             WHERE play_id = ?1 AND span_id = ?2 ORDER BY seq"
        )
    }

    pub(in super::super) fn changed_logs() -> String {
        format!(
            "SELECT {LOG} FROM logs WHERE play_id = ?1 AND seq > ?2 AND seq < ?3 ORDER BY seq LIMIT ?4"
        )
    }
}

pub(super) fn play(connection: &Connection, sid: &PlaySid) -> Outcome<Option<Play>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {PLAY} {FROM_PLAYS} WHERE p.sid = ?1"))?
        .query_row([sid.as_str()], |row| rows::play(connection, row))
        .optional()?)
}

pub(super) fn play_of_key(connection: &Connection, key: &str) -> Outcome<Option<PlaySid>> {
    Ok(connection
        .prepare_cached("SELECT sid FROM plays WHERE idempotency_key = ?1")?
        .query_row([key], |row| rows::id(row, 0))
        .optional()?)
}

pub(super) fn stored_play(connection: &Connection, sid: &PlaySid) -> Outcome<Option<StoredPlay>> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {PLAY}, p.launch, p.depth, p.pid, p.process_started, \
             (SELECT 1 + max(s.ord) FROM spans s WHERE s.play_id = p.id), p.recoveries, EXISTS (SELECT 1 FROM steps t WHERE t.play_id = p.id) {FROM_PLAYS} WHERE p.sid = ?1"
        ))?
        .query_row([sid.as_str()], |row| {
            let [launch, depth, pid, started, spans, recoveries, durable] = from_fn(|n| PLAY_COLUMNS + n);
            let pid: Option<u32> = row.get(pid)?;
            let started: Option<i64> = row.get(started)?;
            Ok(StoredPlay {
                play: rows::play(connection, row)?,
                launch: from_json(launch, row.get_ref(launch)?.as_str()?)?,
                depth: row.get(depth)?,
                process: pid.zip(started).map(|(pid, started)| ProcessId {
                    pid,
                    started: started.cast_unsigned(),
                }),
                past: Past {
                    spans: row.get::<_, Option<i64>>(spans)?.unwrap_or(0).cast_unsigned(),
                    durable: row.get(durable)?,
                    recoveries: row.get(recoveries)?,
                    waiting: Waiting::default(),
                    open: Vec::new(),
                },
            })
        })
        .optional()?)
}

pub(super) fn plays_with_status(
    connection: &Connection,
    status: PlayStatus,
    after: Option<&PlaySid>,
    limit: u32,
) -> Outcome<Vec<PlaySid>> {
    let mut statement = connection.prepare_cached(sql::WITH_STATUS)?;
    let after = after.map_or("", PlaySid::as_str);
    let found = statement.query_map(params![status.as_str(), after, limit], |row| {
        rows::id(row, 0)
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn count_plays(connection: &Connection, status: PlayStatus) -> Outcome<u64> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM plays WHERE status = ?1")?
        .query_row([status.as_str()], |row| unsigned(row, 0))?)
}

pub(super) fn open_children(connection: &Connection, sid: &PlaySid) -> Outcome<Vec<PlaySid>> {
    let mut statement = connection.prepare_cached(sql::OPEN_CHILDREN)?;
    let found = statement.query_map([sid.as_str()], |row| rows::id(row, 0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn play_id(connection: &Connection, sid: &PlaySid) -> Outcome<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM plays WHERE sid = ?1")?
        .query_row([sid.as_str()], rows::first)
        .optional()?)
}

pub(super) fn spans(
    connection: &Connection,
    sid: &PlaySid,
    after: Option<&str>,
    limit: u32,
) -> Outcome<Option<SpanPage>> {
    let after = cursor::span(after)?;
    let Some(id) = play_id(connection, sid)? else {
        return Ok(None);
    };
    let mut page = SpanPage {
        spans: Vec::new(),
        next_cursor: None,
    };
    if limit == 0 {
        return Ok(Some(page));
    }
    let mut statement = connection.prepare_cached(&sql::spans_after())?;
    let mut logs = connection.prepare_cached(&sql::logs_of_span())?;
    let mut logs_of = |span_id: &str| -> Outcome<Vec<(Seq, Log)>> {
        let found = logs.query_map(params![id, span_id], rows::log)?;
        Ok(found.collect::<Result<_, _>>()?)
    };
    let after = after.map_or(-1, u64::cast_signed);
    let mut found = statement.query(params![id, after, i64::from(limit) + 1])?;
    let mut last = 0;
    while let Some(row) = found.next()? {
        if page.spans.len() == limit as usize {
            page.next_cursor = Some(cursor::of_span(last));
            break;
        }
        let (_, ord, span) = rows::span(row)?;
        let mut of_span = logs_of(span.span_id.as_str())?;
        if ord == 0 && !span.span_id.as_str().is_empty() {
            of_span.append(&mut logs_of("")?);
            of_span.sort_unstable_by_key(|(seq, _)| *seq);
        }
        let logs = of_span.into_iter().map(|(_, log)| log).collect();
        page.spans.push(SpanWithLogs { span, logs });
        last = ord;
    }
    Ok(Some(page))
}

pub(super) fn open_spans(connection: &Connection, sid: &PlaySid) -> Outcome<Vec<(u64, Span)>> {
    let Some(id) = play_id(connection, sid)? else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SPAN} FROM spans WHERE play_id = ?1 AND status = 'running' ORDER BY ord"
    ))?;
    let spans = statement.query_map([id], |row| {
        rows::span(row).map(|(_, ord, span)| (ord, span))
    })?;
    Ok(spans.collect::<Result<_, _>>()?)
}

/// With so many bytes of results a page of steps is full.
const STEPS_BYTES: usize = 1 << 22;

pub(super) fn steps(
    connection: &Connection,
    sid: &PlaySid,
    after: Option<&str>,
    limit: u32,
) -> Outcome<StepPage> {
    let Some(id) = play_id(connection, sid)? else {
        return Ok(StepPage::default());
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STEP} FROM steps WHERE play_id = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
    ))?;
    let mut found = statement.query(params![id, after.unwrap_or_default(), limit])?;
    let (mut steps, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let step = rows::step(connection, row)?;
        bytes += step.kept.as_ref().map_or(0, |kept| kept.data.len());
        steps.push(step);
        if bytes >= STEPS_BYTES {
            return Ok(StepPage { steps, more: true });
        }
    }
    let more = steps.len() >= limit as usize;
    Ok(StepPage { steps, more })
}

pub(super) fn step(connection: &Connection, sid: &PlaySid, key: &str) -> Outcome<Option<Step>> {
    let Some(id) = play_id(connection, sid)? else {
        return Ok(None);
    };
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {STEP} FROM steps WHERE play_id = ?1 AND key = ?2"
        ))?
        .query_row(params![id, key], |row| rows::step(connection, row))
        .optional()?)
}

pub(super) fn snapshot(connection: &Connection, sid: &PlaySid) -> Outcome<Option<Snapshot>> {
    let (Some(id), Some(play)) = (play_id(connection, sid)?, play(connection, sid)?) else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {SPAN} FROM spans WHERE play_id = ?1 ORDER BY ord"
    ))?;
    let spans = statement
        .query_map([id], |row| Ok(rows::span(row)?.2))?
        .collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {LOG} FROM logs WHERE play_id = ?1 ORDER BY seq"
    ))?;
    let logs = statement
        .query_map([id], |row| Ok(rows::log(row)?.1))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Snapshot {
        play,
        spans,
        logs,
        seq: last_seq(connection)?,
    }))
}

pub(super) fn changes(
    connection: &Connection,
    sid: &PlaySid,
    after: Seq,
    limit: u32,
) -> Outcome<Vec<Change>> {
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let found: Option<(i64, i64)> = connection
        .prepare_cached("SELECT id, seq FROM plays WHERE sid = ?1")?
        .query_row([sid.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, seq)) = found else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(&sql::changed_spans())?;
    let spans: Vec<(Seq, u64, Span)> = statement
        .query_map(params![id, after, limit], rows::span)?
        .collect::<Result<_, _>>()?;
    // Where the limit is reached by spans alone, what is beyond the last of them is not needed.
    let end = match spans.last() {
        Some((seq, ..)) if spans.len() == limit as usize => seq.cast_signed(),
        _ => i64::MAX,
    };
    let mut statement = connection.prepare_cached(&sql::changed_logs())?;
    let logs: Vec<(Seq, Log)> = statement
        .query_map(params![id, after, end, limit], rows::log)?
        .collect::<Result<_, _>>()?;
    let spans = spans.into_iter().map(|(seq, _, span)| Change {
        seq,
        body: ChangeBody::Span(Arc::new(span)),
    });
    let logs = logs.into_iter().map(|(seq, log)| Change {
        seq,
        body: ChangeBody::Log(Arc::new(log)),
    });
    let mut changes: Vec<Change> = spans.chain(logs).collect();
    if seq > after && seq <= end {
        changes.extend(play(connection, sid)?.map(|play| Change {
            seq: seq.cast_unsigned(),
            body: ChangeBody::Play(Arc::new(play)),
        }));
    }
    changes.sort_unstable_by_key(|change| change.seq);
    changes.truncate(limit as usize);
    Ok(changes)
}

pub(super) fn last_seq(connection: &Connection) -> Outcome<Seq> {
    Ok(connection
        .prepare_cached("SELECT seq FROM meta")?
        .query_row([], |row| unsigned(row, 0))?)
}

pub(super) fn knows(connection: &Connection, seq: Seq) -> Outcome<bool> {
    if seq > last_seq(connection)? {
        return Ok(false);
    }
    let lost = connection
        .prepare_cached("SELECT 1 FROM lost WHERE after_seq < ?1 AND until_seq >= ?1")?
        .exists([seq.cast_signed()])?;
    Ok(!lost)
}

pub(super) fn workflow(connection: &Connection, sid: &WorkflowSid) -> Outcome<Option<Workflow>> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {WORKFLOW} FROM workflows WHERE sid = ?1 AND deleted = 0"
        ))?
        .query_row([sid.as_str()], |row| Ok(rows::workflow(row)?.1))
        .optional()?)
}

pub(super) fn workflow_named(connection: &Connection, name: &str) -> Outcome<Option<Workflow>> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {WORKFLOW} FROM workflows WHERE name = ?1 AND deleted = 0"
        ))?
        .query_row([name], |row| Ok(rows::workflow(row)?.1))
        .optional()?)
}

pub(super) fn workflows(connection: &Connection, query: &WorkflowList) -> Outcome<WorkflowPage> {
    let now = last_seq(connection)?;
    let place = cursor::Workflows::read(query.cursor.as_deref(), now)?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    let mut page = WorkflowPage {
        items: Vec::new(),
        next_cursor: None,
    };
    if limit == 0 {
        return Ok(page);
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {WORKFLOW} FROM workflows WHERE deleted = 0 \
         AND seq > ?1 AND seq < ?2 AND created_seq <= ?3 AND (?4 IS NULL OR name = ?4) \
         AND (?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?5)) \
         ORDER BY seq DESC LIMIT ?6"
    ))?;
    let mut between = |floor: Seq, below: Seq, limit: i64| -> Outcome<Vec<(Seq, Workflow)>> {
        let values = params![
            floor.cast_signed(),
            below.cast_signed(),
            place.born.cast_signed(),
            query.name,
            query.tag,
            limit
        ];
        let found = statement.query_map(values, rows::workflow)?;
        Ok(found.collect::<Result<_, _>>()?)
    };
    let mut found = between(place.floor, place.below, i64::from(limit) + 1)?;
    if found.len() > limit as usize {
        found.truncate(limit as usize);
        page.next_cursor = found.last().map(|(seq, _)| place.after(*seq).text());
    } else if !between(place.top, now.saturating_add(1), 1)?.is_empty() {
        page.next_cursor = Some(place.again(now).text());
    }
    page.items = found.into_iter().map(|(_, workflow)| workflow).collect();
    Ok(page)
}

pub(super) fn version(
    connection: &Connection,
    sid: &VersionSid,
) -> Outcome<Option<WorkflowVersion>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {VERSION} FROM versions WHERE sid = ?1"))?
        .query_row([sid.as_str()], rows::version)
        .optional()?)
}

pub(super) fn versions(
    connection: &Connection,
    query: &WorkflowVersionList,
) -> Outcome<VersionPage> {
    let before = cursor::version(query.cursor.as_deref())?.map_or(i64::MAX, i64::from);
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    let mut page = VersionPage {
        items: Vec::new(),
        next_cursor: None,
    };
    if limit == 0 {
        return Ok(page);
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {VERSION} FROM versions WHERE workflow_sid = ?1 AND number < ?2 \
         ORDER BY number DESC LIMIT ?3"
    ))?;
    let values = params![query.workflow_sid.as_str(), before, i64::from(limit) + 1];
    page.items = statement
        .query_map(values, rows::version)?
        .collect::<Result<_, _>>()?;
    if page.items.len() > limit as usize {
        page.items.truncate(limit as usize);
        page.next_cursor = page.items.last().map(|v| cursor::of_version(v.number));
    }
    Ok(page)
}

pub(super) fn library(connection: &Connection) -> Outcome<Vec<LibraryEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, sid, name, description FROM workflows WHERE deleted = 0 ORDER BY seq DESC",
    )?;
    let found = statement.query_map([], |row| {
        Ok(LibraryEntry {
            seq: unsigned(row, 0)?,
            sid: rows::id(row, 1)?,
            name: row.get(2)?,
            description: row.get(3)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
