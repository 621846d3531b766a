//! How a [`Batch`] becomes rows. Runs inside the writer's transaction, within a savepoint: what fails
//! half-way is taken back by the caller.

use protocol::{CauseSummary, Log, Play, PlaySid, PlayStatus, Span, Step, WorkflowSid};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::{
    super::{Batch, Committed, Fence, NewPlay, PlayChange, Reuse, Seq, rules},
    apply_library, apply_waits,
    failure::{Failure, Outcome, to_json, to_json_option},
    parts::{self, Place, Value, value_at},
    rows,
};

/// Writes a batch, whose long texts are in the file as these values. `seq` is the last number used,
/// before and after.
pub(super) fn apply(
    connection: &Connection,
    batch: &Batch,
    values: &[Value],
    seq: &mut Seq,
) -> Outcome<Committed> {
    let mut committed = Committed {
        seq: *seq,
        existing: None,
        version_number: None,
    };
    match batch {
        Batch::Create(new) => committed.existing = create(connection, new, values, seq)?,
        Batch::Play { fence, changes } => play(connection, fence, changes, values, seq)?,
        Batch::Library(change) => {
            committed.version_number = apply_library::apply(connection, change, next(seq))?;
        }
    }
    committed.seq = *seq;
    Ok(committed)
}

/// Takes the next number.
fn next(seq: &mut Seq) -> i64 {
    *seq += 1;
    seq.cast_signed()
}

/// Answers the play that has the idempotency key, if it is another.
fn create(
    connection: &Connection,
    new: &NewPlay,
    values: &[Value],
    seq: &mut Seq,
) -> Outcome<Option<PlaySid>> {
    let play = &new.play;
    if let Some(key) = &new.idempotency_key {
        let holder: Option<(PlaySid, WorkflowSid)> = connection
            .prepare_cached("SELECT sid, workflow_sid FROM plays WHERE idempotency_key = ?1")?
            .query_row([key], |row| Ok((rows::id(row, 0)?, rows::id(row, 1)?)))
            .optional()?;
        if let Some((sid, workflow)) = holder {
            if workflow == play.workflow_sid {
                return Ok(Some(sid));
            }
            return Err(rules::key_taken(key, &sid).into());
        }
    }
    if let Some(parent) = &play.parent_play_sid
        && find(connection, parent)?.is_none()
    {
        return Err(rules::no_play(parent).into());
    }
    if find(connection, &play.sid)?.is_some() {
        return Err(rules::sid_taken("play", play.sid.as_str()).into());
    }
    let id = next(seq);
    let cause = play.cause.as_ref().map(CauseSummary::from);
    connection
        .prepare_cached(
            "INSERT INTO plays (id, sid, seq, status, attempt, created_at, started_at, completed_at, \
             duration_ms, workflow_sid, version_sid, parent_play_sid, parent_span_id, retry_of, depth, \
             workflow_name, flow_name, idempotency_key, usage, skipped, launch, cause, pid, process_started, \
             origin, cause_kind, cause_message) \
             VALUES (?2, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
             ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
        )?
        .execute(params![
            play.sid.as_str(),
            id,
            play.status.as_str(),
            play.attempt,
            play.created_at.0,
            play.started_at.map(|t| t.0),
            play.completed_at.map(|t| t.0),
            play.duration_ms,
            play.workflow_sid.as_str(),
            play.version_sid.as_str(),
            play.parent_play_sid.as_ref().map(PlaySid::as_str),
            play.parent_span_id,
            play.retry_of.as_ref().map(PlaySid::as_str),
            new.depth,
            play.workflow_name,
            play.flow_name,
            new.idempotency_key,
            to_json_option(play.usage.as_ref())?,
            to_json_option(play.skipped.as_ref())?,
            to_json(&new.launch)?,
            to_json_option(play.cause.as_ref())?,
            new.process.map(|process| process.pid),
            new.process.map(|process| process.started.cast_signed()),
            play.origin,
            cause.as_ref().map(|cause| cause.kind.as_str()),
            cause.as_ref().map(|cause| &cause.message),
        ])?;
    let value = parts::refer(connection, value_at(values, Place::Input))?;
    connection
        .prepare_cached("INSERT INTO play_inputs (play_id, value, data) VALUES (?1, ?2, ?3)")?
        .execute(params![id, value, inline(&play.input_data, value)])?;
    let value = value_at(values, Place::Output);
    output(connection, id, play.output_data.as_deref(), value)?;
    if let Some(reuse) = &new.reuse {
        copy_steps(connection, id, reuse)?;
    }
    Ok(None)
}

