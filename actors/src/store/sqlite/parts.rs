//! Values that are too long for one turn of the writer: an input, an output, a step's result of megabytes.
//!
//! ```text
//! turn 1..n    a part ─► parts, the value's number ─► loose      with whatever else is queued
//! turn n + 1   the batch: its row refers to the value, which is a blob now, and loose no longer
//! ```
//!
//! Values are known by their content: where the same is there as a blob, the row refers to that one, and what was written
//! stays loose. What is read is held against its hash.
//!
//! A value that no row refers to is in `loose`: from its first part until the row that refers to it
//! is written in the same transaction as its number is taken out, and again once the last such row is gone
//! (the schema's triggers). So what a crash leaves in between is known without looking for it; it is
//! swept away ([`super::retention`]). Parts end between characters.

use std::ops::Range;

use blake3::Hash;
use rusqlite::{Connection, OptionalExtension, ffi, params};

use super::{
    super::{Batch, PlayChange},
    failure::Outcome,
    rows,
};

/// A text with more bytes than this is written in parts of at most so many: a turn of the writer
/// takes some milliseconds for one of them.
pub(super) const PART_BYTES: usize = 1 << 20;

/// A long text of a batch: which one, and what it is called in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) place: Place,
    pub(super) id: i64,
    /// Of the text, once all its parts are written.
    pub(super) hash: Option<Hash>,
}

/// Where in its batch a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Of a play that is created.
    Input,
    Output,
    /// Of the record that is this change of the batch.
    OutputAt(usize),
    /// What the step came to that is this change of the batch.
    StepAt(usize),
}

/// The value that is in this place, if it is one in parts.
pub(super) fn value_at(values: &[Value], place: Place) -> Option<&Value> {
    values.iter().find(|value| value.place == place)
}

/// Where the long texts of a batch are.
pub(super) fn long_texts(batch: &Batch) -> Vec<Place> {
    let long = |text: &str| text.len() > PART_BYTES;
    let long_option = |text: &Option<String>| text.as_deref().is_some_and(long);
    match batch {
        Batch::Create(new) => [
            (Place::Input, long(&new.play.input_data)),
            (Place::Output, long_option(&new.play.output_data)),
        ]
        .into_iter()
        .filter_map(|(place, long)| long.then_some(place))
        .collect(),
        Batch::Play { changes, .. } => changes
            .iter()
            .enumerate()
            .filter_map(|(at, change)| match change {
                PlayChange::Play(play) if long_option(&play.output_data) => {
                    Some(Place::OutputAt(at))
                }
                PlayChange::Step(step)
                    if step.kept.as_ref().is_some_and(|kept| long(&kept.data)) =>
                {
                    Some(Place::StepAt(at))
                }
                _ => None,
            })
            .collect(),
        Batch::Library(_) => Vec::new(),
    }
}

/// The text in this place; the empty one where there is none.
pub(super) fn text_at(batch: &Batch, place: Place) -> &str {
    let text = match (batch, place) {
        (Batch::Create(new), Place::Input) => Some(new.play.input_data.as_str()),
        (Batch::Create(new), Place::Output) => new.play.output_data.as_deref(),
        (Batch::Play { changes, .. }, Place::OutputAt(at) | Place::StepAt(at)) => {
            match changes.get(at) {
                Some(PlayChange::Play(play)) => play.output_data.as_deref(),
                Some(PlayChange::Step(step)) => step.kept.as_ref().map(|kept| &*kept.data),
                _ => None,
            }
        }
        _ => None,
    };
    text.unwrap_or_default()
}

/// The part of a text that begins here.
pub(super) fn part_from(text: &str, start: usize) -> Range<usize> {
    start..text.floor_char_boundary(start + PART_BYTES)
}

/// A number that no value has had, not even one that is gone since the store was opened.
pub(super) fn next_value(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT 1 + max(coalesce((SELECT max(value) FROM parts), 0), \
         coalesce((SELECT max(value) FROM loose), 0))",
        [],
        rows::first,
    )
}

/// Writes a part, the first with the note that nothing refers to the value yet.
pub(super) fn write(connection: &Connection, value: i64, ord: u64, text: &str) -> Outcome<()> {
    if ord == 0 {
        connection
            .prepare_cached("INSERT INTO loose (value) VALUES (?1)")?
            .execute([value])?;
    }
    connection
        .prepare_cached("INSERT INTO parts (value, ord, data) VALUES (?1, ?2, ?3)")?
        .execute(params![value, ord.cast_signed(), text])?;
    Ok(())
}

/// To which value a row of this transaction is to refer for this one: one with the same content, where there is one.
pub(super) fn refer(connection: &Connection, value: Option<&Value>) -> Outcome<Option<i64>> {
    let Some(Value { id, hash, .. }) = value else {
        return Ok(None);
    };
    let hash = hash.as_ref().map(Hash::as_bytes);
    let same = connection
        .prepare_cached("SELECT value FROM blobs WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    if same.is_some() {
        return Ok(same);
    }
    connection
        .prepare_cached("INSERT INTO blobs (value, hash) VALUES (?1, ?2)")?
        .execute(params![id, hash])?;
    tighten(connection, *id)?;
    Ok(Some(*id))
}

/// The value is loose no longer.
fn tighten(connection: &Connection, value: i64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM loose WHERE value = ?1")?
        .execute([value])?;
    Ok(())
}

/// A value to which nothing refers, other than these.
pub(super) fn loose(connection: &Connection, other_than: &[i64]) -> Outcome<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM loose ORDER BY value")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let value = row.get(0)?;
        if !other_than.contains(&value) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Removes a part of a value to which nothing refers, the last at first. Whether anything is left.
pub(super) fn remove(connection: &Connection, value: i64) -> Outcome<bool> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM parts WHERE value = ?1 \
             AND ord = (SELECT max(ord) FROM parts WHERE value = ?1)",
        )?
        .execute([value])?;
    if removed == 0 {
        tighten(connection, value)?;
    }
    Ok(removed > 0)
}

/// How many bytes a value has; `None`: there is none of that number.
pub(super) fn bytes(connection: &Connection, value: i64) -> rusqlite::Result<Option<usize>> {
    connection
        .prepare_cached("SELECT sum(octet_length(data)) FROM parts WHERE value = ?1")?
        .query_row([value], |row| row.get::<_, Option<i64>>(0))
        .map(|bytes| bytes.and_then(|bytes| usize::try_from(bytes).ok()))
}

/// Puts a value together.
pub(super) fn read(connection: &Connection, value: i64) -> rusqlite::Result<String> {
    let damaged = |how: &str| {
        let corrupt = ffi::Error::new(ffi::SQLITE_CORRUPT);
        rusqlite::Error::SqliteFailure(corrupt, Some(format!("the value {value} {how}")))
    };
    let bytes = bytes(connection, value)?.ok_or_else(|| damaged("has lost its parts"))?;
    let mut text = String::with_capacity(bytes);
    let mut statement =
        connection.prepare_cached("SELECT data FROM parts WHERE value = ?1 ORDER BY ord")?;
    let mut found = statement.query([value])?;
    while let Some(row) = found.next()? {
        text.push_str(rows::text(row, 0)?);
    }
    let hash: Option<[u8; 32]> = connection
        .prepare_cached("SELECT hash FROM blobs WHERE value = ?1")?
        .query_row([value], |row| row.get(0))
        .optional()?;
    if hash.is_some_and(|hash| blake3::hash(text.as_bytes()) != hash) {
        return Err(damaged("is not what was written"));
    }
    Ok(text)
}
