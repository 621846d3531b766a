//! How a row becomes a value of the protocol. The column lists stand beside their readers; the order
//! is one.

use protocol::{
    CauseKind, CauseSummary, EpochMs, Kept, Log, LogStream, OnInterrupt, Play, PlayStatus,
    PlaySummary, Span, SpanKind, SpanStatus, Step, StepStart, Tags, Wait, WaitKind, WaitStart,
    WaitsFor, Workflow, WorkflowVersion,
};
use rusqlite::{
    Connection, Error, Result, Row,
    types::{FromSql, Type, ValueRef},
};
use serde::de::DeserializeOwned;

use super::{failure::from_json, parts};

/// A play with its input and output: its texts, or the numbers of their values.
pub(super) const PLAY: &str = "p.sid, p.workflow_sid, p.workflow_name, p.version_sid, p.flow_name, \
     p.status, p.cause, i.data, o.data, p.parent_play_sid, p.parent_span_id, p.retry_of, p.attempt, \
     p.created_at, p.started_at, p.completed_at, p.duration_ms, p.usage, p.skipped, i.value, o.value, \
     p.origin";
/// Where [`PLAY`] comes from.
pub(super) const FROM_PLAYS: &str = "FROM plays p \
     LEFT JOIN play_inputs i ON i.play_id = p.id LEFT JOIN play_outputs o ON o.play_id = p.id";
/// What of it is beside the plays.
pub(super) const JOINED: &str =
    "LEFT JOIN play_inputs i ON i.play_id = p.id LEFT JOIN play_outputs o ON o.play_id = p.id";

/// How many columns [`PLAY`] has.
pub(super) const PLAY_COLUMNS: usize = 22;

/// Reads [`PLAY`], with what of it is in parts.
pub(super) fn play(connection: &Connection, row: &Row<'_>) -> Result<Play> {
    let in_parts = |column| -> Result<Option<String>> {
        let value: Option<i64> = row.get(column)?;
        value
            .map(|value| parts::read(connection, value))
            .transpose()
    };
    Ok(Play {
        sid: id(row, 0)?,
        workflow_sid: id(row, 1)?,
        workflow_name: row.get(2)?,
        version_sid: id(row, 3)?,
        flow_name: row.get(4)?,
        status: word(row, 5, PlayStatus::parse)?,
        cause: json_option(row, 6)?,
        input_data: match in_parts(19)? {
            Some(text) => text,
            None => row.get(7)?,
        },
        output_data: match in_parts(20)? {
            Some(text) => Some(text),
            None => row.get(8)?,
        },
        parent_play_sid: id_option(row, 9)?,
        parent_span_id: row.get(10)?,
        retry_of: id_option(row, 11)?,
        origin: row.get(21)?,
        attempt: row.get(12)?,
        created_at: EpochMs(row.get(13)?),
        started_at: row.get::<_, Option<f64>>(14)?.map(EpochMs),
        completed_at: row.get::<_, Option<f64>>(15)?.map(EpochMs),
        duration_ms: row.get(16)?,
        usage: json_option(row, 17)?,
        skipped: json_option(row, 18)?,
    })
}

/// How many bytes of input and output a row of [`PLAY`] has.
pub(super) fn play_bytes(connection: &Connection, row: &Row<'_>) -> Result<usize> {
    let length = |column| -> Result<usize> {
        Ok(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
            _ => 0,
        })
    };
    let in_parts = |column| -> Result<usize> {
        let value: Option<i64> = row.get(column)?;
        let bytes = value.map(|value| parts::bytes(connection, value));
        Ok(bytes.transpose()?.flatten().unwrap_or(0))
    };
    Ok(length(7)? + length(8)? + in_parts(19)? + in_parts(20)?)
}

/// A play without what is long.
pub(super) const SUMMARY: &str = "p.id, p.sid, p.workflow_sid, p.workflow_name, p.version_sid, p.flow_name, \
     p.status, p.cause_kind, p.cause_message, p.parent_play_sid, p.parent_span_id, p.retry_of, p.origin, \
     p.attempt, p.created_at, p.started_at, p.completed_at, p.duration_ms, p.usage, p.skipped";