fn copy_steps(connection: &Connection, id: i64, reuse: &Reuse) -> Outcome<()> {
    let from = find(connection, &reuse.from)?.ok_or_else(|| rules::no_play(&reuse.from))?;
    let mut copy = connection.prepare_cached(
        "INSERT INTO steps (play_id, key, parent, position, name, args, function, span_id, start_ms, \
         end_ms, raised, value, data) SELECT ?1, key, parent, position, name, args, function, span_id, \
         start_ms, end_ms, raised, value, data FROM steps WHERE play_id = ?2 AND key = ?3",
    )?;
    for key in &reuse.keys {
        copy.execute(params![id, from.id, key])?;
    }
    Ok(())
}

/// A play's row, as far as the fence needs it.
struct Found {
    id: i64,
    attempt: u32,
    status: PlayStatus,
}

fn find(connection: &Connection, sid: &PlaySid) -> Outcome<Option<Found>> {
    let row: Option<(i64, u32, String)> = connection
        .prepare_cached("SELECT id, attempt, status FROM plays WHERE sid = ?1")?
        .query_row([sid.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    row.map(|(id, attempt, word)| {
        let status = PlayStatus::parse(&word).ok_or_else(|| {
            Failure::refused(format!(
                "the play {sid} has the unknown status {word:?}; it is damaged, put back a copy"
            ))
        })?;
        Ok(Found {
            id,
            attempt,
            status,
        })
    })
    .transpose()
}

fn play(
    connection: &Connection,
    fence: &Fence,
    changes: &[PlayChange],
    values: &[Value],
    seq: &mut Seq,
) -> Outcome<()> {
    let found = find(connection, &fence.play)?.ok_or_else(|| rules::no_play(&fence.play))?;
    rules::check_play(fence, found.attempt, found.status, changes)?;
    let mut spans = None;
    let mut logs = None;
    let mut steps = None;
    for (at, change) in changes.iter().enumerate() {
        match change {
            PlayChange::Play(play) => {
                let value = value_at(values, Place::OutputAt(at));
                record(connection, found.id, play, value, next(seq))?;
            }
            PlayChange::Process(process) => {
                connection
                    .prepare_cached(
                        "UPDATE plays SET pid = ?2, process_started = ?3 WHERE id = ?1",
                    )?
                    .execute(params![
                        found.id,
                        process.pid,
                        process.started.cast_signed()
                    ])?;
            }
            PlayChange::Span { ord, span } => {
                let statement = prepared(&mut spans, connection, WRITE_SPAN)?;
                write_span(statement, found.id, *ord, span, next(seq))?;
            }
            PlayChange::Step(step) => {
                let statement = prepared(&mut steps, connection, WRITE_STEP)?;
                let value = parts::refer(connection, value_at(values, Place::StepAt(at)))?;
                write_step(statement, found.id, step, value)?;
            }
            PlayChange::Recoveries(recoveries) => {
                connection
                    .prepare_cached("UPDATE plays SET recoveries = ?2 WHERE id = ?1")?
                    .execute(params![found.id, recoveries])?;
            }
            PlayChange::Wait(wait) => apply_waits::open(connection, found.id, wait)?,
            PlayChange::Settled(settled) => {
                if !apply_waits::settle(connection, found.id, settled)? {
                    return Err(rules::no_wait(&fence.play, &settled.key).into());
                }
            }
            PlayChange::Signal(signal) => apply_waits::signal(connection, found.id, signal)?,
            PlayChange::SignalTaken(id) => apply_waits::taken(connection, found.id, id)?,
            PlayChange::Log(log) => {
                let statement = prepared(&mut logs, connection, WRITE_LOG)?;
                write_log(statement, found.id, log, next(seq))?;
            }
        }
    }
    Ok(())
}

/// Looks a statement up once for each batch, not once for each row.
fn prepared<'s, 'c>(
    slot: &'s mut Option<CachedStatement<'c>>,
    connection: &'c Connection,
    sql: &str,
) -> rusqlite::Result<&'s mut CachedStatement<'c>> {
    match slot {
        Some(statement) => Ok(statement),
        None => Ok(slot.insert(connection.prepare_cached(sql)?)),
    }
}

/// The record as it now stands; what the play was created with is not touched. A process belongs to
/// its attempt and goes with it.
fn record(
    connection: &Connection,
    id: i64,
    play: &Play,
    value: Option<&Value>,
    seq: i64,
) -> Outcome<()> {
    let cause = play.cause.as_ref().map(CauseSummary::from);
    connection
        .prepare_cached(
            "UPDATE plays SET seq = ?2, status = ?3, started_at = ?5, completed_at = ?6, \
             duration_ms = ?7, usage = ?8, skipped = ?9, cause = ?10, cause_kind = ?11, cause_message = ?12, \
             pid = iif(attempt = ?4, pid, NULL), \
             process_started = iif(attempt = ?4, process_started, NULL), attempt = ?4 WHERE id = ?1",
        )?
        .execute(params![
            id,
            seq,
            play.status.as_str(),
            play.attempt,
            play.started_at.map(|t| t.0),
            play.completed_at.map(|t| t.0),
            play.duration_ms,
            to_json_option(play.usage.as_ref())?,
            to_json_option(play.skipped.as_ref())?,
            to_json_option(play.cause.as_ref())?,
            cause.as_ref().map(|cause| cause.kind.as_str()),
            cause.as_ref().map(|cause| &cause.message),
        ])?;
    if play.status.is_terminal() {
        apply_waits::end(connection, id)?;
    }
    output(connection, id, play.output_data.as_deref(), value)
}

/// What of a text is in its own row.
fn inline(text: &str, value: Option<i64>) -> Option<&str> {
    value.is_none().then_some(text)
}

/// Writes the output only where it differs from what is there.
fn output(
    connection: &Connection,
    id: i64,
    data: Option<&str>,
    value: Option<&Value>,
) -> Outcome<()> {
    let value = parts::refer(connection, value)?;
    match data {
        Some(data) => connection
            .prepare_cached(
                "INSERT INTO play_outputs (play_id, value, data) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (play_id) DO UPDATE SET value = excluded.value, data = excluded.data \
                 WHERE value IS NOT excluded.value OR data IS NOT excluded.data",
            )?
            .execute(params![id, value, inline(data, value)])?,
        None => connection
            .prepare_cached("DELETE FROM play_outputs WHERE play_id = ?1")?
            .execute([id])?,
    };
    Ok(())
}

const WRITE_SPAN: &str = "INSERT INTO spans (play_id, ord, seq, span_id, parent_id, name, kind, status, \
     start_ms, end_ms, tags, error, source_file, source_line, rpc_service, rpc_method, child_play_sid) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
     ON CONFLICT (play_id, ord) DO UPDATE SET seq = ?3, span_id = ?4, parent_id = ?5, name = ?6, \
     kind = ?7, status = ?8, start_ms = ?9, end_ms = ?10, tags = ?11, error = ?12, source_file = ?13, \
     source_line = ?14, rpc_service = ?15, rpc_method = ?16, child_play_sid = ?17";

fn write_span(
    statement: &mut CachedStatement<'_>,
    play: i64,
    ord: u64,
    span: &Span,
    seq: i64,
) -> Outcome<()> {
    statement.execute(params![
        play,
        ord.cast_signed(),
        seq,
        span.span_id.as_str(),
        span.parent_id,
        span.name,
        span.kind.as_str(),
        span.status.as_str(),
        span.start_ms.0,
        span.end_ms.map(|t| t.0),
        (!span.tags.is_empty()).then(|| span.tags.as_str()),
        span.error,
        span.source_file,
        span.source_line,
        span.rpc_service,
        span.rpc_method,
        span.child_play_sid.as_ref().map(PlaySid::as_str),
    ])?;
    Ok(())
}

/// Of a step that has none.
const NO_POSITION: i64 = -1;

const WRITE_STEP: &str = "INSERT INTO steps (play_id, key, parent, position, name, args, span_id, \
     start_ms, end_ms, raised, data, value, function) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
     ON CONFLICT (play_id, key) DO UPDATE SET span_id = ?7, start_ms = ?8, end_ms = ?9, raised = ?10, \
     data = ?11, value = ?12 WHERE ?10 IS NOT NULL OR raised IS NULL";

fn write_step(
    statement: &mut CachedStatement<'_>,
    play: i64,
    step: &Step,
    value: Option<i64>,
) -> Outcome<()> {
    statement.execute(params![
        play,
        step.start.key,
        step.start.parent,
        step.start.position.map_or(NO_POSITION, i64::from),
        step.name,
        step.start.args,
        step.span_id.as_str(),
        step.start_ms.0,
        step.end_ms.map(|t| t.0),
        step.kept.as_ref().map(|kept| kept.raised),
        step.kept
            .as_ref()
            .and_then(|kept| inline(&kept.data, value)),
        value,
        step.start.function,
    ])?;
    Ok(())
}

const WRITE_LOG: &str =
    "INSERT INTO logs (play_id, seq, span_id, ts_ms, stream, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

fn write_log(statement: &mut CachedStatement<'_>, play: i64, log: &Log, seq: i64) -> Outcome<()> {
    statement.execute(params![
        play,
        seq,
        log.span_id.as_str(),
        log.ts_ms.0,
        log.stream.as_str(),
        log.text,
    ])?;
    Ok(())
}
