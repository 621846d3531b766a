//! How plays go: see [`super::super::retention`]. Every function here is one short turn of the
//! writer, or a read.

use std::time::{Duration, Instant};

use protocol::{EpochMs, PlaySid, PlayStatus};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{EndedPage, EndedPlace, EndedTree, Forgotten, StoreSize, Swept},
    failure::Outcome,
    parts, rows,
};

/// A turn ends with the first piece of work that is done after this time: what else is to be written
/// waits no longer for it.
const TURN: Duration = Duration::from_millis(4);
/// Rows in one piece of work.
const PIECE: u32 = 256;
/// Pages that are given back in one piece of work.
const PAGES: u32 = 32;
/// So much of the file may be empty: it is used again, and moving pages about has its price.
const SLACK: u64 = 8;
/// … and so many pages.
const FEW_PAGES: u64 = 256;
/// How many emptied plays a turn names.
const NAMED: u32 = 256;

/// Roots whose own record says that they have ended, after a place.
pub(super) const ENDED_ROOTS: &str = "SELECT id, sid, workflow_name, completed_at FROM plays \
     WHERE parent_play_sid IS NULL AND completed_at IS NOT NULL AND (completed_at, sid) > (?1, ?2) \
     ORDER BY completed_at, sid LIMIT ?3";

/// A root and everything below it, parents before their children.
const TREE: &str = "WITH RECURSIVE tree (id, sid, status, completed_at, level) AS ( \
     SELECT id, sid, status, completed_at, 0 FROM plays WHERE id = ?1 \
     UNION ALL SELECT p.id, p.sid, p.status, p.completed_at, tree.level + 1 \
     FROM plays p JOIN tree ON p.parent_play_sid = tree.sid) \
     SELECT id, sid, status, completed_at FROM tree ORDER BY level";

pub(super) fn ended_trees(
    connection: &Connection,
    after: Option<&EndedPlace>,
    weigh: bool,
    limit: u32,
) -> Outcome<EndedPage> {
    let (at, root) = after.map_or((f64::MIN, ""), |place| (place.at.0, place.root.as_str()));
    let mut page = EndedPage::default();
    let mut statement = connection.prepare_cached(ENDED_ROOTS)?;
    let mut found = statement.query(params![at, root, limit])?;
    let mut seen = 0;
    let mut last = None;
    while let Some(row) = found.next()? {
        seen += 1;
        let (id, root): (i64, PlaySid) = (row.get(0)?, rows::id(row, 1)?);
        last = Some(EndedPlace {
            at: EpochMs(row.get(3)?),
            root,
        });
        if let Some(tree) = tree(connection, id, row.get(2)?, weigh)? {
            page.trees.push(tree);
        }
    }
    page.next = last.filter(|_| seen == limit);
    Ok(page)
}

/// `None` where one of them has not ended.
fn tree(
    connection: &Connection,
    root: i64,
    workflow_name: String,
    weigh: bool,
) -> Outcome<Option<EndedTree>> {
    let mut statement = connection.prepare_cached(TREE)?;
    let mut found = statement.query([root])?;
    let (mut plays, mut ended_at) = (Vec::new(), f64::MIN);
    let (mut bytes, mut artifact_bytes) = (0, 0);
    while let Some(row) = found.next()? {
        let at: Option<f64> = row.get(3)?;
        let (Some(at), true) = (at, terminal(row.get_ref(2)?.as_str().unwrap_or_default())) else {
            return Ok(None);
        };
        ended_at = ended_at.max(at);
        plays.push(rows::id(row, 1)?);
        if weigh {
            bytes += weight(connection, row.get(0)?)?;
            artifact_bytes += artifacts(connection, row.get(0)?)?;
        }
    }
    plays.reverse();
    Ok(Some(EndedTree {
        plays,
        workflow_name,
        ended_at: EpochMs(ended_at),
        bytes,
        artifact_bytes,
    }))
}

fn terminal(word: &str) -> bool {
    PlayStatus::parse(word).is_some_and(PlayStatus::is_terminal)
}

