//! How waits and signals become rows. Runs inside the writer's transaction, as [`super::apply`].

use protocol::{PlaySid, Signal, Wait, WaitToken};
use rusqlite::{Connection, params};

use super::{
    super::Settled,
    failure::{Outcome, to_json_option},
};

pub(super) fn open(connection: &Connection, play: i64, wait: &Wait) -> Outcome<()> {
    let start = &wait.start;
    connection
        .prepare_cached(
            "INSERT INTO waits (play_id, key, kind, name, span_id, created_at, wake_at, token, \
             schema, ui, answer, child) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (play_id, key) DO UPDATE SET span_id = ?5, schema = ?9, ui = ?10, child = ?12",
        )?
        .execute(params![
            play,
            wait.key,
            start.kind.as_str(),
            start.name,
            wait.span_id.as_str(),
            wait.created_at.0,
            start.wake_at.map(|t| t.0),
            wait.token.as_ref().map(WaitToken::as_str),
            to_json_option(start.schema.as_ref())?,
            to_json_option(start.ui.as_ref())?,
            start.default,
            start.child.as_ref().map(PlaySid::as_str),
        ])?;
    Ok(())
}

/// Whether it was open.
pub(super) fn settle(connection: &Connection, play: i64, settled: &Settled) -> Outcome<bool> {
    let was_open = connection
        .prepare_cached("DELETE FROM waits WHERE play_id = ?1 AND key = ?2")?
        .execute(params![play, settled.key])?;
    let Some(kept) = settled.kept.as_ref().filter(|_| was_open > 0) else {
        return Ok(was_open > 0);
    };
    connection
        .prepare_cached(
            "UPDATE steps SET end_ms = ?3, raised = ?4, data = ?5 WHERE play_id = ?1 AND key = ?2",
        )?
        .execute(params![
            play,
            settled.key,
            settled.at.0,
            kept.raised,
            kept.data,
        ])?;
    Ok(true)
}

pub(super) fn signal(connection: &Connection, play: i64, signal: &Signal) -> Outcome<()> {
    connection
        .prepare_cached("INSERT INTO signals (play_id, id, name, data) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![play, signal.id, signal.name, signal.data])?;
    Ok(())
}

pub(super) fn taken(connection: &Connection, play: i64, id: &str) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM signals WHERE play_id = ?1 AND id = ?2")?
        .execute(params![play, id])?;
    Ok(())
}

/// The play has ended: nothing is waited for any more.
pub(super) fn end(connection: &Connection, play: i64) -> Outcome<()> {
    for sql in [
        "DELETE FROM waits WHERE play_id = ?1",
        "DELETE FROM signals WHERE play_id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([play])?;
    }
    Ok(())
}
