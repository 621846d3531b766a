//! What durable plays say outside of what they do: a file a play, a line at a time (`durable.py` writes
//! them).

use std::{fs, io, path::Path};

use serde_json::Value;

/// Named for the variable in which plays find the directory.
pub(crate) const VARIABLE: &str = "HAVOC_TALLIES";

/// The lines of one play.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) play: String,
    pub(crate) lines: Vec<Line>,
    /// Lines that are none.
    pub(crate) torn: Vec<String>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) what: What,
    pub(crate) attempt: u32,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) key: String,
    pub(crate) value: Value,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An attempt begins, in this process.
    Attempt,
    /// A step's function is called.
    Begun,
    /// It is about to return.
    Done,
    /// The call has returned: its end was acknowledged.
    Kept,
    /// It comes to something that its process may leave for.
    Waits,
}

impl Tally {
    /// All tallies of a directory, one after another.
    pub(crate) fn all(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<Self>>> {
        let files = fs::read_dir(dir)?;
        Ok(files.map(|file| {
            let file = file?;
            let play = file.file_name().to_string_lossy().into_owned();
            Ok(Self::parse(play, &fs::read_to_string(file.path())?))
        }))
    }

    pub(crate) fn parse(play: String, text: &str) -> Self {
        let mut lines = Vec::new();
        let mut torn = Vec::new();
        for line in text.lines() {
            match Line::parse(line) {
                Some(line) => lines.push(line),
                None => torn.push(format!("{play}: {line:?}")),
            }
        }
        Self { play, lines, torn }
    }
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.splitn(5, ' ');
        Some(Self {
            what: match fields.next()? {
                "attempt" => What::Attempt,
                "begun" => What::Begun,
                "done" => What::Done,
                "kept" => What::Kept,
                "waits" => What::Waits,
                _ => return None,
            },
            attempt: fields.next()?.parse().ok()?,
            at: fields.next()?.parse().ok()?,
            key: fields.next()?.to_owned(),
            value: serde_json::from_str(fields.next()?).ok()?,
        })
    }
}