/// Reads [`SUMMARY`]: the play's number, and the summary without what it waits for.
pub(super) fn summary(row: &Row<'_>) -> Result<(i64, PlaySummary)> {
    let kind = text_option(row, 7)?
        .is_some()
        .then(|| word(row, 7, CauseKind::parse));
    let message = row.get::<_, Option<String>>(8)?;
    let summary = PlaySummary {
        sid: id(row, 1)?,
        workflow_sid: id(row, 2)?,
        workflow_name: row.get(3)?,
        version_sid: id(row, 4)?,
        flow_name: row.get(5)?,
        status: word(row, 6, PlayStatus::parse)?,
        cause: kind.transpose()?.map(|kind| CauseSummary {
            kind,
            message: message.unwrap_or_default(),
        }),
        parent_play_sid: id_option(row, 9)?,
        parent_span_id: row.get(10)?,
        retry_of: id_option(row, 11)?,
        origin: row.get(12)?,
        attempt: row.get(13)?,
        created_at: EpochMs(row.get(14)?),
        started_at: row.get::<_, Option<f64>>(15)?.map(EpochMs),
        completed_at: row.get::<_, Option<f64>>(16)?.map(EpochMs),
        duration_ms: row.get(17)?,
        usage: json_option(row, 18)?,
        skipped: json_option(row, 19)?,
        waits_for: Vec::new(),
    };
    Ok((row.get(0)?, summary))
}

/// Reads kind, name and end of a wait.
pub(super) fn waits_for(row: &Row<'_>) -> Result<WaitsFor> {
    Ok(WaitsFor {
        kind: word(row, 0, WaitKind::parse)?,
        name: row.get(1)?,
        wake_at: row.get::<_, Option<f64>>(2)?.map(EpochMs),
    })
}

/// A durable step.
pub(super) const STEP: &str =
    "key, parent, position, name, args, span_id, start_ms, end_ms, raised, data, value, function";

/// Reads [`STEP`].
pub(super) fn step(connection: &Connection, row: &Row<'_>) -> Result<Step> {
    let data = match row.get::<_, Option<i64>>(10)? {
        Some(value) => Some(parts::read(connection, value)?.into()),
        None => row.get(9)?,
    };
    Ok(Step {
        start: StepStart {
            key: row.get(0)?,
            parent: row.get(1)?,
            position: u32::try_from(row.get::<_, i64>(2)?).ok(),
            args: row.get(4)?,
            function: row.get(11)?,
        },
        name: row.get(3)?,
        span_id: id(row, 5)?,
        start_ms: EpochMs(row.get(6)?),
        end_ms: row.get::<_, Option<f64>>(7)?.map(EpochMs),
        kept: match (row.get(8)?, data) {
            (Some(raised), Some(data)) => Some(Kept { raised, data }),
            _ => None,
        },
    })
}

/// An open wait.
pub(super) const WAIT: &str =
    "key, kind, name, schema, ui, wake_at, answer, span_id, created_at, token, child";

/// Reads [`WAIT`].
pub(super) fn wait(row: &Row<'_>) -> Result<Wait> {
    Ok(Wait {
        key: row.get(0)?,
        start: WaitStart {
            kind: word(row, 1, WaitKind::parse)?,
            name: row.get(2)?,
            schema: json_option(row, 3)?,
            ui: json_option(row, 4)?,
            wake_at: row.get::<_, Option<f64>>(5)?.map(EpochMs),
            default: row.get(6)?,
            child: id_option(row, 10)?,
        },
        span_id: id(row, 7)?,
        created_at: EpochMs(row.get(8)?),
        token: id_option(row, 9)?,
    })
}

/// A span, after its `seq` and `ord`.
pub(super) const SPAN: &str = "seq, ord, span_id, parent_id, name, kind, status, start_ms, end_ms, \
     tags, error, source_file, source_line, rpc_service, rpc_method, child_play_sid";