/// About how many bytes the rows of a play take: the texts, and what is around them.
fn weight(connection: &Connection, id: i64) -> Outcome<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT 1024 \
         + coalesce((SELECT octet_length(data) FROM play_inputs WHERE play_id = ?1), 0) \
         + coalesce((SELECT octet_length(data) FROM play_outputs WHERE play_id = ?1), 0) \
         + coalesce((SELECT sum(octet_length(data)) FROM parts WHERE value IN \
           (SELECT value FROM play_inputs WHERE play_id = ?1 \
           UNION ALL SELECT value FROM play_outputs WHERE play_id = ?1 \
           UNION ALL SELECT value FROM steps WHERE play_id = ?1)), 0) \
         + coalesce((SELECT sum(192 + octet_length(name) + coalesce(octet_length(tags), 0) \
           + coalesce(octet_length(error), 0)) FROM spans WHERE play_id = ?1), 0) \
         + coalesce((SELECT sum(128 + coalesce(octet_length(data), 0)) FROM steps WHERE play_id = ?1), 0) \
         + coalesce((SELECT sum(64 + octet_length(text)) FROM logs WHERE play_id = ?1), 0)",
    )?;
    Ok(statement.query_row([id], |row| rows::unsigned(row, 0))?)
}

fn artifacts(connection: &Connection, id: i64) -> Outcome<u64> {
    let found = connection
        .prepare_cached("SELECT bytes FROM artifacts WHERE play_id = ?1")?
        .query_row([id], |row| rows::unsigned(row, 0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

/// Bytes of all that was measured, but for the trees in which a play has not ended.
const ARTIFACTS: &str = "WITH RECURSIVE above (sid, parent) AS ( \
     SELECT sid, parent_play_sid FROM plays \
     WHERE status NOT IN ('success', 'failed', 'timed_out', 'cancelled') \
     UNION SELECT p.sid, p.parent_play_sid FROM plays p JOIN above ON p.sid = above.parent), \
     kept (sid) AS (SELECT sid FROM above \
     UNION SELECT p.sid FROM plays p JOIN kept ON p.parent_play_sid = kept.sid) \
     SELECT (SELECT coalesce(sum(bytes), 0) FROM artifacts) - coalesce(sum(a.bytes), 0) \
     FROM kept JOIN plays p ON p.sid = kept.sid JOIN artifacts a ON a.play_id = p.id";

pub(super) fn unmeasured(connection: &Connection, limit: u32) -> Outcome<Vec<PlaySid>> {
    let mut found = connection.prepare_cached(
        "SELECT sid FROM plays WHERE status IN ('success', 'failed', 'timed_out', 'cancelled') \
         AND NOT EXISTS (SELECT 1 FROM artifacts WHERE play_id = plays.id) LIMIT ?1",
    )?;
    let sids = found.query_map([limit], |row| rows::id(row, 0))?;
    Ok(sids.collect::<Result<_, _>>()?)
}

pub(super) fn measured(connection: &Connection, sizes: &[(PlaySid, u64)]) -> Outcome<()> {
    let mut keep = connection.prepare_cached(
        "INSERT INTO artifacts (play_id, bytes) SELECT id, ?2 FROM plays WHERE sid = ?1 \
         AND status IN ('success', 'failed', 'timed_out', 'cancelled') \
         ON CONFLICT (play_id) DO UPDATE SET bytes = excluded.bytes",
    )?;
    for (sid, bytes) in sizes {
        keep.execute(params![
            sid.as_str(),
            i64::try_from(*bytes).unwrap_or(i64::MAX)
        ])?;
    }
    Ok(())
}

pub(super) fn unknown_plays(connection: &Connection, plays: Vec<PlaySid>) -> Outcome<Vec<PlaySid>> {
    let mut known = connection.prepare_cached(
        "SELECT 1 FROM plays WHERE sid = ?1 UNION ALL SELECT 1 FROM forgotten WHERE sid = ?1",
    )?;
    let mut unknown = Vec::new();
    for sid in plays {
        if !known.exists([sid.as_str()])? {
            unknown.push(sid);
        }
    }
    Ok(unknown)
}

pub(super) fn size(connection: &Connection) -> Outcome<StoreSize> {
    let ended = connection
        .prepare_cached(
            "SELECT count(*) FROM plays WHERE status IN ('success', 'failed', 'timed_out', 'cancelled')",
        )?
        .query_row([], |row| rows::unsigned(row, 0))?;
    let artifact_bytes = connection
        .prepare_cached(ARTIFACTS)?
        .query_row([], |row| rows::unsigned(row, 0))?;
    let (pages, free, page) = pages(connection)?;
    Ok(StoreSize {
        ended,
        artifact_bytes,
        used_bytes: (pages - free.min(pages)) * page,
        free_bytes: free * page,
    })
}

/// All pages of the file, those of them that are free, and the bytes of each.
fn pages(connection: &Connection) -> Outcome<(u64, u64, u64)> {
    let number = |name| -> Outcome<u64> {
        Ok(connection.pragma_query_value(None, name, |row| rows::unsigned(row, 0))?)
    };
    Ok((
        number("page_count")?,
        number("freelist_count")?,
        number("page_size")?,
    ))
}

/// Forgets these plays, in their order, as long as the turn lasts. Refused: one that has not ended,
/// or that has started another which is still there.
pub(super) fn forget(connection: &Connection, plays: &[PlaySid]) -> Outcome<Forgotten> {
    let begun = Instant::now();
    let mut find = connection.prepare_cached("SELECT id, status FROM plays WHERE sid = ?1")?;
    let mut has_children =
        connection.prepare_cached("SELECT 1 FROM plays WHERE parent_play_sid = ?1")?;
    let mut delete = connection.prepare_cached("DELETE FROM plays WHERE id = ?1")?;
    let mut keep =
        connection.prepare_cached("INSERT INTO forgotten (play_id, sid) VALUES (?1, ?2)")?;
    let mut forgotten = Forgotten::default();
    for (at, sid) in plays.iter().enumerate() {
        if at > 0 && begun.elapsed() >= TURN {
            forgotten.left = plays[at..].to_vec();
            break;
        }
        let found: Option<(i64, bool)> = find
            .query_row([sid.as_str()], |row| {
                Ok((row.get(0)?, terminal(row.get_ref(1)?.as_str()?)))
            })
            .optional()?;
        let Some((id, true)) = found else { continue };
        if has_children.exists([sid.as_str()])? {
            continue;
        }
        delete.execute([id])?;
        keep.execute(params![id, sid.as_str()])?;
        forgotten.gone.push(sid.clone());
    }
    Ok(forgotten)
}

/// Sweeps away what is left of forgotten plays and what nothing refers to, other than the values
/// that are being `written`; then gives pages back, as long as the turn lasts.
pub(super) fn sweep(
    connection: &Connection,
    cleaned: &[PlaySid],
    written: &[i64],
) -> Outcome<Swept> {
    let begun = Instant::now();
    let mut done =
        connection.prepare_cached("DELETE FROM forgotten WHERE sid = ?1 AND emptied = 1")?;
    for sid in cleaned {
        done.execute([sid.as_str()])?;
    }
    let mut more = true;
    while more && begun.elapsed() < TURN {
        more =
            sweep_piece(connection)? || sweep_part(connection, written)? || give_back(connection)?;
    }
    let mut named = connection
        .prepare_cached("SELECT sid FROM forgotten WHERE emptied = 1 ORDER BY play_id LIMIT ?1")?;
    let emptied = named
        .query_map([NAMED], |row| rows::id(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(Swept { emptied, more })
}

/// Whether there was something.
fn sweep_piece(connection: &Connection) -> Outcome<bool> {
    let next: Option<i64> = connection
        .prepare_cached("SELECT play_id FROM forgotten WHERE emptied = 0 ORDER BY play_id LIMIT 1")?
        .query_row([], rows::first)
        .optional()?;
    let Some(play) = next else { return Ok(false) };
    for sql in [
        "DELETE FROM logs WHERE play_id = ?1 AND seq IN \
         (SELECT seq FROM logs WHERE play_id = ?1 ORDER BY seq LIMIT ?2)",
        "DELETE FROM steps WHERE play_id = ?1 AND key IN \
         (SELECT key FROM steps WHERE play_id = ?1 ORDER BY key LIMIT ?2)",
        "DELETE FROM spans WHERE play_id = ?1 AND ord IN \
         (SELECT ord FROM spans WHERE play_id = ?1 ORDER BY ord LIMIT ?2)",
    ] {
        if connection
            .prepare_cached(sql)?
            .execute(params![play, PIECE])?
            > 0
        {
            return Ok(true);
        }
    }
    connection
        .prepare_cached("UPDATE forgotten SET emptied = 1 WHERE play_id = ?1")?
        .execute([play])?;
    Ok(true)
}

/// Whether there was something.
fn sweep_part(connection: &Connection, written: &[i64]) -> Outcome<bool> {
    let Some(value) = parts::loose(connection, written)? else {
        return Ok(false);
    };
    parts::remove(connection, value)?;
    Ok(true)
}

/// Gives a few free pages back to the file system. Whether a further call would give back more: not
/// in a file that can't, because it was rewritten in another mode.
pub(super) fn give_back(connection: &Connection) -> Outcome<bool> {
    let (all, free, _) = pages(connection)?;
    if free <= FEW_PAGES.max(all / SLACK) {
        return Ok(false);
    }
    // Each step gives back one page.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    let (_, left, _) = pages(connection)?;
    Ok(left < free)
}