/// Reads [`SPAN`].
pub(super) fn span(row: &Row<'_>) -> Result<(u64, u64, Span)> {
    let span = Span {
        span_id: id(row, 2)?,
        parent_id: row.get(3)?,
        name: row.get(4)?,
        kind: SpanKind::parse(text(row, 5)?),
        status: word(row, 6, SpanStatus::parse)?,
        start_ms: EpochMs(row.get(7)?),
        end_ms: row.get::<_, Option<f64>>(8)?.map(EpochMs),
        tags: match text_option(row, 9)? {
            Some(text) => Tags::stored(text)
                .map_err(|e| Error::FromSqlConversionFailure(9, Type::Text, Box::new(e)))?,
            None => Tags::default(),
        },
        error: row.get(10)?,
        source_file: row.get(11)?,
        source_line: row.get(12)?,
        rpc_service: row.get(13)?,
        rpc_method: row.get(14)?,
        child_play_sid: id_option(row, 15)?,
    };
    Ok((unsigned(row, 0)?, unsigned(row, 1)?, span))
}

/// A log, after its `seq`.
pub(super) const LOG: &str = "seq, span_id, ts_ms, stream, text";

/// Reads [`LOG`].
pub(super) fn log(row: &Row<'_>) -> Result<(u64, Log)> {
    let log = Log {
        span_id: id(row, 1)?,
        ts_ms: EpochMs(row.get(2)?),
        stream: LogStream::parse(text(row, 3)?),
        text: row.get(4)?,
    };
    Ok((unsigned(row, 0)?, log))
}

/// A workflow, after its `seq`.
pub(super) const WORKFLOW: &str =
    "seq, sid, name, description, tags, current_version_sid, created_at, updated_at";

/// Reads [`WORKFLOW`].
pub(super) fn workflow(row: &Row<'_>) -> Result<(u64, Workflow)> {
    let workflow = Workflow {
        sid: id(row, 1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        tags: json(row, 4)?,
        current_version_sid: id(row, 5)?,
        created_at: EpochMs(row.get(6)?),
        updated_at: EpochMs(row.get(7)?),
    };
    Ok((unsigned(row, 0)?, workflow))
}

/// A version.
pub(super) const VERSION: &str = "sid, workflow_sid, number, created_at, source_file, flow_name, \
     timeout_ms, limits, on_interrupt, env, signature, inputs, outputs, nodes, edges, python_source";

/// Reads [`VERSION`].
pub(super) fn version(row: &Row<'_>) -> Result<WorkflowVersion> {
    Ok(WorkflowVersion {
        sid: id(row, 0)?,
        workflow_sid: id(row, 1)?,
        number: row.get(2)?,
        created_at: EpochMs(row.get(3)?),
        source_file: row.get(4)?,
        flow_name: row.get(5)?,
        timeout_ms: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
        limits: json(row, 7)?,
        on_interrupt: word(row, 8, OnInterrupt::parse)?,
        env: json(row, 9)?,
        signature: json_option(row, 10)?,
        inputs: json(row, 11)?,
        outputs: json(row, 12)?,
        nodes: json(row, 13)?,
        edges: json(row, 14)?,
        python_source: row.get(15)?,
    })
}

/// SQLite's integers are signed; what is larger than they are wraps around and back.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// A column's text, without a copy.
pub(super) fn text<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str> {
    row.get_ref(column)?
        .as_str()
        .map_err(|e| Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

pub(super) fn text_option<'r>(row: &'r Row<'_>, column: usize) -> Result<Option<&'r str>> {
    row.get_ref(column)?
        .as_str_or_null()
        .map_err(|e| Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

pub(super) fn id<T: for<'t> From<&'t str>>(row: &Row<'_>, column: usize) -> Result<T> {
    text(row, column).map(T::from)
}

fn id_option<T: for<'t> From<&'t str>>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    Ok(text_option(row, column)?.map(T::from))
}

pub(super) fn word<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> Result<T> {
    let word = text(row, column)?;
    parse(word).ok_or_else(|| {
        let unknown = format!("{word:?} is no word that this program knows");
        Error::FromSqlConversionFailure(column, Type::Text, unknown.into())
    })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    from_json(column, text(row, column)?)
}

pub(super) fn json_option<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    text_option(row, column)?
        .map(|text| from_json(column, text))
        .transpose()
}

/// A value of a query that has one column and at most one row.
pub(super) fn first<T: FromSql>(row: &Row<'_>) -> Result<T> {
    row.get(0)
}
